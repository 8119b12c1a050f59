// Package caller says who asks, and for which tenant. It travels in the
// context from the edge that authenticated to the store that writes the audit
// columns.
package caller

import (
	"context"
	"time"

	"github.com/otaria/otaria/tenant"
)

// Names of the callers that are no users.
const (
	System      = "system"                   // work that nobody asked for at this moment
	PlugAndPlay = "CONTROLLER_PLUG_AND_PLAY" // a device that registered itself
)

// Caller is who asks. The zero Caller is nobody: its tenant matches nothing.
type Caller struct {
	Tenant     tenant.ID
	TenantName string // canonical
	User       string // for audit columns, at most 64 characters
}

type key struct{}

// With returns a context that carries c.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// From returns the caller in ctx, or nobody.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(key{}).(Caller)
	return c
}

// Stamps say who made an entity and who changed it last, and when. Before the
// first change the last two equal the first two.
type Stamps struct {
	CreatedBy  string
	CreatedAt  time.Time
	ModifiedBy string
	ModifiedAt time.Time
}

// Stamp returns the stamps of an entity that the caller in ctx makes now.
func Stamp(ctx context.Context, now time.Time) Stamps {
	user := From(ctx).User
	return Stamps{CreatedBy: user, CreatedAt: now, ModifiedBy: user, ModifiedAt: now}
}

// Touch notes that the caller in ctx changed the entity now.
func (s *Stamps) Touch(ctx context.Context, now time.Time) {
	s.ModifiedBy, s.ModifiedAt = From(ctx).User, now
}
