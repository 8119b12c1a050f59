package fleet

import (
	"context"
	"time"

	"github.com/otaria/otaria/tenant"
)

// Service is what the edges call. The tenant and the user are those of the
// caller in the context.
type Service struct {
	Store    Store
	Visits   *Visits
	Tenants  Settings
	Quotas   tenant.Quotas
	Now      func() time.Time
	NewToken func() string // NewToken outside tests
}

// Settings gives the settings of a tenant.
type Settings interface {
	Settings(ctx context.Context, id tenant.ID) (*tenant.Settings, error)
}

// Store is what fleet needs kept, declared piece by piece beside what needs it.
type Store interface {
	VisitStore
	RegisterStore
	AttributeStore
	TargetStore
	MetadataStore
	TypeStore
	TagStore
	GroupStore
}
