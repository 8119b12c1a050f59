package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const (
	autoRow = `e.id, e.name, e.description, e.filter, e.set_id, s.name, s.version, e.type, e.weight, e.consent, e.start_at, e.status, e.approval_by, e.approval_remark, e.waiting,
	e.created_by, e.created_at, e.modified_by, e.modified_at`
	autoFrom = "auto_assignment e JOIN distribution_set s ON s.id = e.set_id"
)

func scanAuto(row scanner) (a rollout.AutoAssignment, err error) {
	s := audit{to: &a.Stamps}
	var startAt sql.NullInt64
	err = row.Scan(append([]any{
		&a.ID, &a.Name, &a.Description, &a.Filter, &a.Set, &a.SetName, &a.SetVersion, &a.Type, &a.Weight, &a.Consent, &startAt, &a.Status, &a.ApprovalBy, &a.ApprovalRemark, &a.Waiting,
	}, s.dest()...)...)
	s.finish()
	if startAt.Valid {
		at := time.UnixMilli(startAt.Int64)
		a.StartAt = &at
	}
	return a, err
}

// AutoAssignments implements rollout.AutoAssignmentStore.
func (s Rollouts) AutoAssignments(ctx context.Context, t tenant.ID, l query.List) ([]rollout.AutoAssignment, int, error) {
	return pageOf(ctx, s.DB, t, l, listing{columns: autoAssignmentColumns(), fields: autoRow, from: autoFrom, where: "e.tenant_id = $1", args: []any{t}}, scanAuto)
}

// AutoAssignmentsOf implements rollout.AutoAssignmentStore.
func (s Rollouts) AutoAssignmentsOf(ctx context.Context, t tenant.ID, set software.SetID, l query.List) ([]rollout.AutoAssignment, int, error) {
	if err := s.knowsSet(ctx, t, set); err != nil {
		return nil, 0, err
	}
	return pageOf(ctx, s.DB, t, l, listing{
		columns: autoAssignmentColumns(), fields: autoRow, from: autoFrom, where: "e.tenant_id = $1 AND e.set_id = $2", args: []any{t, int64(set)},
	}, scanAuto)
}

// knowsSet fails where there is no such set.
func (s Rollouts) knowsSet(ctx context.Context, t tenant.ID, set software.SetID) error {
	return s.DB.view(ctx, func(q querier) error {
		_, err := setHead(ctx, q, t, set, "")
		return err
	})
}

// CountAutoAssignments implements rollout.AutoAssignmentStore.
func (s Rollouts) CountAutoAssignments(ctx context.Context, t tenant.ID, set software.SetID) (n int, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		return q.row(ctx, "SELECT count(*) FROM auto_assignment WHERE set_id = $2 AND tenant_id = $1", t, int64(set)).Scan(&n)
	})
	return n, err
}

// AutoAssignment implements rollout.AutoAssignmentStore.
func (s Rollouts) AutoAssignment(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID) (a *rollout.AutoAssignment, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		a, err = readAuto(ctx, q, t, id, "")
		return err
	})
	return a, err
}

func readAuto(ctx context.Context, q querier, t tenant.ID, id rollout.AutoAssignmentID, suffix string) (*rollout.AutoAssignment, error) {
	a, err := scanAuto(q.row(ctx, "SELECT "+autoRow+" FROM "+autoFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("AutoAssignment", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &a, nil
}

// CreateAutoAssignment implements rollout.AutoAssignmentStore.
func (s Rollouts) CreateAutoAssignment(ctx context.Context, t tenant.ID, a *rollout.AutoAssignment, lock bool) error {
	return s.DB.update(ctx, func(tx *Tx) error { return tx.insertAuto(ctx, t, a, lock) })
}

// insertAuto keeps an auto-assignment, whose set may have changed since it was
// looked at.
func (tx *Tx) insertAuto(ctx context.Context, t tenant.ID, a *rollout.AutoAssignment, lock bool) error {
	set, err := tx.setFacts(ctx, t, a.Set)
	if err != nil {
		return err
	}
	if err := set.Suits(); err != nil {
		return err
	}
	if err := tx.row(ctx, "SELECT name, version FROM distribution_set WHERE id = $1", int64(a.Set)).Scan(&a.SetName, &a.SetVersion); err != nil {
		return err
	}
	if lock {
		if err := tx.lockSet(ctx, t, set, a.ModifiedBy, a.ModifiedAt); err != nil {
			return err
		}
	}
	id, err := tx.insert(ctx, `INSERT INTO auto_assignment (tenant_id, name, description, filter, set_id, type, weight, consent, start_at, status, created_by, created_at, modified_by, modified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
		append([]any{t, a.Name, a.Description, a.Filter, int64(a.Set), int(a.Type), a.Weight, a.Consent, momentOrNull(a.StartAt), int(a.Status)}, stampArgs(&a.Stamps)...)...)
	if err != nil {
		return autoTaken(tx, err, a)
	}
	a.ID = rollout.AutoAssignmentID(id)
	tx.recordAuto(t, event.AutoAssignmentCreated, a.ID, autoData(a), a.CreatedAt)
	return nil
}

func autoTaken(tx *Tx, err error, a *rollout.AutoAssignment) error {
	return tx.taken(err, "There is an auto-assignment with the name %q already.", a.Name)
}

func autoData(a *rollout.AutoAssignment) string {
	return fmt.Sprintf(`{"status":%q}`, a.Status.String())
}

func (tx *Tx) recordAuto(t tenant.ID, k event.Kind, id rollout.AutoAssignmentID, data string, at time.Time) {
	tx.record(event.Event{Tenant: t, Kind: k, Subject: int64(id), Reach: event.NoTarget, Data: data, At: at.UnixMilli()})
}

// saveAuto saves what can change of an auto-assignment.
func (tx *Tx) saveAuto(ctx context.Context, t tenant.ID, a *rollout.AutoAssignment) error {
	if _, err := tx.exec(ctx, "UPDATE auto_assignment SET name = $2, description = $3, status = $4, approval_by = $5, approval_remark = $6, modified_by = $7, modified_at = $8 WHERE id = $1",
		int64(a.ID), a.Name, a.Description, int(a.Status), a.ApprovalBy, a.ApprovalRemark, a.ModifiedBy, a.ModifiedAt.UnixMilli()); err != nil {
		return autoTaken(tx, err, a)
	}
	tx.recordAuto(t, event.AutoAssignmentChanged, a.ID, autoData(a), a.ModifiedAt)
	return nil
}

// UpdateAutoAssignment implements rollout.AutoAssignmentStore.
func (s Rollouts) UpdateAutoAssignment(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID, change func(*rollout.AutoAssignment) error) (a *rollout.AutoAssignment, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if a, err = readAuto(ctx, tx, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *a
		if err := change(a); err != nil {
			return err
		}
		if reflect.DeepEqual(before, *a) {
			return nil
		}
		return tx.saveAuto(ctx, t, a)
	})
	return a, err
}

// DeleteAutoAssignment implements rollout.AutoAssignmentStore.
func (s Rollouts) DeleteAutoAssignment(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID, now time.Time) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		gone, err := tx.deleteAuto(ctx, t, "id = $2", int64(id), now)
		if err == nil && gone == 0 {
			err = fault.Missing("AutoAssignment", int64(id))
		}
		return err
	})
}

// deleteAuto removes the tenant's auto-assignments for which the condition on $2
// holds.
func (tx *Tx) deleteAuto(ctx context.Context, t tenant.ID, which string, arg int64, now time.Time) (n int, err error) {
	gone, err := all(ctx, tx, scalar[int64], "DELETE FROM auto_assignment WHERE tenant_id = $1 AND "+which+" RETURNING id", int64(t), arg)
	for _, id := range gone {
		tx.recordAuto(t, event.AutoAssignmentDeleted, rollout.AutoAssignmentID(id), "", now)
	}
	return len(gone), err
}

// BusyAutoAssignments implements rollout.AutoStepStore.
func (s Rollouts) BusyAutoAssignments(ctx context.Context, now time.Time) (list []rollout.Busy[rollout.AutoAssignmentID], err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, func(r scanner) (b rollout.Busy[rollout.AutoAssignmentID], err error) {
			err = r.Scan(&b.Tenant, &b.ID, &b.Waiting)
			return b, err
		}, fmt.Sprintf("SELECT e.tenant_id, e.id, e.waiting FROM auto_assignment e WHERE e.status IN (2, 4) AND (e.status = %d OR COALESCE(e.start_at, 0) <= $1) ORDER BY e.id", rollout.AutoRunning), now.UnixMilli())
		return err
	})
	return list, err
}

// NoteAutoWaiting implements rollout.AutoStepStore.
func (s Rollouts) NoteAutoWaiting(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID, why string) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		var a rollout.AutoAssignment
		err := tx.row(ctx, "UPDATE auto_assignment SET waiting = $3 WHERE tenant_id = $1 AND id = $2 AND waiting <> $3 RETURNING status", t, int64(id), why).Scan(&a.Status)
		if none(err) {
			return nil
		}
		tx.record(event.Event{Tenant: t, Kind: event.AutoAssignmentChanged, Subject: int64(id), Reach: event.NoTarget, Data: autoData(&a)})
		return err
	})
}

// AdvanceAutoAssignment implements rollout.AutoStepStore.
func (s Rollouts) AdvanceAutoAssignment(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID, a rollout.AutoAdvance) (o rollout.AutoOutcome, err error) {
	x, err := s.AutoAssignment(ctx, t, id)
	if err == nil && x.Due(a.Now) {
		x, err = s.startAuto(ctx, t, id, a)
	}
	switch {
	case fault.Is(err, fault.NotFound):
		return o, nil
	case err != nil || x.Status != rollout.AutoRunning:
		return o, err
	}
	c, err := a.Cohort(x)
	if err != nil {
		return o, err
	}
	var ids []int64
	err = s.DB.behind(func() (err error) {
		ids, err = s.Cohort(ctx, t, c)
		return err
	})
	if err != nil || len(ids) == 0 {
		return o, err
	}
	c.Among, c.Limit, c.After = make([]fleet.TargetID, len(ids)), 0, 0
	for i, id := range ids {
		c.Among[i] = fleet.TargetID(id)
	}
	err = s.DB.step(ctx, func(tx *Tx) error {
		o = rollout.AutoOutcome{Cursor: ids[len(ids)-1], More: int64(len(ids)) == a.Limit}
		return tx.assignAuto(ctx, t, x, c, a, &o)
	})
	if fault.Is(err, fault.NotFound) {
		return rollout.AutoOutcome{}, nil // deleted meanwhile
	}
	return o, err
}

// startAuto starts one that is due.
func (s Rollouts) startAuto(ctx context.Context, t tenant.ID, id rollout.AutoAssignmentID, a rollout.AutoAdvance) (x *rollout.AutoAssignment, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if err := tx.proveLease(ctx, a.Held); err != nil {
			return err
		}
		if x, err = readAuto(ctx, tx, t, id, tx.db.lock("e")); err != nil || !x.Due(a.Now) {
			return err
		}
		if err := x.Start(); err != nil {
			return err
		}
		x.ModifiedBy, x.ModifiedAt = caller.System, a.Now
		return tx.saveAuto(ctx, t, x)
	})
	return x, err
}

// assignAuto assigns to those of the targets that still are to be assigned to.
// Rows are locked in the order that Assign has, so that the two do not wait for
// each other.
func (tx *Tx) assignAuto(ctx context.Context, t tenant.ID, x *rollout.AutoAssignment, c rollout.Cohort, a rollout.AutoAdvance, o *rollout.AutoOutcome) error {
	if err := tx.proveLease(ctx, a.Held); err != nil {
		return err
	}
	set, err := tx.setFacts(ctx, t, x.Set)
	if err != nil {
		return err
	}
	now, err := readAuto(ctx, tx, t, x.ID, tx.db.lock("e"))
	if err != nil {
		return err
	}
	if now.Status != rollout.AutoRunning {
		o.More = false
		return nil
	}
	if _, err := lockStates(ctx, tx, c.Among); err != nil {
		return err
	}
	// Again, now that they are locked: much may have happened to them.
	where, args, err := cohortWhere(t, c, tx.db.dialect)
	if err != nil {
		return err
	}
	candidates, err := all(ctx, tx, scanCandidate, `SELECT 0, e.id, h.status, h.assigned_set, NULL, ac.initiator, ac.remark, ac.activated_by, ac.activated_at
		FROM `+targetFrom+` LEFT JOIN auto_confirm ac ON ac.target_id = e.id WHERE `+where+" ORDER BY e.id", args...)
	if err != nil || len(candidates) == 0 {
		return err
	}
	order := now.Assignment(a.Policy, a.Now)
	if order.MaxActions > 0 {
		if err := tx.countActions(ctx, candidates, order.MaxActions); err != nil {
			return err
		}
		if order.Spare() == 0 {
			if candidates, err = tx.leaveOut(ctx, candidates, order.MaxActions, o); err != nil {
				return err
			}
		}
	}
	_, err = tx.assign(ctx, t, set, candidates, order)
	return err
}

// leaveOut takes those candidates out that have as many actions as they may.
func (tx *Tx) leaveOut(ctx context.Context, candidates []deployment.Candidate, most int, o *rollout.AutoOutcome) ([]deployment.Candidate, error) {
	kept := candidates[:0]
	for _, c := range candidates {
		if c.Actions < most {
			kept = append(kept, c)
			continue
		}
		if o.Full++; o.Full == 1 {
			if err := tx.row(ctx, "SELECT controller_id FROM target WHERE id = $1", int64(c.Target)).Scan(&o.Example); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}
