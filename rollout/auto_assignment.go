package rollout

import (
	"context"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// AutoAssignmentID is the key of an auto-assignment, unique over all tenants.
type AutoAssignmentID int64

// AutoAssignmentStatus is the state of an auto-assignment. The numbers are
// stored.
type AutoAssignmentStatus int

// The states (update-domain 2.12). The engine works on AutoReady and AutoRunning.
const (
	AutoWaitingForApproval AutoAssignmentStatus = 0
	AutoDenied             AutoAssignmentStatus = 1
	AutoReady              AutoAssignmentStatus = 2
	AutoPaused             AutoAssignmentStatus = 3
	AutoRunning            AutoAssignmentStatus = 4
)

// AutoAssignmentStatusNames are the states of an auto-assignment as the
// management API spells them, by number.
func AutoAssignmentStatusNames() []string {
	return []string{"waiting_for_approval", "approval_denied", "ready", "paused", "running"}
}

// String returns the state as the management API spells it.
func (s AutoAssignmentStatus) String() string {
	if n := AutoAssignmentStatusNames(); s >= 0 && int(s) < len(n) {
		return n[s]
	}
	return "unknown"
}

// AutoAssignment brings a distribution set to every target that matches a filter
// now or later, fits the set's type, and never had an action for the set
// (update-domain 1.9).
type AutoAssignment struct {
	ID          AutoAssignmentID
	Name        string
	Description *string
	Filter      string
	Set         software.SetID
	SetName     string // when read, as the next
	SetVersion  string
	Type        deployment.Type // never TimeForced
	Weight      int
	Consent     bool       // devices are asked, where the tenant's flow is on
	StartAt     *time.Time // not before; nil: as soon as it is ready
	Status      AutoAssignmentStatus

	ApprovalBy     *string
	ApprovalRemark *string

	Waiting string // what keeps it from going on, or whom it leaves out, for people; empty: nothing
	caller.Stamps
}

func (a *AutoAssignment) illegal(must string) error {
	return fault.New(fault.AutoAssignState, "Auto-assignment %d %s; it is %s.", a.ID, must, a.Status)
}

// Approve lets the auto-assignment start.
func (a *AutoAssignment) Approve(by string, remark *string) error {
	return a.decide(AutoReady, by, remark)
}

// Deny keeps the auto-assignment from ever starting.
func (a *AutoAssignment) Deny(by string, remark *string) error {
	return a.decide(AutoDenied, by, remark)
}

func (a *AutoAssignment) decide(to AutoAssignmentStatus, by string, remark *string) error {
	if a.Status != AutoWaitingForApproval {
		return a.illegal("is not waiting for approval")
	}
	a.Status, a.ApprovalBy, a.ApprovalRemark = to, &by, remark
	return nil
}

// Start begins to assign, also before the time that was set for it.
func (a *AutoAssignment) Start() error { return a.move(AutoReady, AutoRunning, "started") }

// Pause keeps new targets from being assigned to; what was assigned goes on.
func (a *AutoAssignment) Pause() error { return a.move(AutoRunning, AutoPaused, "paused") }

// Resume goes on with assigning.
func (a *AutoAssignment) Resume() error { return a.move(AutoPaused, AutoRunning, "resumed") }

func (a *AutoAssignment) move(from, to AutoAssignmentStatus, verb string) error {
	if a.Status != from {
		return a.illegal("can be " + verb + " while it is " + from.String())
	}
	a.Status = to
	return nil
}

// Due reports whether the auto-assignment starts by itself now.
func (a *AutoAssignment) Due(now time.Time) bool {
	return a.Status == AutoReady && (a.StartAt == nil || !a.StartAt.After(now))
}

// Assignment is how the auto-assignment assigns to any target (update-domain 2.1
// and 2.14): for each of them by the one order that it holds.
func (a *AutoAssignment) Assignment(p deployment.Policy, now time.Time) *deployment.Assignment {
	consent := deployment.ConsentGiven
	if a.Consent {
		consent = deployment.ConsentAsked
	}
	return &deployment.Assignment{
		Set:         a.Set,
		Orders:      []deployment.Order{{Set: a.Set, Type: a.Type, Weight: a.Weight, Consent: consent}},
		Policy:      p,
		Stamps:      caller.Stamps{CreatedBy: a.CreatedBy, CreatedAt: now, ModifiedBy: a.CreatedBy, ModifiedAt: now},
		InitiatedBy: a.CreatedBy,
		Text:        "Auto assignment: " + a.Name, // these words are in the contract
	}
}

// cohort says which targets the auto-assignment takes.
func (a *AutoAssignment) cohort(m query.Moment) (Cohort, error) {
	filter, err := query.Parse(a.Filter, fleet.TargetFields())
	return Cohort{Filter: filter, Moment: m, Set: a.Set, Fresh: true}, err
}

// AutoAssignmentStore keeps auto-assignments. What is not there is
// fault.NotFound.
type AutoAssignmentStore interface {
	AutoAssignments(ctx context.Context, t tenant.ID, l query.List) ([]AutoAssignment, int, error)
	AutoAssignment(ctx context.Context, t tenant.ID, id AutoAssignmentID) (*AutoAssignment, error)

	// AutoAssignmentsOf lists those of a set, CountAutoAssignments counts them.
	AutoAssignmentsOf(ctx context.Context, t tenant.ID, set software.SetID, l query.List) ([]AutoAssignment, int, error)
	CountAutoAssignments(ctx context.Context, t tenant.ID, set software.SetID) (int, error)

	// CreateAutoAssignment keeps one and sets its id. The set has to suit when it
	// is kept; with lock, it and its modules are locked. fault.Exists when the name
	// is taken.
	CreateAutoAssignment(ctx context.Context, t tenant.ID, a *AutoAssignment, lock bool) error

	// UpdateAutoAssignment lets change decide and saves the outcome with its event.
	// change may run more than once. fault.Exists when the name is taken.
	UpdateAutoAssignment(ctx context.Context, t tenant.ID, id AutoAssignmentID, change func(*AutoAssignment) error) (*AutoAssignment, error)

	// DeleteAutoAssignment removes one; the actions it made stay.
	DeleteAutoAssignment(ctx context.Context, t tenant.ID, id AutoAssignmentID, now time.Time) error
}

// A Rule is what an auto-assignment is made from.
type Rule struct {
	Name        string
	Description *string
	Filter      string
	Set         software.SetID
	Type        deployment.Type
	Weight      *int  // nil: deployment.DefaultWeight
	Consent     *bool // nil: as the tenant's flow
	StartAt     *time.Time
}

// AutoAssignments lists auto-assignments.
func (s *Service) AutoAssignments(ctx context.Context, l query.List) ([]AutoAssignment, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.AutoAssignments(ctx, caller.From(ctx).Tenant, l)
}

// AutoAssignment returns one.
func (s *Service) AutoAssignment(ctx context.Context, id AutoAssignmentID) (*AutoAssignment, error) {
	return s.Store.AutoAssignment(ctx, caller.From(ctx).Tenant, id)
}

// AutoAssignmentsOf lists the auto-assignments of a set.
func (s *Service) AutoAssignmentsOf(ctx context.Context, set software.SetID, l query.List) ([]AutoAssignment, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.AutoAssignmentsOf(ctx, caller.From(ctx).Tenant, set, l)
}

// CountAutoAssignments counts the auto-assignments of a set.
func (s *Service) CountAutoAssignments(ctx context.Context, set software.SetID) (int, error) {
	return s.Store.CountAutoAssignments(ctx, caller.From(ctx).Tenant, set)
}

// CreateAutoAssignment makes an auto-assignment, which starts by itself unless
// it has to be approved first.
func (s *Service) CreateAutoAssignment(ctx context.Context, r Rule) (*AutoAssignment, error) {
	var v freetext.Violations
	v.Length("name", freetext.Trim(r.Name), 1, MaxName)
	if r.Description != nil {
		v.Length("description", *r.Description, 0, MaxDescription)
	}
	if r.Filter == "" {
		v.Add("create.create.targetFilterQuery", "must not be empty: give name==* for all targets")
	}
	v.Text("targetFilterQuery", r.Filter, 0, MaxFilter)
	a, lock, err := s.plan(ctx, r, &v)
	if err != nil {
		return nil, err
	}
	return a, s.Store.CreateAutoAssignment(ctx, caller.From(ctx).Tenant, a, lock)
}

// plan holds a rule to the rest of its rules (management-api 2.7), and says what
// becomes of it and whether its set is to be locked.
func (s *Service) plan(ctx context.Context, r Rule, v *freetext.Violations) (a *AutoAssignment, lock bool, err error) {
	me := caller.From(ctx)
	if r.Weight != nil {
		v.Number("weight", int64(*r.Weight), 0, deployment.MaxWeight)
	}
	if err := v.Err(); err != nil {
		return nil, false, err
	}
	if r.Type == deployment.TimeForced {
		return nil, false, fault.New(fault.AutoAssignType, "An auto-assignment cannot be timeforced: give forced, soft or downloadonly.")
	}
	settings, err := s.Tenants.Settings(ctx, me.Tenant)
	if err != nil {
		return nil, false, err
	}
	a = &AutoAssignment{
		Name: freetext.Trim(r.Name), Filter: freetext.Trim(r.Filter), Set: r.Set, Type: r.Type, Weight: deployment.DefaultWeight,
		Consent: settings.ConfirmationFlow, StartAt: r.StartAt, Status: AutoReady, Stamps: caller.Stamp(ctx, s.Now()),
	}
	if r.Description != nil {
		text := freetext.Trim(*r.Description)
		a.Description = &text
	}
	if r.Weight != nil {
		a.Weight = *r.Weight
	}
	if r.Consent != nil {
		a.Consent = *r.Consent
	}
	if settings.AutoAssignApproval {
		a.Status = AutoWaitingForApproval
	}
	c, err := a.cohort(moment(settings, s.Now()))
	if err != nil {
		return nil, false, err
	}
	set, err := s.Store.SetFacts(ctx, me.Tenant, r.Set)
	if err != nil {
		return nil, false, err
	}
	if err := set.Suits(); err != nil {
		return nil, false, err
	}
	if most := int64(s.Quotas.TargetsPerAutoRule); most > 0 {
		c.Limit = most + 1
		n, err := s.Store.CountCohort(ctx, me.Tenant, c)
		if err != nil {
			return nil, false, err
		}
		if n > most {
			return nil, false, fault.New(fault.Quota, "More than %d targets match that have no action for the distribution set, and an auto-assignment may begin with %d: narrow the filter, or use a rollout.", most, most)
		}
	}
	return a, settings.ImplicitLock && !set.Unlocked, nil
}

// UpdateAutoAssignment renames or describes an auto-assignment; nil leaves a
// text as it is.
func (s *Service) UpdateAutoAssignment(ctx context.Context, id AutoAssignmentID, name, description *string) (*AutoAssignment, error) {
	var v freetext.Violations
	if name != nil {
		v.Length("name", freetext.Trim(*name), 1, MaxName)
	}
	if description != nil {
		v.Length("description", *description, 0, MaxDescription)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	return s.Store.UpdateAutoAssignment(ctx, caller.From(ctx).Tenant, id, func(a *AutoAssignment) error {
		before := *a
		if name != nil {
			a.Name = freetext.Trim(*name)
		}
		if description != nil {
			text := freetext.Trim(*description)
			if a.Description == nil || *a.Description != text {
				a.Description = &text
			}
		}
		if before != *a {
			a.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteAutoAssignment removes an auto-assignment. The actions it made stay.
func (s *Service) DeleteAutoAssignment(ctx context.Context, id AutoAssignmentID) error {
	err := s.Store.DeleteAutoAssignment(ctx, caller.From(ctx).Tenant, id, s.Now())
	if fault.Is(err, fault.NotFound) {
		return fault.MissingAll("AutoAssignment", int64(id))
	}
	return err
}

// ApproveAutoAssignment lets one that waits for approval start.
func (s *Service) ApproveAutoAssignment(ctx context.Context, id AutoAssignmentID, remark *string) error {
	return s.decideAuto(ctx, id, remark, (*AutoAssignment).Approve)
}

// DenyAutoAssignment keeps one that waits for approval from ever starting.
func (s *Service) DenyAutoAssignment(ctx context.Context, id AutoAssignmentID, remark *string) error {
	return s.decideAuto(ctx, id, remark, (*AutoAssignment).Deny)
}

func (s *Service) decideAuto(ctx context.Context, id AutoAssignmentID, remark *string, to func(*AutoAssignment, string, *string) error) error {
	if err := checkRemark(remark); err != nil {
		return err
	}
	return s.moveAuto(ctx, id, func(a *AutoAssignment) error { return to(a, caller.From(ctx).User, remark) })
}

// StartAutoAssignment starts one at once.
func (s *Service) StartAutoAssignment(ctx context.Context, id AutoAssignmentID) error {
	return s.moveAuto(ctx, id, (*AutoAssignment).Start)
}

// PauseAutoAssignment pauses one.
func (s *Service) PauseAutoAssignment(ctx context.Context, id AutoAssignmentID) error {
	return s.moveAuto(ctx, id, (*AutoAssignment).Pause)
}

// ResumeAutoAssignment lets one go on.
func (s *Service) ResumeAutoAssignment(ctx context.Context, id AutoAssignmentID) error {
	return s.moveAuto(ctx, id, (*AutoAssignment).Resume)
}

func (s *Service) moveAuto(ctx context.Context, id AutoAssignmentID, change func(*AutoAssignment) error) error {
	_, err := s.Store.UpdateAutoAssignment(ctx, caller.From(ctx).Tenant, id, func(a *AutoAssignment) error {
		if err := change(a); err != nil {
			return err
		}
		a.Touch(ctx, s.Now())
		return nil
	})
	return err
}
