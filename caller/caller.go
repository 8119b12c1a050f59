// Package caller says who asks, and for which tenant. It travels in the
// context from the edge that authenticated to the store that writes the audit
// columns.
package caller

import (
	"context"

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
