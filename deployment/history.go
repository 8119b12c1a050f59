package deployment

import (
	"context"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// ActionStore reads actions and removes them.
type ActionStore interface {
	// Actions returns one page of the tenant's actions and how many there are in all.
	Actions(ctx context.Context, t tenant.ID, l query.List) ([]Action, int, error)

	// TargetActions is Actions of one target; fault.NotFound when there is no such target.
	TargetActions(ctx context.Context, t tenant.ID, target fleet.ControllerID, l query.List) ([]Action, int, error)

	// Action returns one, or fault.NotFound.
	Action(ctx context.Context, t tenant.ID, id ActionID) (*Action, error)

	// History returns one page of an action's entries; fault.NotFound or
	// fault.ForeignAction as UpdateCase.
	History(ctx context.Context, t tenant.ID, target fleet.ControllerID, id ActionID, l query.List) ([]Entry, int, error)

	// CountActions counts the actions of a set by status.
	CountActions(ctx context.Context, t tenant.ID, set software.SetID) (map[Status]int, error)

	// DeleteActions removes the selected actions with their history, unless one
	// of them has another status than the allowed: then it removes nothing and
	// returns how many those are.
	DeleteActions(ctx context.Context, t tenant.ID, which Selection, allowed []Status, now time.Time) (refused int, err error)

	// DeleteOldest removes those of a target's actions that have an allowed
	// status and are not among the newest keep of all; fault.NotFound when there
	// is no such target.
	DeleteOldest(ctx context.Context, t tenant.ID, target fleet.ControllerID, keep int, allowed []Status, now time.Time) error
}

// A Selection says which actions a call is about. Unknown ids, and those of
// another target than Target, select nothing.
type Selection struct {
	IDs    []ActionID
	Filter query.Node // used without IDs
	Moment query.Moment
	Target fleet.ControllerID // empty: of any target
}

// Actions lists the tenant's actions.
func (s *Service) Actions(ctx context.Context, l query.List) ([]Action, int, error) {
	t := caller.From(ctx).Tenant
	var err error
	if l.Moment, err = s.moment(ctx, t); err != nil {
		return nil, 0, err
	}
	return s.Store.Actions(ctx, t, l)
}

// TargetActions lists the actions of one target.
func (s *Service) TargetActions(ctx context.Context, target fleet.ControllerID, l query.List) ([]Action, int, error) {
	t := caller.From(ctx).Tenant
	var err error
	if l.Moment, err = s.moment(ctx, t); err != nil {
		return nil, 0, err
	}
	return s.Store.TargetActions(ctx, t, target, l)
}

// moment is what placeholders in a query stand for now.
func (s *Service) moment(ctx context.Context, t tenant.ID) (query.Moment, error) {
	settings, err := s.Tenants.Settings(ctx, t)
	if err != nil {
		return query.Moment{}, err
	}
	now := s.Now()
	return query.Moment{Now: now.UnixMilli(), OverdueBefore: now.Add(-settings.Polling.Base.Longest() - settings.OverdueAfter).UnixMilli()}, nil
}

// Action returns one action, or fault.NotFound.
func (s *Service) Action(ctx context.Context, id ActionID) (*Action, error) {
	return s.Store.Action(ctx, caller.From(ctx).Tenant, id)
}

// TargetAction returns one action of a target: fault.NotFound when there is no
// such action, fault.ForeignAction when it is another target's.
func (s *Service) TargetAction(ctx context.Context, target fleet.ControllerID, id ActionID) (*Action, error) {
	a, err := s.Action(ctx, id)
	if err == nil && a.ControllerID != target {
		return nil, fault.New(fault.ForeignAction, "Action %d is not an action of target %s.", id, target)
	}
	return a, err
}

// History lists the entries of an action's history.
func (s *Service) History(ctx context.Context, target fleet.ControllerID, id ActionID, l query.List) ([]Entry, int, error) {
	return s.Store.History(ctx, caller.From(ctx).Tenant, target, id, l)
}

// CountActions counts the actions of a set by status, without statuses that
// none has.
func (s *Service) CountActions(ctx context.Context, set software.SetID) (map[Status]int, error) {
	return s.Store.CountActions(ctx, caller.From(ctx).Tenant, set)
}

// DeleteAction removes one action with its history. Its target stays as it is:
// one whose active action goes stays pending with nothing on offer.
func (s *Service) DeleteAction(ctx context.Context, id ActionID) error {
	if _, err := s.Action(ctx, id); err != nil {
		return err
	}
	return s.delete(ctx, Selection{IDs: []ActionID{id}}, "Action %[3]d is in no status that allows deletion: [%[2]s].", int64(id))
}

// DeleteActions removes the actions of the ids, all or none.
func (s *Service) DeleteActions(ctx context.Context, ids []ActionID) error {
	return s.delete(ctx, Selection{IDs: ids}, "%[1]d of the actions are in no status that allows deletion: [%[2]s]; none was deleted.")
}

// DeleteMatching removes the actions that match the filter, all or none.
func (s *Service) DeleteMatching(ctx context.Context, filter query.Node) error {
	moment, err := s.moment(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return err
	}
	return s.delete(ctx, Selection{Filter: filter, Moment: moment}, "%[1]d of the actions that match are in no status that allows deletion: [%[2]s]; none was deleted.")
}

// DeleteTargetActions removes those of the actions that are the target's, all or none.
func (s *Service) DeleteTargetActions(ctx context.Context, target fleet.ControllerID, ids []ActionID) error {
	return s.delete(ctx, Selection{IDs: ids, Target: target}, "%[1]d of the actions are in no status that allows deletion: [%[2]s]; none was deleted.")
}

// DeleteOldest removes a target's actions but the newest keep, leaving out
// those whose status does not allow it.
func (s *Service) DeleteOldest(ctx context.Context, target fleet.ControllerID, keep int) error {
	allowed, err := s.deletable(ctx)
	if err != nil {
		return err
	}
	return s.Store.DeleteOldest(ctx, caller.From(ctx).Tenant, target, keep, allowed, s.Now())
}

// delete words the refusal with: how many are refused, what is allowed, and args.
func (s *Service) delete(ctx context.Context, which Selection, refusal string, args ...any) error {
	if len(which.IDs) == 0 && which.Filter == nil {
		return nil // nothing was selected, which is not everything
	}
	allowed, err := s.deletable(ctx)
	if err != nil {
		return err
	}
	refused, err := s.Store.DeleteActions(ctx, caller.From(ctx).Tenant, which, allowed, s.Now())
	if err != nil || refused == 0 {
		return err
	}
	list := make([]string, len(allowed))
	for i, st := range allowed {
		list[i] = strings.ToUpper(st.String())
	}
	return fault.New(fault.NotDeletable, refusal, append([]any{refused, strings.Join(list, ", ")}, args...)...)
}

// deletable returns the statuses in which the tenant lets actions be removed,
// in the order of their numbers.
func (s *Service) deletable(ctx context.Context) ([]Status, error) {
	settings, err := s.Tenants.Settings(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	return statusesOf(settings.DeletableStatuses), nil
}
