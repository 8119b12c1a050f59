package deployment

import (
	"context"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Service is what the edges call. The tenant and the user are those of the
// caller in the context.
type Service struct {
	Store   Store
	Polls   *PollIndex
	Tenants software.Settings
	Limits  Limits
	Quotas  tenant.Quotas
	Now     func() time.Time
}

// Store is what deployment needs kept, declared piece by piece beside what needs it.
type Store interface {
	PollStore
	CaseStore
}

// CaseStore keeps actions and their history.
type CaseStore interface {
	// UpdateCase loads the action with what its target holds, lets change
	// decide, and saves the outcome with its new entries and its event, in one
	// transaction. change may run more than once. fault.NotFound when there is
	// no such target or action, fault.ForeignAction when the action is another
	// target's, else what change returns.
	UpdateCase(ctx context.Context, t tenant.ID, target fleet.ControllerID, id ActionID, change func(*Case) error) (*Case, error)
}

// Report takes what the device says about its deployment. A report that came
// twice is refused with fault.Gone once the first closed the action, else kept
// twice.
func (s *Service) Report(ctx context.Context, target fleet.ControllerID, id ActionID, r Report) error {
	_, err := s.change(ctx, target, id, func(c *Case) error { return c.Report(r, s.Now()) })
	return err
}

// ReportCancel takes what the device says about a cancellation.
func (s *Service) ReportCancel(ctx context.Context, target fleet.ControllerID, id ActionID, r Report) error {
	_, err := s.change(ctx, target, id, func(c *Case) error { return c.ReportCancel(r, s.Now()) })
	return err
}

func (s *Service) change(ctx context.Context, target fleet.ControllerID, id ActionID, change func(*Case) error) (*Case, error) {
	return s.Store.UpdateCase(ctx, caller.From(ctx).Tenant, target, id, func(c *Case) error {
		c.Limits = s.Limits
		return change(c)
	})
}
