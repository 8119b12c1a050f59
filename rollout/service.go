package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Service is what the edges and the engine call. The tenant and the user are
// those of the caller in the context.
type Service struct {
	Store   Store
	Tenants Settings
	Quotas  tenant.Quotas
	Now     func() time.Time
	Log     *slog.Logger
	// StepSize is how many targets a step of background work takes; 0: as many as
	// are a moment's work.
	StepSize int64

	rollouts statistics[ID]
	groups   statistics[GroupID]
}

// Settings gives the settings of a tenant.
type Settings interface {
	Settings(ctx context.Context, id tenant.ID) (*tenant.Settings, error)
}

// Store is what rollout needs kept, declared piece by piece beside what needs it.
type Store interface {
	ReadStore
	ChangeStore
	StepStore
	AutoAssignmentStore
	AutoStepStore
	TargetFilterStore
	InvalidationStore
}

// ReadStore reads rollouts and groups. What is not there is fault.NotFound.
type ReadStore interface {
	Rollouts(ctx context.Context, t tenant.ID, m software.Deleted, l query.List) ([]Rollout, int, error)
	Rollout(ctx context.Context, t tenant.ID, id ID) (*Rollout, error)

	// Groups lists the groups of a rollout, Group returns one of them.
	Groups(ctx context.Context, t tenant.ID, id ID, l query.List) ([]Group, int, error)
	Group(ctx context.Context, t tenant.ID, id ID, group GroupID) (*Group, error)

	// GroupsOf returns all groups of rollouts, by id.
	GroupsOf(ctx context.Context, t tenant.ID, ids []ID) ([]Group, error)

	// GroupTargets lists the targets of a group: those that were planned, or those
	// that have an action of it.
	GroupTargets(ctx context.Context, t tenant.ID, group GroupID, planned bool, l query.List) ([]fleet.Target, int, error)

	// CountRollouts counts the rollouts of a set by status, deleted ones, too.
	CountRollouts(ctx context.Context, t tenant.ID, set software.SetID) (map[Status]int, error)

	// Tallies counts the actions of rollouts, GroupTallies those of groups.
	Tallies(ctx context.Context, t tenant.ID, ids []ID) (map[ID]Tally, error)
	GroupTallies(ctx context.Context, t tenant.ID, groups []GroupID) (map[GroupID]Tally, error)
}

// ChangeStore makes and changes rollouts.
type ChangeStore interface {
	// SetFacts reads what a set has to be to be rolled out, or fault.NotFound.
	SetFacts(ctx context.Context, t tenant.ID, id software.SetID) (deployment.SetFacts, error)

	// CountCohort counts the targets of a cohort, Cohort returns their ids in
	// ascending order.
	CountCohort(ctx context.Context, t tenant.ID, c Cohort) (int64, error)
	Cohort(ctx context.Context, t tenant.ID, c Cohort) ([]int64, error)

	// CreateRollout keeps a rollout with its groups, and sets their ids and the name
	// of the set, which it checks again. It locks the set and its modules where lock
	// says so. fault.Exists when the name is taken, or two groups have the same.
	CreateRollout(ctx context.Context, t tenant.ID, r *Rollout, groups []Group, lock bool) error

	// UpdateRollout lets change decide on a rollout with its groups, and on the
	// tally of the group that was started last, and saves the outcome with its
	// event. change may run more than once.
	UpdateRollout(ctx context.Context, t tenant.ID, id ID, change func(*Run) error) (*Rollout, error)
}

// A Cohort says which targets a rollout or a group can take.
type Cohort struct {
	Filter  query.Node
	Narrow  query.Node // a group's own filter; nil: none
	Moment  query.Moment
	RetryOf ID // only those whose action of this rollout failed; 0: any
	Set     software.SetID
	// CreatedBy leaves out targets that are newer; zero: none.
	CreatedBy time.Time
	// Rollout leaves out targets that are in a group of it; 0: none.
	Rollout ID
	// Newcomers leaves out targets that have an action of this rollout or of a
	// later one; 0: none.
	Newcomers ID
	// Fresh leaves out targets that have or had the set, or an action for it.
	Fresh bool
	// Among takes these targets alone, if there are any.
	Among []fleet.TargetID
	After int64 // leaves out targets up to this id
	Limit int64 // not positive: all; of CountCohort: counts no further
}

// Rollouts lists rollouts.
func (s *Service) Rollouts(ctx context.Context, m software.Deleted, l query.List) ([]Rollout, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.Rollouts(ctx, caller.From(ctx).Tenant, m, l)
}

// Rollout returns one, a deleted one, too.
func (s *Service) Rollout(ctx context.Context, id ID) (*Rollout, error) {
	return s.Store.Rollout(ctx, caller.From(ctx).Tenant, id)
}

// CountRollouts counts the rollouts of a set by status, without statuses that
// none of them has.
func (s *Service) CountRollouts(ctx context.Context, set software.SetID) (map[Status]int, error) {
	return s.Store.CountRollouts(ctx, caller.From(ctx).Tenant, set)
}

// Groups lists the groups of a rollout.
func (s *Service) Groups(ctx context.Context, id ID, l query.List) ([]Group, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.Groups(ctx, caller.From(ctx).Tenant, id, l)
}

// Group returns one group of a rollout.
func (s *Service) Group(ctx context.Context, id ID, group GroupID) (*Group, error) {
	return s.Store.Group(ctx, caller.From(ctx).Tenant, id, group)
}

// GroupTargets lists the targets of a group: while the rollout is ready those
// that are planned, afterwards those that have an action of the group. The list
// says what placeholders in its filter stand for; how polls stand is left open,
// fleet knows.
func (s *Service) GroupTargets(ctx context.Context, id ID, group GroupID, l query.List) ([]fleet.Target, int, error) {
	r, err := s.Rollout(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	return s.Store.GroupTargets(ctx, caller.From(ctx).Tenant, group, r.Status == Ready || l.Filter != nil, l)
}

// moment is what placeholders in a filter stand for.
func moment(t *tenant.Settings, now time.Time) query.Moment {
	return query.Moment{Now: now.UnixMilli(), OverdueBefore: t.OverdueSince(now).UnixMilli()}
}

// Update renames or describes a rollout; nil leaves a text as it is.
func (s *Service) Update(ctx context.Context, id ID, name, description *string) (*Rollout, error) {
	var v freetext.Violations
	if name != nil {
		checkName(&v, "update.update.", *name)
	}
	v.OptionalText("update.update.description", description, 0, MaxDescription)
	if err := v.Err(); err != nil {
		return nil, err
	}
	return s.Store.UpdateRollout(ctx, caller.From(ctx).Tenant, id, func(r *Run) error {
		r.Now = s.Now()
		return r.Rollout.describe(ctx, name, description, r.Now)
	})
}

// Start begins a rollout that is ready; its actions are made in the background.
func (s *Service) Start(ctx context.Context, id ID) error {
	_, err := s.change(ctx, id, func(r *Run) error { return r.Rollout.Start(caller.From(ctx).User) })
	return err
}

// Pause keeps the groups of a running rollout from being judged and started.
func (s *Service) Pause(ctx context.Context, id ID) error {
	_, err := s.change(ctx, id, func(r *Run) error { return r.Rollout.Pause() })
	return err
}

// Resume lets a paused rollout go on.
func (s *Service) Resume(ctx context.Context, id ID) error {
	return s.launch(ctx, id, func(r *Run) error {
		r.Rollout.Touch(ctx, r.Now)
		return r.Resume()
	})
}

// TriggerNextGroup starts the next group of a running rollout at once. It counts
// as no change of the rollout itself (a surprise of the contract).
func (s *Service) TriggerNextGroup(ctx context.Context, id ID) error {
	return s.launch(ctx, id, (*Run).TriggerNext)
}

// launchNow bounds how long a caller waits for a group that starts at once; the
// engine goes on with the rest of a large one.
const launchNow = 2 * time.Second

func (s *Service) launch(ctx context.Context, id ID, change func(*Run) error) error {
	_, err := s.Store.UpdateRollout(ctx, caller.From(ctx).Tenant, id, func(r *Run) error {
		r.Now = s.Now()
		return change(r)
	})
	if err != nil {
		return err
	}
	began := s.Now()
	turn := &Turn{Judged: true, Full: true}
	for more := true; more && s.Now().Sub(began) < launchNow; {
		if more, err = s.step(ctx, caller.From(ctx).Tenant, id, turn, nil); err != nil {
			s.Log.WarnContext(ctx, "a rollout's group is left to the background", slog.Int64("rollout", int64(id)), slog.Any("error", err))
			return nil // it is on record that the group starts
		}
	}
	return nil
}

// Stop ends a rollout and asks devices to give up what they have not finished.
func (s *Service) Stop(ctx context.Context, id ID) error {
	_, err := s.change(ctx, id, func(r *Run) error { return r.Rollout.Stop() })
	return err
}

// Delete ends a rollout and removes it, or what can be removed of it.
func (s *Service) Delete(ctx context.Context, id ID) error {
	_, err := s.Store.UpdateRollout(ctx, caller.From(ctx).Tenant, id, func(r *Run) error {
		if r.Now = s.Now(); r.Rollout.Status != Deleting {
			r.Rollout.Delete()
			r.Rollout.Touch(ctx, r.Now)
		}
		return nil
	})
	return err
}

// Approve lets a rollout be started.
func (s *Service) Approve(ctx context.Context, id ID, remark *string) error {
	return s.decide(ctx, id, remark, (*Rollout).Approve)
}

// Deny keeps a rollout from ever being started.
func (s *Service) Deny(ctx context.Context, id ID, remark *string) error {
	return s.decide(ctx, id, remark, (*Rollout).Deny)
}

func (s *Service) decide(ctx context.Context, id ID, remark *string, to func(*Rollout, string, *string) error) error {
	_, err := s.change(ctx, id, func(r *Run) error {
		if err := to(&r.Rollout, caller.From(ctx).User, remark); err != nil {
			return err
		}
		return checkRemark(remark)
	})
	return err
}

// checkRemark bounds a remark on an approval; it is kept as it was sent.
func checkRemark(remark *string) error {
	var v freetext.Violations
	if remark != nil {
		v.Length("approvalRemark", *remark, 0, MaxRemark)
	}
	return v.Err()
}

// change is a user's change of a rollout.
func (s *Service) change(ctx context.Context, id ID, change func(*Run) error) (*Rollout, error) {
	return s.Store.UpdateRollout(ctx, caller.From(ctx).Tenant, id, func(r *Run) error {
		r.Now = s.Now()
		if err := change(r); err != nil {
			return err
		}
		r.Rollout.Touch(ctx, r.Now)
		return nil
	})
}

// cohort says which targets a group can take, or a growing group.
func (r *Run) cohort(g *Group, grows bool, m query.Moment) (Cohort, error) {
	c := Cohort{Set: r.Rollout.Set, RetryOf: r.Rollout.RetryOf, Moment: m}
	var err error
	if r.Rollout.RetryOf == 0 {
		if c.Filter, err = query.Parse(r.Rollout.Filter, fleet.TargetFields()); err != nil {
			return c, fmt.Errorf("filter of rollout %d: %w", r.Rollout.ID, err)
		}
	}
	if g.Filter != "" {
		if c.Narrow, err = query.Parse(g.Filter, fleet.TargetFields()); err != nil {
			return c, fmt.Errorf("filter of group %q: %w", g.Name, err)
		}
	}
	if grows {
		c.Newcomers = r.Rollout.ID
	} else {
		c.CreatedBy, c.After = r.Rollout.CreatedAt, g.Cursor
		// Groups of one filter take targets one after the other, and none twice.
		if slices.ContainsFunc(r.Groups, func(o Group) bool { return o.Filter != g.Filter }) {
			c.Rollout = r.Rollout.ID
		}
	}
	return c, nil
}
