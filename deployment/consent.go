package deployment

import (
	"context"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/tenant"
)

// ConsentStore keeps which targets consent in advance.
type ConsentStore interface {
	// AutoConfirm returns the target's standing consent, or nil; fault.NotFound
	// when there is no such target.
	AutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID) (*fleet.AutoConfirm, error)

	// ActivateAutoConfirm saves it, and lets release change each action of the
	// target that waits for consent, all in one transaction; release may run more
	// than once. touched are the target's new stamps of modification, nil when a
	// device acts. fault.AutoConfirmActive when there is one already.
	ActivateAutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID, ac fleet.AutoConfirm, by caller.Stamps, release func(*Case)) error

	// DeactivateAutoConfirm removes it; it is no error when there is none.
	DeactivateAutoConfirm(ctx context.Context, t tenant.ID, target fleet.ControllerID, by caller.Stamps) error
}

// MaxInitiator and MaxRemark bound the texts of an auto-confirmation, in characters.
const (
	MaxInitiator = 64
	MaxRemark    = 512
)

// AutoConfirm returns the target's standing consent, or nil.
func (s *Service) AutoConfirm(ctx context.Context, target fleet.ControllerID) (*fleet.AutoConfirm, error) {
	return s.Store.AutoConfirm(ctx, caller.From(ctx).Tenant, target)
}

// ActivateAutoConfirm lets a user switch auto-confirmation on: the target's
// updates need no consent from now on, and those that wait go on.
func (s *Service) ActivateAutoConfirm(ctx context.Context, target fleet.ControllerID, initiator, remark string) error {
	return s.activate(ctx, target, fleet.AutoConfirm{Initiator: initiator, Remark: remark, ActivatedBy: caller.From(ctx).User}, caller.Stamp(ctx, s.Now()))
}

// DeviceActivatesAutoConfirm is ActivateAutoConfirm by the device itself.
func (s *Service) DeviceActivatesAutoConfirm(ctx context.Context, target fleet.ControllerID, initiator, remark string) error {
	return s.activate(ctx, target, fleet.AutoConfirm{Initiator: initiator, Remark: remark, ActivatedBy: caller.PlugAndPlay}, s.byDevice())
}

func (s *Service) activate(ctx context.Context, target fleet.ControllerID, ac fleet.AutoConfirm, by caller.Stamps) error {
	var v freetext.Violations
	v.Length("initiator", ac.Initiator, 0, MaxInitiator)
	v.Length("remark", ac.Remark, 0, MaxRemark)
	if err := v.Err(); err != nil {
		return err
	}
	ac.ActivatedAt = by.ModifiedAt
	return s.Store.ActivateAutoConfirm(ctx, caller.From(ctx).Tenant, target, ac, by, func(c *Case) {
		c.AutoConfirmed(ac, by.ModifiedAt)
		if by.ModifiedBy != "" {
			c.Action.ModifiedBy, c.Action.ModifiedAt = by.ModifiedBy, by.ModifiedAt
		}
	})
}

// DeactivateAutoConfirm lets a user switch auto-confirmation off. What runs is
// not touched.
func (s *Service) DeactivateAutoConfirm(ctx context.Context, target fleet.ControllerID) error {
	return s.Store.DeactivateAutoConfirm(ctx, caller.From(ctx).Tenant, target, caller.Stamp(ctx, s.Now()))
}

// DeviceDeactivatesAutoConfirm is DeactivateAutoConfirm by the device itself.
func (s *Service) DeviceDeactivatesAutoConfirm(ctx context.Context, target fleet.ControllerID) error {
	return s.Store.DeactivateAutoConfirm(ctx, caller.From(ctx).Tenant, target, s.byDevice())
}

func (s *Service) byDevice() caller.Stamps { return caller.Stamps{ModifiedAt: s.Now()} }

// ConfirmationState is what a device reads about its consent (device-apis A.8,
// row 12).
type ConfirmationState struct {
	AutoConfirm *fleet.AutoConfirm // nil: off
	Waiting     ActionID           // the current action, if it waits for consent; else 0
	Change      int32              // the c of Waiting's link, as in the poll
}

// ConfirmationState tells it for a target whose standing was looked up.
func (s *Service) ConfirmationState(ctx context.Context, target fleet.ControllerID, st Standing, w Window) (ConfirmationState, error) {
	var out ConfirmationState
	var err error
	if out.AutoConfirm, err = s.AutoConfirm(ctx, target); err != nil {
		return out, err
	}
	if st.Offer == OfferConfirmation {
		now := s.Now()
		out.Waiting, out.Change = st.Action, ChangeToken(st.Action, st.Revision, st.ForcedAt, w.Available(now), now)
	}
	return out, nil
}
