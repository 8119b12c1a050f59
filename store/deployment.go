package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Deployment keeps actions and their history.
type Deployment struct{ DB *DB }

// standingSQL is the question of every poll that the index cannot answer. The
// plus signs keep SQLite from looking through all actions of a set and status.
const standingSQL = `SELECT t.id, t.token, h.status, t.address, h.request_attributes,
		a.id, a.status, a.revision, a.type, a.forced_at, a.window_schedule, a.window_duration, a.window_timezone,
		CASE WHEN h.installed_set IS NULL THEN NULL ELSE
			(SELECT f.id FROM action f WHERE f.target_id = t.id AND +f.set_id = h.installed_set AND +f.status = 0 AND NOT f.active ORDER BY f.id DESC LIMIT 1) END
	FROM target t JOIN target_state h ON h.target_id = t.id LEFT JOIN action a ON a.id = (SELECT x.id FROM action x WHERE x.target_id = t.id AND x.active ORDER BY x.weight DESC, x.id LIMIT 1)
	WHERE t.tenant_id = $1 AND t.controller_id = $2`

// Standing implements deployment.PollStore.
func (d Deployment) Standing(ctx context.Context, t tenant.ID, id fleet.ControllerID, p deployment.Pace) (s deployment.Standing, w deployment.Window, err error) {
	var token string
	var address, schedule, duration, timezone sql.NullString
	var status fleet.Status
	var action, actionStatus, revision, kind, forcedAt, installed sql.NullInt64
	err = d.DB.view(ctx, func(q querier) error {
		err := q.row(ctx, standingSQL, t, string(id)).
			Scan(&s.Target, &token, &status, &address, &s.WantsAttributes, &action, &actionStatus, &revision, &kind, &forcedAt, &schedule, &duration, &timezone, &installed)
		if err != nil || len(p.Overrides) == 0 {
			return err
		}
		s.Interval, err = d.interval(ctx, q, t, s.Target, p)
		return err
	})
	if none(err) {
		return s, w, fault.Missing("Target", string(id))
	}
	if err != nil {
		return s, w, err
	}
	s.Token = deployment.TokenFingerprint(token)
	s.Address = deployment.AddressFingerprint(address.String)
	s.Unseen = status == fleet.StatusUnknown
	s.Installed = deployment.ActionID(installed.Int64)
	if action.Valid {
		s.Action, s.Revision = deployment.ActionID(action.Int64), revision.Int64
		s.Offer = deployment.OfferOf(deployment.Status(actionStatus.Int64))
		w = deployment.Window{Schedule: schedule.String, Duration: duration.String, Timezone: timezone.String}
		s.Volatile = w != (deployment.Window{})
		if deployment.Type(kind.Int64) == deployment.TimeForced {
			s.ForcedAt = max(forcedAt.Int64, 1)
		}
	}
	return s, w, nil
}

// interval finds which polling interval holds for the target.
func (d Deployment) interval(ctx context.Context, q querier, t tenant.ID, id fleet.TargetID, p deployment.Pace) (n uint8, err error) {
	choice, args, err := intervalChoice(t, p.Overrides, p.Moment, d.DB.dialect, []any{int64(id)})
	if err != nil {
		return 0, err
	}
	err = q.row(ctx, "SELECT "+choice+" FROM "+targetFrom+" WHERE e.id = $1", args...).Scan(&n)
	if none(err) { // deleted in between
		return 0, nil
	}
	return n, err
}

// actionRow are the columns of an action e and its target t that a change needs.
const actionRow = `e.id, e.target_id, t.controller_id, e.set_id, e.status, e.active, e.type, e.forced_at, e.weight,
	e.window_schedule, e.window_duration, e.window_timezone, e.last_code, e.external_ref, e.consent_awaited, e.revision, e.entries,
	e.rollout_id, e.rollout_group_id, e.initiated_by, e.created_by, e.created_at, e.modified_by, e.modified_at`

// actionDest returns where actionRow is read into, and what completes the
// action afterwards.
func actionDest(a *deployment.Action) (dest []any, finish func()) {
	var code, rollout, group sql.NullInt64
	var forced int64
	var st stamps
	dest = []any{
		&a.ID, &a.Target, &a.ControllerID, &a.Set, &a.Status, &a.Active, &a.Type, &forced, &a.Weight,
		&a.Window.Schedule, &a.Window.Duration, &a.Window.Timezone, &code, &a.ExternalRef, &a.ConsentAwaited, &a.Revision, &a.Entries,
		&rollout, &group, &a.InitiatedBy, &st.createdBy, &st.createdAt, &st.modifiedBy, &st.modifiedAt,
	}
	return dest, func() {
		if forced != 0 {
			a.ForcedAt = time.UnixMilli(forced)
		}
		if code.Valid {
			c := int(code.Int64)
			a.LastCode = &c
		}
		a.Rollout, a.RolloutGroup = rollout.Int64, group.Int64
		a.Stamps = st.stamps()
	}
}

// UpdateCase implements deployment.CaseStore.
func (d Deployment) UpdateCase(ctx context.Context, t tenant.ID, target fleet.ControllerID, id deployment.ActionID, change func(*deployment.Case) error) (*deployment.Case, error) {
	var c *deployment.Case
	err := d.DB.update(ctx, func(tx *Tx) (err error) {
		c, err = loadCase(ctx, tx, t, id)
		if none(err) {
			return missingCase(ctx, tx, t, target, id)
		}
		if err != nil {
			return err
		}
		if c.Action.ControllerID != target {
			if err := targetExists(ctx, tx, t, target); err != nil {
				return err
			}
			return errForeign(target, id)
		}
		return changeCase(ctx, tx, t, c, change)
	})
	return c, err
}

// loadCase reads an action and what its target holds, for a change. The target
// is locked first, as everywhere.
func loadCase(ctx context.Context, tx *Tx, t tenant.ID, id deployment.ActionID) (*deployment.Case, error) {
	c := &deployment.Case{}
	dest, finish := actionDest(&c.Action)
	var assigned, installed, installedAt sql.NullInt64
	dest = append(dest, &c.NewestEntry, &c.Holding.Status, &assigned, &installed, &installedAt, &c.Holding.RequestAttributes)
	err := tx.row(ctx, "SELECT "+actionRow+", e.newest_entry, h.status, h.assigned_set, h.installed_set, h.installed_at, h.request_attributes FROM action e JOIN target t ON t.id = e.target_id JOIN target_state h ON h.target_id = e.target_id WHERE e.tenant_id = $1 AND e.id = $2"+tx.db.lock("h", "e"),
		t, int64(id)).Scan(dest...)
	if err != nil {
		return nil, err
	}
	finish()
	c.Holding.Assigned, c.Holding.Installed = software.SetID(assigned.Int64), software.SetID(installed.Int64)
	if installedAt.Valid {
		c.Holding.InstalledAt = time.UnixMilli(installedAt.Int64)
	}
	if c.Action.Status == deployment.Canceling {
		err := tx.row(ctx, "SELECT set_id FROM action WHERE target_id = $1 AND active AND id <> $2 ORDER BY id LIMIT 1", int64(c.Action.Target), int64(id)).Scan(&c.NextActive)
		if err != nil && !none(err) {
			return nil, err
		}
	}
	return c, nil
}

func missingCase(ctx context.Context, tx *Tx, t tenant.ID, target fleet.ControllerID, id deployment.ActionID) error {
	if err := targetExists(ctx, tx, t, target); err != nil {
		return err
	}
	return fault.Missing("Action", int64(id))
}

func targetExists(ctx context.Context, q querier, t tenant.ID, target fleet.ControllerID) error {
	var one int
	err := q.row(ctx, "SELECT 1 FROM target WHERE tenant_id = $1 AND controller_id = $2", t, string(target)).Scan(&one)
	if none(err) {
		return fault.Missing("Target", string(target))
	}
	return err
}

// changeCase lets change decide and saves the outcome.
func changeCase(ctx context.Context, tx *Tx, t tenant.ID, c *deployment.Case, change func(*deployment.Case) error) error {
	before := *c
	if err := change(c); err != nil {
		return err
	}
	for i := range c.New {
		e := &c.New[i]
		messages, err := json.Marshal(e.Messages)
		if err != nil {
			return fmt.Errorf("messages of action %d: %w", c.Action.ID, err)
		}
		if e.ID, err = tx.insert(ctx, "INSERT INTO action_status (tenant_id, action_id, status, occurred_at, reported_at, code, messages) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
			t, int64(c.Action.ID), int(e.Status), e.OccurredAt.UnixMilli(), e.ReportedAt.UnixMilli(), e.Code, string(messages)); err != nil {
			return err
		}
	}
	a := &c.Action
	if len(c.New) > 0 || a.Revision != before.Action.Revision || a.Stamps != before.Action.Stamps {
		if _, err := tx.exec(ctx, "UPDATE action SET status = $2, active = $3, type = $4, last_code = $5, consent_awaited = $6, revision = $7, entries = $8, newest_entry = $9, modified_by = $10, modified_at = $11 WHERE id = $1",
			int64(a.ID), int(a.Status), a.Active, int(a.Type), a.LastCode, a.ConsentAwaited, a.Revision, a.Entries, int(c.NewestEntry), a.ModifiedBy, a.ModifiedAt.UnixMilli()); err != nil {
			return err
		}
	}
	h := &c.Holding
	if *h != before.Holding {
		var installedAt any
		if !h.InstalledAt.IsZero() {
			installedAt = h.InstalledAt.UnixMilli()
		}
		if _, err := tx.exec(ctx, "UPDATE target_state SET status = $2, assigned_set = $3, installed_set = $4, installed_at = $5, request_attributes = $6 WHERE target_id = $1",
			int64(a.Target), int(h.Status), idOrNull(int64(h.Assigned)), idOrNull(int64(h.Installed)), installedAt, h.RequestAttributes); err != nil {
			return err
		}
	}
	if a.Revision != before.Action.Revision || *h != before.Holding {
		at := int64(0)
		if n := len(c.New); n > 0 {
			at = c.New[n-1].ReportedAt.UnixMilli()
		}
		tx.record(event.Event{Tenant: t, Kind: event.ActionChanged, Subject: int64(a.ID), Reach: event.Reach(a.Target), Data: actionData(a.Status), At: at})
	}
	return nil
}

// idOrNull stores the absent reference as NULL.
func idOrNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}
