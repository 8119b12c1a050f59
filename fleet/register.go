package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/tenant"
)

// RegisterStore keeps what a device's first visits leave behind.
type RegisterStore interface {
	// Register adds the target, seen at its SeenAt, unless one of this controller
	// id exists.
	Register(ctx context.Context, t tenant.ID, n *Target) error

	// Seen saves the address of a device and when it came, and makes an unknown
	// target a registered one. A target that is gone is no error.
	Seen(ctx context.Context, t tenant.ID, id TargetID, address string, at time.Time) error
}

// NewToken returns a target's secret: 16 random bytes as 32 hex digits.
func NewToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// Register adds a target that a device asked for itself (plug and play,
// device-apis A.3). Two devices that ask at once for the same id share the target.
func (s *Service) Register(ctx context.Context, id ControllerID, address string) error {
	var v freetext.Violations
	v.NoSpace("controllerId", string(id))
	v.Text("name", string(id), 1, MaxName)
	if err := v.Err(); err != nil {
		return err
	}
	description := "Plug and Play target: " + string(id)
	ctx = caller.With(ctx, caller.Caller{Tenant: caller.From(ctx).Tenant, User: caller.PlugAndPlay})
	return s.Store.Register(ctx, caller.From(ctx).Tenant, &Target{
		ControllerID:      id,
		Name:              string(id),
		Description:       &description,
		Token:             s.NewToken(),
		Address:           &address,
		Status:            StatusRegistered,
		RequestAttributes: true,
		SeenAt:            s.Now(),
		Stamps:            caller.Stamp(ctx, s.Now()),
	})
}

// Seen notes a device's address, and that the device exists. It is called when
// a poll brings one of them as news, and saves at once, so that whoever was seen
// never counts as unseen; Visits takes what every poll brings.
func (s *Service) Seen(ctx context.Context, id TargetID, address string) error {
	return s.Store.Seen(ctx, caller.From(ctx).Tenant, id, address, s.Now())
}
