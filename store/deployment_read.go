package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// namedActionRow are the columns of an action as people read it. The tables are
// joined from the left, so that a page reads their rows for its own rows alone.
const (
	namedActionRow  = actionRow + ", t.name, s.name, s.version, ro.name"
	namedActionFrom = "action e LEFT JOIN target t ON t.id = e.target_id LEFT JOIN distribution_set s ON s.id = e.set_id LEFT JOIN rollout ro ON ro.id = e.rollout_id"
)

func scanNamedAction(r scanner) (a deployment.Action, err error) {
	dest, finish := actionDest(&a)
	var campaign sql.NullString
	err = r.Scan(append(dest, &a.TargetName, &a.SetName, &a.SetVersion, &campaign)...)
	finish()
	a.RolloutName = campaign.String
	return a, err
}

// Actions implements deployment.ActionStore.
func (d Deployment) Actions(ctx context.Context, t tenant.ID, l query.List) (list []deployment.Action, total int, err error) {
	err = d.DB.view(ctx, func(q querier) error {
		list, total, err = d.actions(ctx, q, t, l, "e.tenant_id = $1", int64(t))
		return err
	})
	return list, total, err
}

func (d Deployment) actions(ctx context.Context, q querier, t tenant.ID, l query.List, where string, args ...any) ([]deployment.Action, int, error) {
	list, total, err := page(ctx, q, d.DB.dialect, t, l, listing{columns: actionColumns(), fields: namedActionRow, from: namedActionFrom, where: where, args: args}, scanNamedAction)
	return list, int(total), err
}

// TargetActions implements deployment.ActionStore.
func (d Deployment) TargetActions(ctx context.Context, t tenant.ID, target fleet.ControllerID, l query.List) (list []deployment.Action, total int, err error) {
	err = d.DB.view(ctx, func(q querier) error {
		id, err := targetKey(ctx, q, t, target, "")
		if err != nil {
			return err
		}
		list, total, err = d.actions(ctx, q, t, l, "e.target_id = $1", id)
		return err
	})
	return list, total, err
}

// Action implements deployment.ActionStore.
func (d Deployment) Action(ctx context.Context, t tenant.ID, id deployment.ActionID) (*deployment.Action, error) {
	var a deployment.Action
	err := d.DB.view(ctx, func(q querier) (err error) {
		a, err = scanNamedAction(q.row(ctx, "SELECT "+namedActionRow+" FROM "+namedActionFrom+" WHERE e.tenant_id = $1 AND e.id = $2", t, int64(id)))
		return err
	})
	if none(err) {
		return nil, fault.Missing("Action", int64(id))
	}
	return &a, err
}

// TargetAction implements deployment.DocumentStore.
func (d Deployment) TargetAction(ctx context.Context, t tenant.ID, target fleet.ControllerID, id deployment.ActionID) (*deployment.Action, error) {
	a, err := d.Action(ctx, t, id)
	if err == nil && a.ControllerID == target {
		return a, nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	if err := d.DB.view(ctx, func(q querier) error {
		_, err := targetKey(ctx, q, t, target, "")
		return err
	}); err != nil {
		return nil, err
	}
	if err == nil {
		err = errForeign(target, id)
	}
	return nil, err
}

func errForeign(target fleet.ControllerID, id deployment.ActionID) error {
	return fault.New(fault.ForeignAction, "Action %d is not an action of target %s.", id, target)
}

const entryRow = "e.id, e.action_id, e.status, e.occurred_at, e.reported_at, e.code, e.messages"

func scanEntry(r scanner) (e deployment.Entry, err error) {
	var occurred, reported int64
	var code sql.NullInt64
	var messages string
	if err := r.Scan(&e.ID, &e.Action, &e.Status, &occurred, &reported, &code, &messages); err != nil {
		return e, err
	}
	e.OccurredAt, e.ReportedAt = time.UnixMilli(occurred), time.UnixMilli(reported)
	if code.Valid {
		c := int(code.Int64)
		e.Code = &c
	}
	if err := json.Unmarshal([]byte(messages), &e.Messages); err != nil {
		return e, fmt.Errorf("messages of entry %d: %w", e.ID, err)
	}
	return e, nil
}

// History implements deployment.ActionStore.
func (d Deployment) History(ctx context.Context, t tenant.ID, target fleet.ControllerID, id deployment.ActionID, l query.List) (list []deployment.Entry, total int, err error) {
	if _, err := d.TargetAction(ctx, t, target, id); err != nil {
		return nil, 0, err
	}
	err = d.DB.view(ctx, func(q querier) error {
		var n int64
		list, n, err = page(ctx, q, d.DB.dialect, t, l, listing{columns: statusColumns(), fields: entryRow, from: "action_status e", where: "e.action_id = $1", args: []any{int64(id)}}, scanEntry)
		total = int(n)
		return err
	})
	return list, total, err
}

// Entries implements deployment.DocumentStore.
func (d Deployment) Entries(ctx context.Context, id deployment.ActionID, yield func(deployment.Entry) bool) error {
	return d.DB.view(ctx, func(q querier) (err error) {
		rows, err := q.query(ctx, "SELECT "+entryRow+" FROM action_status e WHERE e.action_id = $1 ORDER BY e.occurred_at DESC, e.id", int64(id))
		if err != nil {
			return err
		}
		defer func() {
			if e := rows.Close(); err == nil {
				err = e
			}
		}()
		for rows.Next() {
			e, err := scanEntry(rows)
			if err != nil {
				return err
			}
			if !yield(e) {
				return nil
			}
		}
		return rows.Err()
	})
}

// CountActions implements deployment.ActionStore.
func (d Deployment) CountActions(ctx context.Context, t tenant.ID, set software.SetID) (counts map[deployment.Status]int, err error) {
	err = d.DB.view(ctx, func(q querier) error {
		counts, err = countBy[deployment.Status](ctx, q, "SELECT status, count(*) FROM action WHERE set_id = $2 AND tenant_id = $1 GROUP BY status", t, int64(set))
		return err
	})
	return counts, err
}

// statusList writes statuses as a list for SQL: they are numbers of ours.
func statusList(list []deployment.Status) string {
	text := "-1"
	for _, s := range list {
		text += fmt.Sprintf(", %d", s)
	}
	return text
}

// DeleteActions implements deployment.ActionStore.
func (d Deployment) DeleteActions(ctx context.Context, t tenant.ID, which deployment.Selection, allowed []deployment.Status, now time.Time) (refused int, err error) {
	where, args := "e.tenant_id = $1", []any{int64(t)}
	if which.Target != "" {
		where += " AND e.target_id = (SELECT o.id FROM target o WHERE o.tenant_id = $1 AND o.controller_id = $2)"
		args = append(args, string(which.Target))
	}
	if which.IDs != nil {
		list, err := json.Marshal(which.IDs)
		if err != nil {
			return 0, err
		}
		args = append(args, string(list))
		where += " AND e.id IN (SELECT i.id FROM " + d.DB.ids(fmt.Sprintf("$%d", len(args)), "i") + ")"
	} else {
		cond, with, err := condition(which.Filter, actionColumns(), t, which.Moment, d.DB.dialect, args)
		if err != nil {
			return 0, err
		}
		where, args = where+" AND "+cond, with
	}
	err = d.DB.update(ctx, func(tx *Tx) error {
		refused = 0
		if err := tx.row(ctx, "SELECT count(*) FROM action e WHERE "+where+" AND e.status NOT IN ("+statusList(allowed)+")", args...).Scan(&refused); err != nil || refused > 0 {
			return err
		}
		_, err := tx.deleteActions(ctx, t, "SELECT e.id FROM action e WHERE "+where+" AND e.status IN ("+statusList(allowed)+")", args, now)
		return err
	})
	return refused, err
}

// deleteActions removes the actions whose ids the statement gives, and returns
// how many those were.
func (tx *Tx) deleteActions(ctx context.Context, t tenant.ID, ids string, args []any, now time.Time) (int, error) {
	gone, err := all(ctx, tx, scanChanged, "DELETE FROM action WHERE id IN ("+ids+") RETURNING id, target_id", args...)
	if err != nil {
		return 0, err
	}
	tx.recordActions(t, event.ActionDeleted, gone, now.UnixMilli())
	return len(gone), nil
}

// DeleteOldest implements deployment.ActionStore.
func (d Deployment) DeleteOldest(ctx context.Context, t tenant.ID, target fleet.ControllerID, keep int, allowed []deployment.Status, now time.Time) error {
	return d.DB.update(ctx, func(tx *Tx) error {
		id, err := targetKey(ctx, tx, t, target, tx.db.lock("h"))
		if err != nil {
			return err
		}
		_, err = tx.deleteActions(ctx, t, "SELECT e.id FROM action e WHERE e.target_id = $1 AND e.status IN ("+statusList(allowed)+
			") AND e.id NOT IN (SELECT n.id FROM action n WHERE n.target_id = $1 ORDER BY n.id DESC LIMIT $2)", []any{id, keep}, now)
		return err
	})
}

// HoldsModule implements deployment.DocumentStore.
func (d Deployment) HoldsModule(ctx context.Context, t tenant.ID, target fleet.ControllerID, module software.ModuleID) (active deployment.ActionID, installed bool, err error) {
	var id sql.NullInt64
	err = d.DB.view(ctx, func(q querier) error {
		return q.row(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM distribution_set_module sm WHERE sm.set_id = h.installed_set AND sm.module_id = $3),
				(SELECT a.id FROM action a WHERE a.target_id = t.id AND a.filed_as < 0 AND a.active AND a.status NOT IN (%d, %d)
					AND EXISTS (SELECT 1 FROM distribution_set_module sm WHERE sm.set_id = a.set_id AND sm.module_id = $3) ORDER BY a.weight DESC, a.id LIMIT 1)
			FROM target t JOIN target_state h ON h.target_id = t.id WHERE t.tenant_id = $1 AND t.controller_id = $2`, deployment.Canceling, deployment.Canceled), t, string(target), int64(module)).Scan(&installed, &id)
	})
	if none(err) {
		err = fault.Missing("Target", string(target))
	}
	return deployment.ActionID(id.Int64), installed, err
}

// AutoConfirm implements deployment.ConsentStore.
func (d Deployment) AutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID) (*fleet.AutoConfirm, error) {
	var initiator, remark, by sql.NullString
	var at sql.NullInt64
	err := d.DB.view(ctx, func(q querier) error {
		return q.row(ctx, "SELECT c.initiator, c.remark, c.activated_by, c.activated_at FROM target t LEFT JOIN auto_confirm c ON c.target_id = t.id WHERE t.tenant_id = $1 AND t.controller_id = $2", t, string(target)).
			Scan(&initiator, &remark, &by, &at)
	})
	if none(err) {
		err = fault.Missing("Target", string(target))
	}
	if err != nil || !at.Valid {
		return nil, err
	}
	return &fleet.AutoConfirm{Initiator: initiator.String, Remark: remark.String, ActivatedBy: by.String, ActivatedAt: time.UnixMilli(at.Int64)}, nil
}

// ActivateAutoConfirm implements deployment.ConsentStore.
func (d Deployment) ActivateAutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID, ac fleet.AutoConfirm, by caller.Stamps, release func(*deployment.Case)) error {
	return d.DB.update(ctx, func(tx *Tx) error {
		id, err := targetKey(ctx, tx, t, target, tx.db.lock("h"))
		if err != nil {
			return err
		}
		n, err := tx.affected(ctx, "INSERT INTO auto_confirm (target_id, initiator, remark, activated_by, activated_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (target_id) DO NOTHING",
			id, ac.Initiator, ac.Remark, ac.ActivatedBy, ac.ActivatedAt.UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.AutoConfirmActive, "Auto-confirmation is active already for target %s; switch it off first to change what it says.", target)
		}
		waiting, err := all(ctx, tx, scalar[deployment.ActionID], fmt.Sprintf("SELECT id FROM action WHERE target_id = $1 AND filed_as < 0 AND active AND status = %d ORDER BY id", deployment.WaitForConfirmation), id)
		if err != nil {
			return err
		}
		for _, w := range waiting {
			if err := tx.changeCase(ctx, t, target, w, release); err != nil {
				return err
			}
		}
		return tx.touchTarget(ctx, t, id, by)
	})
}

// DeactivateAutoConfirm implements deployment.ConsentStore.
func (d Deployment) DeactivateAutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID, by caller.Stamps) error {
	return d.DB.update(ctx, func(tx *Tx) error {
		id, err := targetKey(ctx, tx, t, target, tx.db.lock("h"))
		if err != nil {
			return err
		}
		n, err := tx.affected(ctx, "DELETE FROM auto_confirm WHERE target_id = $1", id)
		if err != nil || n == 0 {
			return err
		}
		return tx.touchTarget(ctx, t, id, by)
	})
}

// touchTarget tells that the target changed, and by whom, unless a device did it.
func (tx *Tx) touchTarget(ctx context.Context, t tenant.ID, id int64, by caller.Stamps) error {
	if by.ModifiedBy != "" {
		if _, err := tx.exec(ctx, "UPDATE target_state SET modified_by = $2, modified_at = $3 WHERE target_id = $1", id, by.ModifiedBy, by.ModifiedAt.UnixMilli()); err != nil {
			return err
		}
	}
	tx.record(event.Event{Tenant: t, Kind: event.TargetChanged, Subject: id, Reach: event.Reach(id), At: by.ModifiedAt.UnixMilli()})
	return nil
}
