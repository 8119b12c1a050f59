package rollout

import (
	"context"
	"log/slog"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// StepStore carries steps out.
type StepStore interface {
	// Busy lists the rollouts that the engine works on, the oldest first.
	Busy(ctx context.Context) ([]Busy, error)

	// Advance takes one step of a rollout in one transaction: it locks the
	// rollout, lets it decide, carries the work out, and saves states and progress
	// with their events. It reports whether the rollout has more to do in this
	// turn. Whoever else changes the rollout waits meanwhile, so that any number of
	// processes may call it; a step whose held lease is another's by now does
	// nothing and fails with lease.ErrLost. A rollout that is gone has nothing to
	// do.
	Advance(ctx context.Context, t tenant.ID, id ID, a Advance) (more bool, err error)

	// NoteWaiting records why a rollout's step failed, for people.
	NoteWaiting(ctx context.Context, t tenant.ID, id ID, why string) error
}

// Busy is a rollout that the engine works on.
type Busy struct {
	Tenant tenant.ID
	ID     ID
}

// Advance is what a step needs to know besides the rollout.
type Advance struct {
	Held      *lease.Held // nil: a user waits for the step
	Turn      *Turn
	Policy    deployment.Policy
	Approval  bool
	MaxGroups int
	Moment    query.Moment
	Now       time.Time
}

// Cohort says which targets a step chooses from.
func (a *Advance) Cohort(r *Run, s Step) (Cohort, error) {
	c, err := r.cohort(s.Group, s.Work == Grow, a.Moment)
	c.Limit = s.Limit
	return c, err
}

// step takes one step of a rollout.
func (s *Service) step(ctx context.Context, t tenant.ID, id ID, turn *Turn, held *lease.Held) (bool, error) {
	settings, err := s.Tenants.Settings(ctx, t)
	if err != nil {
		return false, err
	}
	now := s.Now()
	return s.Store.Advance(ctx, t, id, Advance{
		Held: held, Turn: turn, Policy: deployment.PolicyOf(settings, s.Quotas), Approval: settings.RolloutApproval,
		MaxGroups: s.Quotas.GroupsPerRollout, Moment: moment(settings, now), Now: now,
	})
}

// Engine brings rollouts forward. Any number of processes may run one; a lease
// lets one of them work at a time, and another one go on when it is gone.
type Engine struct {
	Rollouts *Service
	Lease    *lease.Keeper
	Every    time.Duration // how long a rollout is left alone after its turn
	Log      *slog.Logger

	turns map[ID]*turnState
}

// turnState is what the engine remembers of a rollout between its turns. Losing
// it costs a turn too early.
type turnState struct {
	turn    Turn
	due     time.Time
	growDue time.Time
	failing string
}

const (
	// LeaseName names the engine's lease.
	LeaseName = "rollouts"
	// growEvery is how long nothing is looked for to grow by after nothing was found.
	growEvery = time.Minute
	// shareOfTime is how long a rollout may take steps before the next one has its share.
	shareOfTime = 500 * time.Millisecond
)

// Run works until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	e.turns = map[ID]*turnState{}
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
		}
		idle.Reset(e.round(ctx))
	}
}

// round gives each rollout that is due its share, and says when to come back.
func (e *Engine) round(ctx context.Context) time.Duration {
	busy, err := e.Rollouts.Store.Busy(ctx)
	if err != nil || len(busy) == 0 {
		return e.Every // whoever serves requests reports a database that is gone
	}
	there := make(map[ID]bool, len(busy))
	next := e.Every
	for _, b := range busy {
		there[b.ID] = true
		held, err := e.Lease.Hold(ctx, LeaseName)
		if err != nil || held == nil || ctx.Err() != nil {
			clear(e.turns)
			return e.Every
		}
		if e.share(ctx, b, held) {
			next = 0
		}
	}
	for id := range e.turns {
		if !there[id] {
			delete(e.turns, id)
		}
	}
	for _, st := range e.turns {
		next = min(next, max(st.due.Sub(e.Rollouts.Now()), 0))
	}
	return next
}

// share lets one rollout take steps, and reports whether it has more to do.
func (e *Engine) share(ctx context.Context, b Busy, held *lease.Held) (more bool) {
	st := e.turns[b.ID]
	if st == nil {
		st = &turnState{}
		e.turns[b.ID] = st
	}
	now := e.Rollouts.Now()
	if now.Before(st.due) {
		return false
	}
	if st.turn.Full && !now.Before(st.growDue) {
		st.turn.Full = false
	}
	full := st.turn.Full
	ctx = caller.With(ctx, caller.Caller{Tenant: b.Tenant, User: caller.System})
	for {
		more, err := e.Rollouts.step(ctx, b.Tenant, b.ID, &st.turn, held)
		if err != nil {
			e.failed(ctx, b, st, err)
			more = false
		} else if st.failing != "" {
			st.failing = ""
			e.note(ctx, b, "")
		}
		end := e.Rollouts.Now()
		if st.turn.Full && !full {
			st.growDue, full = end.Add(growEvery), true
		}
		if !more {
			st.turn.Judged = false
			// Looking at a large group takes a while: never all of the time.
			st.due = end.Add(max(e.Every, 5*end.Sub(now)))
			return false
		}
		if end.Sub(now) > shareOfTime {
			return true
		}
	}
}

// failed notes on the rollout why it does not go on. It is tried again.
func (e *Engine) failed(ctx context.Context, b Busy, st *turnState, err error) {
	if lease.Lost(err) {
		e.Lease.Lose(LeaseName)
		return
	}
	if ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
		return // said elsewhere
	}
	why := "A fault of the server keeps it from going on; its log says more."
	if m := fault.Message(err); m != "" {
		why = m
	}
	if st.failing != why {
		e.Log.WarnContext(ctx, "a rollout does not go on; it is tried again", slog.Int64("rollout", int64(b.ID)), slog.Any("error", err))
		e.note(ctx, b, why)
	}
	st.failing = why
}

func (e *Engine) note(ctx context.Context, b Busy, why string) {
	if err := e.Rollouts.Store.NoteWaiting(ctx, b.Tenant, b.ID, why); err != nil && ctx.Err() == nil {
		e.Log.WarnContext(ctx, "what a rollout waits for cannot be noted", slog.Int64("rollout", int64(b.ID)), slog.Any("error", err))
	}
}
