package software

import (
	"context"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
)

// ArtifactNamed returns the artifact of a module that has the file name,
// whatever its case, and the module: fault.NotFound when there is no such
// module, fault.NotThere when none of its artifacts is called so.
func (s *Service) ArtifactNamed(ctx context.Context, module ModuleID, filename string) (*Artifact, *Module, error) {
	a, m, err := s.Store.ArtifactNamed(ctx, caller.From(ctx).Tenant, module, nameKey(filename))
	if err == nil && a == nil {
		err = fault.New(fault.NotThere, "Software module %d has no artifact with the file name %q.", module, filename)
	}
	return a, m, err
}

// OpenFor opens the bytes of an artifact for a device, which may still install
// from a module that was deleted: its bytes are gone (fault.BinaryGone) unless
// another module has the same.
func (s *Service) OpenFor(ctx context.Context, a *Artifact, m *Module) (blob.Blob, error) {
	if m.Deleted {
		used, err := s.Store.ContentUsed(ctx, a.Digest.SHA256)
		if err != nil {
			return blob.Blob{}, err
		}
		if !used {
			return blob.Blob{}, binaryGone(m)
		}
	}
	return s.Open(ctx, a)
}

func binaryGone(m *Module) error {
	return fault.New(fault.BinaryGone, "Software module %s:%s (%d) is deleted, and the bytes of its artifacts with it.", m.Name, m.Version, m.ID)
}
