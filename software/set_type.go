package software

import (
	"context"
	"fmt"
	"slices"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A SetType says which types of module a set must and may contain.
type SetType struct {
	ID          SetTypeID
	Key         string // what the wire calls it; never changes
	Name        string
	Description *string
	Colour      *string
	Deleted     bool
	Used        bool           // a set has this type, so that its module types are fixed
	Mandatory   []ModuleTypeID // in order of id, as is Optional
	Optional    []ModuleTypeID
	caller.Stamps
}

// NewSetType is what a set type is made of.
type NewSetType struct {
	Key         string
	Name        string
	Description *string
	Colour      *string
	Mandatory   []*ModuleTypeID // nil: an entry without an id
	Optional    []*ModuleTypeID
}

// SetTypeStore keeps set types.
type SetTypeStore interface {
	// SetTypes returns one page and how many there are in all.
	SetTypes(ctx context.Context, t tenant.ID, l query.List, d Deleted) ([]SetType, int, error)

	// SetType returns one, soft-deleted or not, or fault.NotFound.
	SetType(ctx context.Context, t tenant.ID, id SetTypeID) (*SetType, error)

	// SetTypesByKey returns the set types that have one of the keys,
	// soft-deleted ones among them.
	SetTypesByKey(ctx context.Context, t tenant.ID, keys []string) (map[string]SetType, error)

	// CreateSetTypes adds all or none, and sets their ids; fault.Exists when a key or name is taken.
	CreateSetTypes(ctx context.Context, t tenant.ID, types []SetType) error

	// UpdateSetType lets change decide and saves the outcome. change may run
	// more than once. An outcome equal to what was there is not saved.
	UpdateSetType(ctx context.Context, t tenant.ID, id SetTypeID, change func(*SetType) error) (*SetType, error)

	// DeleteSetType removes the type, or marks it deleted when a set has it;
	// target types lose it in both cases. check may refuse. What is marked
	// already stays so.
	DeleteSetType(ctx context.Context, t tenant.ID, id SetTypeID, by caller.Stamps, check func(typ *SetType, isDefault bool) error) error
}

// SetTypes lists set types.
func (s *Service) SetTypes(ctx context.Context, l query.List, d Deleted) ([]SetType, int, error) {
	return s.Store.SetTypes(ctx, caller.From(ctx).Tenant, l, d)
}

// SetType returns one set type.
func (s *Service) SetType(ctx context.Context, id SetTypeID) (*SetType, error) {
	return s.Store.SetType(ctx, caller.From(ctx).Tenant, id)
}

// CreateSetTypes adds set types, all or none. A soft-deleted module type may
// still be used; the quota for module types holds when adding alone
// (management-api 5, 37).
func (s *Service) CreateSetTypes(ctx context.Context, in []NewSetType) ([]SetType, error) {
	var v freetext.Violations
	for i := range in {
		n, at := &in[i], fmt.Sprintf("create.create[%d].", i)
		v.Text(at+"key", n.Key, 1, maxKey)
		v.Text(at+"name", n.Name, 1, maxName)
		v.OptionalText(at+"description", n.Description, 0, maxDescription)
		v.OptionalText(at+"colour", n.Colour, 0, maxColour)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	types := make([]SetType, len(in))
	for i := range in {
		n := &in[i]
		typ := SetType{
			Key: freetext.Trim(n.Key), Name: freetext.Trim(n.Name),
			Description: trimmed(n.Description), Colour: trimmed(n.Colour), Stamps: caller.Stamp(ctx, s.Now()),
		}
		v.Length("key", typ.Key, 1, maxKey)
		v.Length("name", typ.Name, 1, maxName)
		var err error
		if typ.Mandatory, err = s.moduleTypes(ctx, n.Mandatory); err != nil {
			return nil, err
		}
		if typ.Optional, err = s.moduleTypes(ctx, n.Optional); err != nil {
			return nil, err
		}
		for _, m := range typ.Mandatory {
			if slices.Contains(typ.Optional, m) {
				return nil, fault.New(fault.Exists, "Distribution set type %s has the module type %d both as mandatory and as optional; name it once.", typ.Key, m)
			}
		}
		types[i] = typ
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	return types, s.Store.CreateSetTypes(ctx, caller.From(ctx).Tenant, types)
}

// moduleTypes returns the ids in order, each once, when all of them exist.
func (s *Service) moduleTypes(ctx context.Context, ids []*ModuleTypeID) ([]ModuleTypeID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	wanted, absent := given(ids)
	found, err := s.Store.ModuleTypesByID(ctx, caller.From(ctx).Tenant, wanted)
	if err != nil {
		return nil, err
	}
	known := make([]ModuleTypeID, len(found))
	for i := range found {
		known[i] = found[i].ID
	}
	for _, id := range wanted {
		if !slices.Contains(known, id) {
			absent = append(absent, decimal(id))
		}
	}
	if len(absent) > 0 {
		return nil, missing("SoftwareModuleType", absent...)
	}
	return known, nil
}

// given separates the ids, each once and in the order of the request, from
// entries that have none, which the wire calls "null".
func given[ID ~int64](ids []*ID) (wanted []ID, absent []string) {
	for _, id := range ids {
		switch {
		case id == nil:
			if len(absent) == 0 {
				absent = append(absent, "null")
			}
		case !slices.Contains(wanted, *id):
			wanted = append(wanted, *id)
		}
	}
	return wanted, absent
}

// UpdateSetType changes description and colour; nil leaves one as it is.
func (s *Service) UpdateSetType(ctx context.Context, id SetTypeID, description, colour *string) (*SetType, error) {
	var v freetext.Violations
	v.OptionalText("update.update.description", description, 0, maxDescription)
	v.OptionalText("update.update.colour", colour, 0, maxColour)
	if err := v.Err(); err != nil {
		return nil, err
	}
	return s.Store.UpdateSetType(ctx, caller.From(ctx).Tenant, id, func(t *SetType) error {
		if t.Deleted {
			return fault.SoftDeleted("DistributionSetType", int64(id))
		}
		changed := setText(&t.Description, trimmed(description))
		if setText(&t.Colour, trimmed(colour)) || changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteSetType deletes a set type, softly when a set has it. The tenant's
// default type cannot be deleted for good.
func (s *Service) DeleteSetType(ctx context.Context, id SetTypeID) error {
	return s.Store.DeleteSetType(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()), func(t *SetType, isDefault bool) error {
		if isDefault && !t.Used {
			return fault.New(fault.IntegrityViolation, "Distribution set type %s is the default type and cannot be deleted. Make another one the default (configuration key default.ds.type) first.", t.Key)
		}
		return nil
	})
}

// SetTypeModules returns the mandatory or the optional module types of a set type.
func (s *Service) SetTypeModules(ctx context.Context, id SetTypeID, mandatory bool) ([]ModuleType, error) {
	t, err := s.SetType(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.Store.ModuleTypesByID(ctx, caller.From(ctx).Tenant, *t.list(mandatory))
}

// SetTypeModule returns one of the mandatory or optional module types.
func (s *Service) SetTypeModule(ctx context.Context, id SetTypeID, mandatory bool, module ModuleTypeID) (*ModuleType, error) {
	t, err := s.SetType(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := s.ModuleType(ctx, module)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(*t.list(mandatory), module) {
		return nil, fault.New(fault.ModuleNotInType, "Software module type %d is not among the %s module types of distribution set type %d.", module, kindOfList(mandatory), id)
	}
	return m, nil
}

// AddSetTypeModule adds a module type to one of the lists. One that is in this
// list already is no error, one that is in the other list is.
func (s *Service) AddSetTypeModule(ctx context.Context, id SetTypeID, mandatory bool, module *ModuleTypeID) error {
	if _, err := s.SetType(ctx, id); err != nil {
		return err
	}
	found, err := s.moduleTypes(ctx, []*ModuleTypeID{module})
	if err != nil {
		return err
	}
	limit := s.Quotas.ModuleTypesPerType
	_, err = s.Store.UpdateSetType(ctx, caller.From(ctx).Tenant, id, func(t *SetType) error {
		if err := t.add(found[0], mandatory, limit); err != nil {
			return err
		}
		t.Touch(ctx, s.Now())
		return nil
	})
	return err
}

// RemoveSetTypeModule removes a module type from whichever list it is in; one
// that is in none is no error.
func (s *Service) RemoveSetTypeModule(ctx context.Context, id SetTypeID, module ModuleTypeID) error {
	if _, err := s.SetType(ctx, id); err != nil {
		return err
	}
	if _, err := s.ModuleType(ctx, module); err != nil {
		return err
	}
	_, err := s.Store.UpdateSetType(ctx, caller.From(ctx).Tenant, id, func(t *SetType) error {
		n := len(t.Mandatory) + len(t.Optional)
		if err := t.remove(module); err != nil {
			return err
		}
		if len(t.Mandatory)+len(t.Optional) != n {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
	return err
}

// add puts a module type into a list (management-api 2.9).
func (t *SetType) add(m ModuleTypeID, mandatory bool, limit int) error {
	if err := t.changeable(); err != nil {
		return err
	}
	if n := len(t.Mandatory) + len(t.Optional); limit > 0 && n >= limit {
		return fault.New(fault.Quota, "Distribution set type %s has %d module types; at most %d are allowed.", t.Key, n, limit)
	}
	if slices.Contains(*t.list(!mandatory), m) {
		return fault.New(fault.Exists, "Software module type %d is among the %s module types of distribution set type %s; remove it there first.", m, kindOfList(!mandatory), t.Key)
	}
	list := t.list(mandatory)
	if !slices.Contains(*list, m) {
		*list = append(slices.Clone(*list), m)
		slices.Sort(*list)
	}
	return nil
}

func (t *SetType) remove(m ModuleTypeID) error {
	if err := t.changeable(); err != nil {
		return err
	}
	is := func(id ModuleTypeID) bool { return id == m }
	t.Mandatory = slices.DeleteFunc(slices.Clone(t.Mandatory), is)
	t.Optional = slices.DeleteFunc(slices.Clone(t.Optional), is)
	return nil
}

// changeable says whether the lists of module types may change: not once a set
// relies on them.
func (t *SetType) changeable() error {
	if t.Deleted {
		return fault.SoftDeleted("DistributionSetType", int64(t.ID))
	}
	if t.Used {
		return fault.New(fault.ReadOnly, "Distribution set type %s has distribution sets, so its module types cannot change any more. Create a new type instead.", t.Key)
	}
	return nil
}

// kind is what sets show of the type.
func (t *SetType) kind() SetKind {
	return SetKind{ID: t.ID, Key: t.Key, Name: t.Name, Mandatory: t.Mandatory, Optional: t.Optional}
}

func (t *SetType) list(mandatory bool) *[]ModuleTypeID {
	if mandatory {
		return &t.Mandatory
	}
	return &t.Optional
}

func kindOfList(mandatory bool) string {
	if mandatory {
		return "mandatory"
	}
	return "optional"
}
