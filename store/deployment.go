package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

// Deployment keeps actions and their history.
type Deployment struct{ DB *DB }

// An action is filed in the indexes as what has ended with its status, or as one of
// these. Neither the start of an action nor what its device reports until its end
// moves it in an index: that is most of what a change of an action costs, and on
// PostgreSQL each change of an indexed column enters the row anew into all indexes.
const (
	filedOpen      = -1 // scheduled, or the device has something to do
	filedCanceling = -2 // the device has to give up
)

// filedAs is what an action with the status is filed as. Whoever writes one writes
// the other; a constraint of the table compares them.
func filedAs(s deployment.Status, active bool) int {
	switch {
	case active && s == deployment.Canceling:
		return filedCanceling
	case active || s == deployment.Scheduled:
		return filedOpen
	default:
		return int(s)
	}
}

// standing is the question of every poll that the index cannot answer. The plus
// signs keep SQLite from looking through all actions of a set and status, and
// PostgreSQL from looking through all there are, from the newest on.
func standing(d dialect) string {
	return `SELECT t.id, t.token, h.status, t.address, h.request_attributes,
		a.id, a.status, a.revision, a.type, a.forced_at, a.window_schedule, a.window_duration, a.window_timezone,
		CASE WHEN h.installed_set IS NULL THEN NULL ELSE
			(SELECT f.id FROM action f WHERE f.target_id = t.id AND +f.set_id = h.installed_set AND +f.status = 0 AND NOT f.active ORDER BY +f.id DESC LIMIT 1) END
	FROM target t JOIN target_state h ON h.target_id = t.id LEFT JOIN ` + d.heaviest("t.id", "a") + `
	WHERE t.tenant_id = $1 AND t.controller_id = $2`
}

// Standing implements deployment.PollStore.
func (d Deployment) Standing(ctx context.Context, t tenant.ID, id fleet.ControllerID, p deployment.Pace) (s deployment.Standing, w deployment.Window, err error) {
	var token string
	var address, schedule, duration, timezone sql.NullString
	var status fleet.Status
	var action, actionStatus, revision, kind, forcedAt, installed sql.NullInt64
	err = d.DB.view(ctx, func(q querier) error {
		err := q.row(ctx, d.DB.standing, t, string(id)).
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

func targetExists(ctx context.Context, q querier, t tenant.ID, target fleet.ControllerID) error {
	var one int
	err := q.row(ctx, "SELECT 1 FROM target WHERE tenant_id = $1 AND controller_id = $2", t, string(target)).Scan(&one)
	if none(err) {
		return fault.Missing("Target", string(target))
	}
	return err
}
