package rollout

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// AutoStepStore carries the steps of auto-assignments out.
type AutoStepStore interface {
	// BusyAutoAssignments lists those that run, or are due to start, the oldest
	// first.
	BusyAutoAssignments(ctx context.Context, now time.Time) ([]Busy[AutoAssignmentID], error)

	// AdvanceAutoAssignment takes one step in one transaction: it starts what is due,
	// or assigns to some targets of the cohort that cohort says. They are found
	// before the transaction and looked at again in it. A step whose held lease is
	// another's by now does nothing and fails with lease.ErrLost. One that is gone,
	// or does not run, has nothing to do.
	AdvanceAutoAssignment(ctx context.Context, t tenant.ID, id AutoAssignmentID, a AutoAdvance) (AutoOutcome, error)

	// NoteAutoWaiting records what people should know of one.
	NoteAutoWaiting(ctx context.Context, t tenant.ID, id AutoAssignmentID, why string) error
}

// AutoAdvance is what a step needs to know besides the auto-assignment.
type AutoAdvance struct {
	Held   *lease.Held
	Policy deployment.Policy
	Moment query.Moment
	After  int64 // only targets beyond this one
	Limit  int64 // targets, at most
	Now    time.Time
}

// Cohort says which targets a step chooses from.
func (a *AutoAdvance) Cohort(x *AutoAssignment) (Cohort, error) {
	c, err := x.cohort(a.Moment)
	c.After, c.Limit = a.After, a.Limit
	return c, err
}

// AutoOutcome says how a step went.
type AutoOutcome struct {
	Cursor int64 // the last target looked at
	More   bool  // there may be more beyond
	// Full are targets that were left out for they have as many actions as they
	// may, and Example is one of them.
	Full    int64
	Example fleet.ControllerID
}

// autoStepSize is how many targets a step assigns to: what it does for each of
// them is three times what a step of a rollout does.
const autoStepSize = 2000

// pass is what the engine remembers of an auto-assignment between its turns.
//
// A pass looks through all targets of the tenant, in the order of their ids, for
// those that match and never had an action for the set. Looking costs time even
// where nothing is found, about a second for a million targets, more with a filter
// that no index serves. So after a pass whose steps took t the auto-assignment is
// left alone for restFactor * t, at least for the engine's Every and at most for
// maxRest: it takes no more than a twentieth of the time, and a target that comes to
// match waits for two seconds in a fleet of a hundred thousand, for some twenty in
// one of a million. A pass that is cut short by an error or a crash begins anew; what
// it assigned, it finds assigned.
type pass struct {
	after   int64
	took    time.Duration
	full    int64
	example fleet.ControllerID
	remark  string
}

const (
	restFactor = 20
	maxRest    = 5 * time.Minute
)

func (e *Engine) autoAssignments() *worker[AutoAssignmentID, pass] {
	s := e.Rollouts
	return &worker[AutoAssignmentID, pass]{
		lease: AutoLeaseName, keeper: e.Lease, every: e.Every, now: s.Now, log: e.Log, noun: "an auto-assignment",
		busy: func(ctx context.Context) ([]Busy[AutoAssignmentID], error) {
			return s.Store.BusyAutoAssignments(ctx, s.Now())
		},
		note: s.Store.NoteAutoWaiting,
		turn: func(*pass, time.Time) {},
		step: func(ctx context.Context, b Busy[AutoAssignmentID], p *pass, held *lease.Held) (bool, error) {
			began := s.Now()
			more, err := s.stepAuto(ctx, b, p, held)
			p.took += s.Now().Sub(began)
			return more, err
		},
		rest:   func(p *pass, _ time.Duration) time.Duration { return p.rest() },
		pause:  func(_ *pass, took time.Duration) time.Duration { return halfTheTime(took) },
		remark: func(p *pass) string { return p.remark },
	}
}

// rest ends a pass, and says how long to wait for the next one.
func (p *pass) rest() time.Duration {
	took := p.took
	*p = pass{remark: p.remark}
	return min(restFactor*took, maxRest)
}

func (s *Service) stepAuto(ctx context.Context, b Busy[AutoAssignmentID], p *pass, held *lease.Held) (more bool, err error) {
	settings, err := s.Tenants.Settings(ctx, b.Tenant)
	if err != nil {
		return false, err
	}
	now := s.Now()
	o, err := s.Store.AdvanceAutoAssignment(ctx, b.Tenant, b.ID, AutoAdvance{
		Held: held, Policy: deployment.PolicyOf(settings, s.Quotas), Moment: moment(settings, now), After: p.after, Limit: cmp.Or(s.StepSize, autoStepSize), Now: now,
	})
	if err != nil {
		return false, err
	}
	p.after = o.Cursor
	p.full += o.Full
	if o.Example != "" {
		p.example = o.Example
	}
	if !o.More {
		p.remark = ""
		if p.full > 0 {
			p.remark = fmt.Sprintf("%d matching targets have as many actions as they may, %q for one, and are left out: delete some of their history, or set action.cleanup.onQuotaHit.percent.", p.full, p.example)
		}
	}
	return o.More, nil
}
