package software

import (
	"context"
	"fmt"
	"math"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A ModuleType says what a kind of module is: how many of it a set may hold,
// and how many artifacts a complete one has.
type ModuleType struct {
	ID             ModuleTypeID
	Key            string // what the wire calls it; never changes
	Name           string
	Description    *string
	Colour         *string
	MinArtifacts   int // a module with fewer is incomplete
	MaxAssignments int // modules of this type in one set
	Deleted        bool
	caller.Stamps
}

// ModuleTypeStore keeps module types.
type ModuleTypeStore interface {
	// ModuleTypes returns one page and how many there are in all.
	ModuleTypes(ctx context.Context, t tenant.ID, l query.List, d Deleted) ([]ModuleType, int, error)

	// ModuleType returns one, soft-deleted or not, or fault.NotFound.
	ModuleType(ctx context.Context, t tenant.ID, id ModuleTypeID) (*ModuleType, error)

	// ModuleTypesByKey returns the module types that have one of the keys,
	// soft-deleted ones among them.
	ModuleTypesByKey(ctx context.Context, t tenant.ID, keys []string) (map[string]ModuleType, error)

	// ModuleTypesByID returns the module types that have one of the ids,
	// soft-deleted ones among them, in order of id.
	ModuleTypesByID(ctx context.Context, t tenant.ID, ids []ModuleTypeID) ([]ModuleType, error)

	// CreateModuleTypes adds all or none, and sets their ids; fault.Exists when a key or name is taken.
	CreateModuleTypes(ctx context.Context, t tenant.ID, types []ModuleType) error

	// UpdateModuleType lets change decide and saves the outcome. change may run
	// more than once. An outcome equal to what was there is not saved.
	UpdateModuleType(ctx context.Context, t tenant.ID, id ModuleTypeID, change func(*ModuleType) error) (*ModuleType, error)

	// DeleteModuleType removes the type, or marks it deleted when a module or a
	// set type uses it. One that is marked already stays so; fault.NotFound for
	// one that is not there.
	DeleteModuleType(ctx context.Context, t tenant.ID, id ModuleTypeID, by caller.Stamps) error
}

// Deleted says which soft-deleted entities a list shows.
type Deleted int

// What a list may show of soft-deleted entities.
const (
	WithoutDeleted Deleted = iota
	WithDeleted
	OnlyDeleted
)

// ModuleTypes lists module types.
func (s *Service) ModuleTypes(ctx context.Context, l query.List, d Deleted) ([]ModuleType, int, error) {
	return s.Store.ModuleTypes(ctx, caller.From(ctx).Tenant, l, d)
}

// ModuleType returns one module type.
func (s *Service) ModuleType(ctx context.Context, id ModuleTypeID) (*ModuleType, error) {
	return s.Store.ModuleType(ctx, caller.From(ctx).Tenant, id)
}

// CreateModuleTypes adds the types, all or none, and sets their ids. Texts are
// trimmed; lengths and markup are those of management-api 1.12.
func (s *Service) CreateModuleTypes(ctx context.Context, types []ModuleType) error {
	var v freetext.Violations
	for i := range types {
		t, at := &types[i], fmt.Sprintf("create.create[%d].", i)
		v.Text(at+"key", t.Key, 1, maxKey)
		v.Text(at+"name", t.Name, 1, maxName)
		v.OptionalText(at+"description", t.Description, 0, maxDescription)
		v.OptionalText(at+"colour", t.Colour, 0, maxColour)
	}
	if err := v.Err(); err != nil {
		return err
	}
	for i := range types {
		t := &types[i]
		t.Key, t.Name, t.Description, t.Colour = freetext.Trim(t.Key), freetext.Trim(t.Name), trimmed(t.Description), trimmed(t.Colour)
		v.Length("key", t.Key, 1, maxKey)
		v.Length("name", t.Name, 1, maxName)
		v.Number("maxAssignments", int64(t.MaxAssignments), 1, math.MaxInt32)
		v.Number("minArtifacts", int64(t.MinArtifacts), 0, math.MaxInt32)
		t.Stamps = caller.Stamp(ctx, s.Now())
	}
	if err := v.Err(); err != nil {
		return err
	}
	return s.Store.CreateModuleTypes(ctx, caller.From(ctx).Tenant, types)
}

// UpdateModuleType changes description and colour; nil leaves one as it is.
func (s *Service) UpdateModuleType(ctx context.Context, id ModuleTypeID, description, colour *string) (*ModuleType, error) {
	var v freetext.Violations
	v.OptionalText("update.update.description", description, 0, maxDescription)
	v.OptionalText("update.update.colour", colour, 0, maxColour)
	if err := v.Err(); err != nil {
		return nil, err
	}
	return s.Store.UpdateModuleType(ctx, caller.From(ctx).Tenant, id, func(t *ModuleType) error {
		if t.Deleted {
			return fault.SoftDeleted("SoftwareModuleType", int64(id))
		}
		changed := setText(&t.Description, trimmed(description))
		if setText(&t.Colour, trimmed(colour)) || changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteModuleType deletes a module type, softly when it is in use.
func (s *Service) DeleteModuleType(ctx context.Context, id ModuleTypeID) error {
	err := s.Store.DeleteModuleType(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()))
	if fault.Is(err, fault.NotFound) {
		return missing("SoftwareModuleType", decimal(id))
	}
	return err
}
