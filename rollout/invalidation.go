package rollout

import (
	"context"
	"log/slog"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Cancelation says what becomes of the rollouts and actions of a set that is
// invalidated.
type Cancelation int

// The kinds of cancelation (update-domain 2.13).
const (
	CancelNothing Cancelation = iota // they go on
	CancelSoft                       // rollouts stop, devices are asked to give up
	CancelForce                      // rollouts are deleted, actions end at once
)

// End ends the rollout as the cancelation says, if it can still be ended, and
// reports whether it did.
func (c Cancelation) End(r *Rollout) bool {
	if c == CancelNothing || !r.Stoppable() {
		return false
	}
	r.Status = Stopping
	if c == CancelForce {
		r.Delete()
	}
	return true
}

// An Invalidation makes a set invalid and cancels what the kind says.
type Invalidation struct {
	Set  software.SetID
	Kind Cancelation
	By   string
	Now  time.Time
}

// InvalidationStore keeps invalidations under way. A set can have a million active
// actions: they are canceled in steps, and a row says that some are left, so that
// any process goes on after a crash.
type InvalidationStore interface {
	// InvalidateSet lets invalidate decide on the set. In the same transaction it
	// removes the auto-assignments of the set, ends its rollouts, and, unless nothing
	// is canceled, takes the first step and reports whether there is more to do.
	// Several invalidations of a set are one, of the newest kind.
	InvalidateSet(ctx context.Context, t tenant.ID, i Invalidation, invalidate func(*software.Set) error) (more bool, err error)

	// BusyInvalidations lists the sets that have actions left to cancel.
	BusyInvalidations(ctx context.Context) ([]Busy[software.SetID], error)

	// AdvanceInvalidation takes one step: it cancels some actions, or notes that none
	// are left. Whoever else takes a step waits meanwhile. A step whose held lease is
	// another's by now does nothing and fails with lease.ErrLost.
	AdvanceInvalidation(ctx context.Context, t tenant.ID, set software.SetID, held *lease.Held, now time.Time) (more bool, err error)

	// NoteInvalidationWaiting records why a step failed.
	NoteInvalidationWaiting(ctx context.Context, t tenant.ID, set software.SetID, why string) error
}

// InvalidateSet makes a set invalid for ever: nothing new may use it, its
// auto-assignments are gone, and what the kind says is canceled, of many actions
// the rest in the background. Doing so again cancels again.
func (s *Service) InvalidateSet(ctx context.Context, set software.SetID, kind Cancelation) error {
	me := caller.From(ctx)
	began := s.Now()
	more, err := s.Store.InvalidateSet(ctx, me.Tenant, Invalidation{set, kind, me.User, began}, func(set *software.Set) error {
		changed, err := set.Invalidate()
		if changed {
			set.Touch(ctx, began)
		}
		return err
	})
	if err != nil {
		return err
	}
	for more && s.Now().Sub(began) < launchNow {
		if more, err = s.Store.AdvanceInvalidation(ctx, me.Tenant, set, nil, s.Now()); err != nil {
			s.Log.WarnContext(ctx, "the actions of an invalidated set are left to the background", slog.Int64("set", int64(set)), slog.Any("error", err))
			return nil // it is on record that they are to be canceled
		}
	}
	return nil
}

func (e *Engine) invalidations() *worker[software.SetID, struct{}] {
	s := e.Rollouts
	return &worker[software.SetID, struct{}]{
		lease: InvalidateLeaseName, keeper: e.Lease, every: e.Every, now: s.Now, log: e.Log, noun: "an invalidation",
		busy: s.Store.BusyInvalidations,
		note: s.Store.NoteInvalidationWaiting,
		turn: func(*struct{}, time.Time) {},
		step: func(ctx context.Context, b Busy[software.SetID], _ *struct{}, held *lease.Held) (bool, error) {
			return s.Store.AdvanceInvalidation(ctx, b.Tenant, b.ID, held, s.Now())
		},
		rest: func(*struct{}, time.Duration) time.Duration { return 0 },
	}
}
