package store

import (
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// InvalidateSet implements rollout.InvalidationStore. Rows are locked in the
// order set, rollouts, targets.
func (s Rollouts) InvalidateSet(ctx context.Context, t tenant.ID, i rollout.Invalidation, invalidate func(*software.Set) error) (more bool, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		more = false
		if _, err := tx.updateSet(ctx, t, i.Set, invalidate); err != nil {
			return err
		}
		if _, err := tx.deleteAuto(ctx, t, "set_id = $2", int64(i.Set), i.Now); err != nil {
			return err
		}
		if i.Kind == rollout.CancelNothing {
			return nil
		}
		if err := tx.endRollouts(ctx, t, i); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `INSERT INTO invalidation (set_id, tenant_id, force, by_user, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (set_id) DO UPDATE SET force = excluded.force, by_user = excluded.by_user, created_at = excluded.created_at`,
			int64(i.Set), int64(t), i.Kind == rollout.CancelForce, i.By, i.Now.UnixMilli()); err != nil {
			return err
		}
		more, err = tx.cancelSet(ctx, t, i.Set, i.Now)
		return err
	})
	return more, err
}

// endRollouts ends the rollouts of the set.
func (tx *Tx) endRollouts(ctx context.Context, t tenant.ID, i rollout.Invalidation) error {
	ids, err := all(ctx, tx, scalar[rollout.ID], "SELECT id FROM rollout WHERE set_id = $2 AND tenant_id = $1 ORDER BY id", int64(t), int64(i.Set))
	if err != nil {
		return err
	}
	for _, id := range ids {
		run, err := tx.loadRun(ctx, t, id)
		if err != nil {
			return err
		}
		before := clone(run)
		if !i.Kind.End(&run.Rollout) {
			continue
		}
		run.Now, run.Rollout.ModifiedBy, run.Rollout.ModifiedAt = i.Now, i.By, i.Now
		if err := tx.saveRun(ctx, t, before, run); err != nil {
			return err
		}
	}
	return nil
}

// BusyInvalidations implements rollout.InvalidationStore.
func (s Rollouts) BusyInvalidations(ctx context.Context) (list []rollout.Busy[software.SetID], err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, func(r scanner) (b rollout.Busy[software.SetID], err error) {
			err = r.Scan(&b.Tenant, &b.ID, &b.Waiting)
			return b, err
		}, "SELECT tenant_id, set_id, waiting FROM invalidation ORDER BY created_at, set_id")
		return err
	})
	return list, err
}

// NoteInvalidationWaiting implements rollout.InvalidationStore.
func (s Rollouts) NoteInvalidationWaiting(ctx context.Context, t tenant.ID, set software.SetID, why string) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, "UPDATE invalidation SET waiting = $3 WHERE tenant_id = $1 AND set_id = $2 AND waiting <> $3", int64(t), int64(set), why)
		return err
	})
}

// AdvanceInvalidation implements rollout.InvalidationStore.
func (s Rollouts) AdvanceInvalidation(ctx context.Context, t tenant.ID, set software.SetID, held *lease.Held, now time.Time) (more bool, err error) {
	err = s.DB.step(ctx, func(tx *Tx) error {
		if err := tx.proveLease(ctx, held); err != nil {
			return err
		}
		more, err = tx.cancelSet(ctx, t, set, now)
		return err
	})
	return more, err
}

// invalidationStep is how many targets a step takes; of each, two entries of the
// history are written.
const invalidationStep = 2000

// cancelSet cancels some of the active actions of a set that is being
// invalidated.
func (tx *Tx) cancelSet(ctx context.Context, t tenant.ID, set software.SetID, now time.Time) (more bool, err error) {
	var force bool
	var by string
	err = tx.row(ctx, "SELECT i.force, i.by_user FROM invalidation i WHERE i.tenant_id = $1 AND i.set_id = $2"+tx.db.lock("i"), int64(t), int64(set)).Scan(&force, &by)
	if none(err) {
		return false, nil // another process was at the end first
	}
	if err != nil {
		return false, err
	}
	ids, err := tx.lockActive(ctx, "action a WHERE a.set_id = $1", " ORDER BY a.set_id, a.filed_as", int64(set), force, invalidationStep)
	if err != nil {
		return false, err
	}
	if len(ids) == 0 {
		_, err := tx.exec(ctx, "DELETE FROM invalidation WHERE set_id = $1", int64(set))
		return false, err
	}
	which, args := "+a.set_id = $2 AND a.filed_as < 0 AND a.active", []any{idList(ids), int64(set)}
	if _, err := tx.callOff(ctx, t, which+fmt.Sprintf(" AND a.filed_as = %d", filedOpen), args, ending{
		user: by, at: now, says: deployment.ServerPrefix + fmt.Sprintf("Canceled, because distribution set %d was invalidated.", set),
	}); err != nil {
		return false, err
	}
	if !force {
		return true, nil
	}
	quit, err := tx.callOff(ctx, t, which, args, ending{
		quit: true, user: by, at: now, says: deployment.ServerPrefix + fmt.Sprintf("Ended, because distribution set %d was invalidated; the device is not told.", set),
	})
	if err != nil {
		return false, err
	}
	return true, tx.rollBack(ctx, quit)
}
