package fleet

import (
	"context"
	"maps"
	"slices"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/tenant"
)

// Metadatum is one note that users keep with a target. Key and value are taken
// as they are: neither trimmed nor checked for markup (management-api 2.2).
type Metadatum struct {
	Key   string
	Value string
}

// Limits of metadata, in characters.
const (
	maxMetadataKey   = 128
	maxMetadataValue = 4000
)

// MetadataStore keeps what users note with targets.
type MetadataStore interface {
	// Metadata returns all of it; fault.NotFound when there is no such target.
	Metadata(ctx context.Context, t tenant.ID, id ControllerID) (map[string]string, error)

	// UpdateMetadata lets change alter the metadata of the target with the key and
	// saves the outcome, with by as its last change if there was one. change may
	// run more than once. fault.NotFound when there is no such target.
	UpdateMetadata(ctx context.Context, t tenant.ID, id ControllerID, by caller.Stamps, change func(TargetID, map[string]string) error) error
}

// Metadata returns all metadata of a target, sorted by key.
func (s *Service) Metadata(ctx context.Context, id ControllerID) ([]Metadatum, error) {
	values, err := s.Store.Metadata(ctx, caller.From(ctx).Tenant, id)
	if err != nil {
		return nil, err
	}
	list := make([]Metadatum, 0, len(values))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		list = append(list, Metadatum{k, values[k]})
	}
	return list, nil
}

// Metadatum returns one entry.
func (s *Service) Metadatum(ctx context.Context, id ControllerID, key string) (*Metadatum, error) {
	values, err := s.Store.Metadata(ctx, caller.From(ctx).Tenant, id)
	if err != nil {
		return nil, err
	}
	value, ok := values[key]
	if !ok {
		return nil, missingMetadatum(id, key)
	}
	return &Metadatum{key, value}, nil
}

func missingMetadatum(id ControllerID, key string) error {
	err := fault.New(fault.NotFound, "The target %s has no metadata with the key %q.", id, key)
	err.Entity = &fault.Entity{Type: "Target metadata", ID: string(id) + ":" + key}
	return err
}

// CreateMetadata adds entries, all or none: a key that is there already, or
// twice in the list, is fault.Exists.
func (s *Service) CreateMetadata(ctx context.Context, id ControllerID, list []Metadatum) error {
	if len(list) == 0 {
		return fault.New(fault.Invalid, "createMetadata.metadata must not be empty.")
	}
	return s.saveMetadata(ctx, id, list, false)
}

// PutMetadatum adds an entry, or gives it a new value.
func (s *Service) PutMetadatum(ctx context.Context, id ControllerID, m Metadatum) error {
	return s.saveMetadata(ctx, id, []Metadatum{m}, true)
}

func (s *Service) saveMetadata(ctx context.Context, id ControllerID, list []Metadatum, replace bool) error {
	var v freetext.Violations
	for _, m := range list {
		v.Length("key", m.Key, 0, maxMetadataKey)
		v.Length("value", m.Value, 0, maxMetadataValue)
	}
	return s.Store.UpdateMetadata(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()), func(target TargetID, have map[string]string) error {
		before := len(have)
		for _, m := range list {
			if _, ok := have[m.Key]; ok && !replace {
				return fault.New(fault.Exists, "The target %s has metadata with the key %q already; PUT replaces its value.", id, m.Key)
			}
			have[m.Key] = m.Value
		}
		if n, limit := len(have), s.Quotas.MetadataPerEntity; n > before && tenant.Exceeds(n, limit) {
			return fault.New(fault.Quota, "Quota exceeded: the metadata of target %s (%d) would have %d entries; at most %d are allowed.", id, target, n, limit)
		}
		if err := v.Err(); err != nil {
			return fault.New(fault.IntegrityViolation, "%s", err)
		}
		return nil
	})
}

// DeleteMetadatum removes an entry.
func (s *Service) DeleteMetadatum(ctx context.Context, id ControllerID, key string) error {
	return s.Store.UpdateMetadata(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()), func(_ TargetID, have map[string]string) error {
		if _, ok := have[key]; !ok {
			return missingMetadatum(id, key)
		}
		delete(have, key)
		return nil
	})
}
