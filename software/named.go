package software

import (
	"context"

	"github.com/otaria/otaria/fault"
)

// ArtifactNamed returns the artifact of a module that has the file name,
// whatever its case: fault.NotFound when there is no such module,
// fault.NotThere when none of its artifacts is called so.
func (s *Service) ArtifactNamed(ctx context.Context, module ModuleID, filename string) (*Artifact, error) {
	list, err := s.Artifacts(ctx, module)
	if err != nil {
		return nil, err
	}
	key := nameKey(filename)
	for i := range list {
		if list[i].NameKey() == key {
			return &list[i], nil
		}
	}
	return nil, fault.New(fault.NotThere, "Software module %d has no artifact with the file name %q.", module, filename)
}
