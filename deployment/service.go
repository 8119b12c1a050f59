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
	Store    Store
	Polls    *PollIndex
	Tenants  software.Settings
	Software software.ChunkStore
	Limits   Limits
	Quotas   tenant.Quotas
	Now      func() time.Time
}

// Store is what deployment needs kept, declared piece by piece beside what needs it.
type Store interface {
	PollStore
	CaseStore
	AssignStore
	ActionStore
	DocumentStore
	ConsentStore
}

// CaseStore keeps actions and their history.
type CaseStore interface {
	// UpdateCase loads the action with what its target holds, lets change
	// decide, and saves the outcome with its new entries and its event, in one
	// transaction, which calls for other targets may share. change may run more
	// than once, each time on a case that was loaded anew, and must keep nothing
	// from an earlier run; it must not block nor call the store, and may run on
	// another goroutine than the caller's, though it panics in that one. It does not run
	// once ctx has ended. fault.NotFound when there is no such target or action,
	// fault.ForeignAction when the action is another target's, else what change
	// returns.
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

// FetchCancel notes that the device reads the cancellation of the action;
// fault.NotThere when it is not being canceled, and never was.
func (s *Service) FetchCancel(ctx context.Context, target fleet.ControllerID, id ActionID) error {
	_, err := s.change(ctx, target, id, func(c *Case) error { return c.FetchCancel(s.Now()) })
	return err
}

// Answer takes the device's answer to a request for consent.
func (s *Service) Answer(ctx context.Context, target fleet.ControllerID, id ActionID, a Answer) error {
	return s.answer(ctx, target, id, a, s.change)
}

// AnswerFor takes a user's answer in place of the device's.
func (s *Service) AnswerFor(ctx context.Context, target fleet.ControllerID, id ActionID, a Answer) error {
	return s.answer(ctx, target, id, a, s.changeAsUser)
}

type changer func(ctx context.Context, target fleet.ControllerID, id ActionID, change func(*Case) error) (*Case, error)

func (s *Service) answer(ctx context.Context, target fleet.ControllerID, id ActionID, a Answer, save changer) error {
	settings, err := s.Tenants.Settings(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return err
	}
	_, err = save(ctx, target, id, func(c *Case) error { return c.Confirm(a, settings.ConfirmationFlow, s.Now()) })
	return err
}

// Cancel asks the device to give the action up (update-domain 2.5).
func (s *Service) Cancel(ctx context.Context, target fleet.ControllerID, id ActionID) error {
	text := "Canceled by user '" + caller.From(ctx).User + "'."
	_, err := s.changeAsUser(ctx, target, id, func(c *Case) error { return c.Cancel(text, s.Now()) })
	return err
}

// ForceQuit ends an action that is being canceled without waiting for the device.
func (s *Service) ForceQuit(ctx context.Context, target fleet.ControllerID, id ActionID) error {
	text := "Force quit by user '" + caller.From(ctx).User + "'; the device is not told."
	_, err := s.changeAsUser(ctx, target, id, func(c *Case) error { return c.ForceQuit(text, s.Now()) })
	return err
}

// Force makes the action forced, and returns it.
func (s *Service) Force(ctx context.Context, target fleet.ControllerID, id ActionID) (*Action, error) {
	if _, err := s.changeAsUser(ctx, target, id, func(c *Case) error {
		c.Force(s.Now())
		return nil
	}); err != nil {
		return nil, err
	}
	return s.Action(ctx, id)
}

func (s *Service) change(ctx context.Context, target fleet.ControllerID, id ActionID, change func(*Case) error) (*Case, error) {
	return s.Store.UpdateCase(ctx, caller.From(ctx).Tenant, target, id, func(c *Case) error {
		c.Limits = s.Limits
		return change(c)
	})
}

// changeAsUser is change by a user, who then stands as the last to modify the
// action; what devices do leaves that alone.
func (s *Service) changeAsUser(ctx context.Context, target fleet.ControllerID, id ActionID, change func(*Case) error) (*Case, error) {
	return s.change(ctx, target, id, func(c *Case) error {
		before := c.Action.Revision
		err := change(c)
		if err == nil && c.Action.Revision != before {
			c.Action.Touch(ctx, s.Now())
		}
		return err
	})
}
