package rollout

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// StepStore carries steps out.
type StepStore interface {
	// Busy lists the rollouts that the engine works on, the oldest first.
	Busy(ctx context.Context) ([]Busy[ID], error)

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

// Advance is what a step needs to know besides the rollout.
type Advance struct {
	Held      *lease.Held // nil: a user waits for the step
	Turn      *Turn
	Policy    deployment.Policy
	Approval  bool
	MaxGroups int
	StepSize  int64 // targets, at most; 0: as many as the turn's pace says
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
		MaxGroups: s.Quotas.GroupsPerRollout, StepSize: s.StepSize, Moment: moment(settings, now), Now: now,
	})
}

// Engine brings rollouts and auto-assignments forward, and invalidations of
// distribution sets to their end. Any number of processes may run one; a lease for
// each kind of work lets one of them do it at a time, and another one go on when it
// is gone.
type Engine struct {
	Rollouts *Service
	Lease    *lease.Keeper
	Every    time.Duration // how long a thing is left alone after its turn, at least
	Log      *slog.Logger
}

// Names of the engine's leases.
const (
	LeaseName           = "rollouts"
	AutoLeaseName       = "auto-assignments"
	InvalidateLeaseName = "invalidations"
)

// growEvery is how long nothing is looked for to grow by after nothing was found.
const growEvery = time.Minute

// Run works until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.rollouts().run(ctx) })
	g.Go(func() error { return e.autoAssignments().run(ctx) })
	g.Go(func() error { return e.invalidations().run(ctx) })
	return g.Wait()
}

// turnState is what the engine remembers of a rollout between its turns.
type turnState struct {
	turn    Turn
	growDue time.Time
}

func (e *Engine) rollouts() *worker[ID, turnState] {
	s := e.Rollouts
	return &worker[ID, turnState]{
		lease: LeaseName, keeper: e.Lease, every: e.Every, now: s.Now, log: e.Log, noun: "a rollout",
		busy: s.Store.Busy,
		note: s.Store.NoteWaiting,
		turn: func(st *turnState, now time.Time) {
			if st.turn.Full && !now.Before(st.growDue) {
				st.turn.Full = false
			}
		},
		step: func(ctx context.Context, b Busy[ID], st *turnState, held *lease.Held) (bool, error) {
			full := st.turn.Full
			more, err := s.step(ctx, b.Tenant, b.ID, &st.turn, held)
			if st.turn.Full && !full {
				st.growDue = s.Now().Add(growEvery)
			}
			if !more || err != nil {
				st.turn.Judged = false
			}
			return more, err
		},
		// Looking at a large group takes a while: never all of the time.
		rest:   func(_ *turnState, took time.Duration) time.Duration { return 5 * took },
		pause:  func(st *turnState, took time.Duration) time.Duration { return st.turn.pause(took) },
		remark: func(st *turnState) string { return st.turn.Remark },
	}
}
