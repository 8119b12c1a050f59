package fleet

import (
	"context"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A group is a text that targets have, with "/" between its levels. It has no
// other existence: a group without targets is none (management-api 2.5).

// GroupStore keeps which group each target is in.
type GroupStore interface {
	// Groups returns the distinct groups, sorted.
	Groups(ctx context.Context, t tenant.ID) ([]string, error)

	// GroupTargets returns one page of the targets of a group without regard to
	// case, with those of the groups below it if below says so.
	GroupTargets(ctx context.Context, t tenant.ID, group string, below bool, l query.List) ([]Target, int, error)

	// SetGroup puts those of the targets that exist into the group; nil takes them
	// out of theirs.
	SetGroup(ctx context.Context, t tenant.ID, group *string, targets []ControllerID, now time.Time) error

	// SetGroupWhere is SetGroup for all targets that match. It works in steps of
	// bounded size: a crash or an error may leave a part of them done, and the
	// call may be repeated.
	SetGroupWhere(ctx context.Context, t tenant.ID, group *string, filter query.Node, m query.Moment, now time.Time) error
}

// Groups returns the distinct groups of the tenant's targets, in order.
func (s *Service) Groups(ctx context.Context) ([]string, error) {
	return s.Store.Groups(ctx, caller.From(ctx).Tenant)
}

// GroupTargets lists the targets of a group without regard to case; below adds
// those of its subgroups.
func (s *Service) GroupTargets(ctx context.Context, group string, below bool, l query.List) ([]Target, int, error) {
	if group == "" {
		return nil, 0, fault.New(fault.Invalid, "findTargetsByGroup.group must not be empty.")
	}
	return s.list(ctx, l, func(ctx context.Context, t tenant.ID, l query.List) ([]Target, int, error) {
		return s.Store.GroupTargets(ctx, t, group, below, l)
	})
}

// SetGroup puts targets into a group, which is taken as it is; nil takes them
// out of theirs. Targets that are not there are ignored.
func (s *Service) SetGroup(ctx context.Context, group *string, targets []ControllerID) error {
	if len(targets) == 0 {
		return fault.New(fault.Invalid, "assignTargetsWithGroup.controllerIds must not be empty.")
	}
	if err := checkGroup(group); err != nil {
		return err
	}
	return s.Store.SetGroup(ctx, caller.From(ctx).Tenant, group, targets, s.Now())
}

// SetGroupWhere puts all targets that match the query into a group; nil takes
// them out of theirs.
func (s *Service) SetGroupWhere(ctx context.Context, group *string, q string) error {
	filter, err := query.Parse(q, TargetFields())
	if err != nil {
		return err
	}
	if err := checkGroup(group); err != nil {
		return err
	}
	settings, err := s.Tenants.Settings(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return err
	}
	return s.Store.SetGroupWhere(ctx, caller.From(ctx).Tenant, group, filter, s.moment(settings), s.Now())
}

func checkGroup(group *string) error {
	if group == nil {
		return nil
	}
	if n := len([]rune(*group)); n > MaxGroup {
		return fault.New(fault.IntegrityViolation, "The name of a group has at most %d characters, not %d.", MaxGroup, n)
	}
	return nil
}
