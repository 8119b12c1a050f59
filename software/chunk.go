package software

import (
	"context"

	"github.com/otaria/otaria/tenant"
)

// A Chunk is one module of a set as a device is told of it.
type Chunk struct {
	Module    ModuleID
	TypeKey   string
	Name      string
	Version   string
	Encrypted bool
	Artifacts []Artifact        // in order of id
	Metadata  []ModuleMetadatum // what targets may see, by key
}

// ChunkStore reads what a device installs.
type ChunkStore interface {
	// Chunks returns the modules of a set in order of id, in a fixed number of
	// statements. A set that is not there has none.
	Chunks(ctx context.Context, t tenant.ID, id SetID) ([]Chunk, error)
}
