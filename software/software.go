// Package software knows what can be installed: software modules with their
// artifacts, and the distribution sets that bundle modules; their types; the
// sets' tags and metadata. It does not know targets.
//
// Modules and sets that were used are deleted softly: they stay readable by id
// and keep their name, and nothing new may use them (management-api 1.8).
package software

import (
	"context"
	"time"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/tenant"
)

// Ids are unique over all tenants; a store method finds an entity by id only
// within the tenant it is given.
type (
	ModuleTypeID int64
	ModuleID     int64
	ArtifactID   int64
	SetTypeID    int64
	SetID        int64
	TagID        int64
)

// Service is what the edges call. The tenant and the user are those of the
// caller in the context.
type Service struct {
	Store   Store
	Blobs   blob.Store
	Tenants Settings
	Quotas  tenant.Quotas
	Now     func() time.Time
}

// Settings gives the settings of a tenant.
type Settings interface {
	Settings(ctx context.Context, id tenant.ID) (*tenant.Settings, error)
}

// Store is what software needs kept, declared piece by piece beside what needs it.
type Store interface {
	ModuleTypeStore
	ModuleStore
	ArtifactStore
	SetTypeStore
	SetStore
	TagStore
	ChunkStore
}
