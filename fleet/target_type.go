package fleet

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// A Type says what a kind of target can take: a target of it accepts only sets
// of one of its types of sets, and none when there are none.
type Type struct {
	ID          TargetTypeID
	Key         string // never changes
	Name        string
	Description *string
	Colour      *string
	SetTypes    []software.SetTypeID // in order of id; not filled in lists
	caller.Stamps
}

// NewType is what a type is made of.
type NewType struct {
	Key         *string // nil: the name, as the name is the key
	Name        *string
	Description *string
	Colour      *string
	SetTypes    []*software.SetTypeID // nil: an entry without an id
}

// TypeChange is what can be changed of a type; nil leaves something as it is.
type TypeChange struct {
	Name        *string
	Description *string
	Colour      *string
}

// Limits of texts of types and tags, in characters (management-api 1.12).
const (
	maxKey    = 64
	maxColour = 16
)

// TypeStore keeps target types.
type TypeStore interface {
	// TargetTypes returns one page and how many there are in all.
	TargetTypes(ctx context.Context, t tenant.ID, l query.List) ([]Type, int, error)

	// TargetType returns one, or fault.NotFound.
	TargetType(ctx context.Context, t tenant.ID, id TargetTypeID) (*Type, error)

	// CreateTargetTypes adds all or none, and sets their ids; fault.Exists when a
	// key or name is taken, fault.NotFound when a type of sets is not there.
	CreateTargetTypes(ctx context.Context, t tenant.ID, types []Type) error

	// UpdateTargetType lets change decide and saves the outcome. change may run
	// more than once. An outcome equal to what was there is not saved.
	// fault.NotFound when a new type of sets is not there.
	UpdateTargetType(ctx context.Context, t tenant.ID, id TargetTypeID, change func(*Type) error) (*Type, error)

	// DeleteTargetType removes the type for good; fault.InUse when a target has
	// it, fault.NotFound when it is not there.
	DeleteTargetType(ctx context.Context, t tenant.ID, id TargetTypeID, by caller.Stamps) error
}

// Types lists target types.
func (s *Service) Types(ctx context.Context, l query.List) ([]Type, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.TargetTypes(ctx, caller.From(ctx).Tenant, l)
}

// Type returns one target type.
func (s *Service) Type(ctx context.Context, id TargetTypeID) (*Type, error) {
	return s.Store.TargetType(ctx, caller.From(ctx).Tenant, id)
}

// CreateTypes adds target types, all or none. The quota for types of sets holds
// when adding alone (management-api 5, 37).
func (s *Service) CreateTypes(ctx context.Context, list []NewType) ([]Type, error) {
	var v freetext.Violations
	for i := range list {
		n, at := &list[i], fmt.Sprintf("create.create[%d].", i)
		switch {
		case n.Key == nil && n.Name == nil:
			return nil, fault.New(fault.KeyOrNameMissing, "A target type needs a key or a name; the other one may be left out.")
		case n.Key == nil:
			n.Key = n.Name
		case n.Name == nil:
			n.Name = n.Key
		}
		v.Text(at+"key", *n.Key, 1, maxKey)
		v.Text(at+"name", *n.Name, 1, MaxName)
		v.OptionalText(at+"description", n.Description, 0, MaxDescription)
		v.OptionalText(at+"colour", n.Colour, 0, maxColour)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	types := make([]Type, len(list))
	for i := range list {
		n := &list[i]
		t := Type{
			Key: freetext.Trim(*n.Key), Name: freetext.Trim(*n.Name), Description: trimmed(n.Description), Colour: trimmed(n.Colour),
			Stamps: caller.Stamp(ctx, s.Now()),
		}
		v.Length("key", t.Key, 1, maxKey)
		v.Length("name", t.Name, 1, MaxName)
		ids, err := named(n.SetTypes)
		if err != nil {
			return nil, err
		}
		t.add(ids)
		types[i] = t
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := s.Store.CreateTargetTypes(ctx, caller.From(ctx).Tenant, types); err != nil {
		return nil, err
	}
	return types, nil
}

// named returns the ids, or says that one is left out.
func named(list []*software.SetTypeID) ([]software.SetTypeID, error) {
	ids := make([]software.SetTypeID, 0, len(list))
	for i, id := range list {
		if id == nil {
			err := fault.New(fault.NotFound, "Entry %d of the list of distribution set types has no id.", i)
			err.Entity = &fault.Entity{Type: "DistributionSetType", ID: []string{"null"}}
			return nil, err
		}
		ids = append(ids, *id)
	}
	return ids, nil
}

// add makes the type accept sets of these types, and reports whether that is new.
func (t *Type) add(ids []software.SetTypeID) bool {
	before := len(t.SetTypes)
	all := append(slices.Clone(t.SetTypes), ids...)
	slices.Sort(all)
	t.SetTypes = slices.Compact(all)
	return len(t.SetTypes) > before
}

// UpdateType changes a target type.
func (s *Service) UpdateType(ctx context.Context, id TargetTypeID, c TypeChange) (*Type, error) {
	var v freetext.Violations
	v.OptionalText("update.update.name", c.Name, 1, MaxName)
	v.OptionalText("update.update.description", c.Description, 0, MaxDescription)
	v.OptionalText("update.update.colour", c.Colour, 0, maxColour)
	if err := v.Err(); err != nil {
		return nil, err
	}
	c.Name = trimmed(c.Name)
	v.OptionalText("name", c.Name, 1, MaxName)
	return s.Store.UpdateTargetType(ctx, caller.From(ctx).Tenant, id, func(t *Type) error {
		if err := v.Err(); err != nil {
			return err
		}
		changed := set(&t.Name, c.Name)
		changed = setText(&t.Description, trimmed(c.Description)) || changed
		changed = setText(&t.Colour, trimmed(c.Colour)) || changed
		if changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteType deletes a target type that no target has.
func (s *Service) DeleteType(ctx context.Context, id TargetTypeID) error {
	err := s.Store.DeleteTargetType(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()))
	if fault.Is(err, fault.NotFound) {
		return fault.MissingAll("TargetType", int64(id))
	}
	return err
}

// AddSetTypes makes targets of the type accept sets of these types, all or none.
func (s *Service) AddSetTypes(ctx context.Context, id TargetTypeID, list []*software.SetTypeID) error {
	if len(list) == 0 {
		return fault.New(fault.Invalid, "assignCompatibleDistributionSetTypes.distributionSetTypeIds must not be empty.")
	}
	ids, err := named(list)
	if err != nil {
		return err
	}
	_, err = s.Store.UpdateTargetType(ctx, caller.From(ctx).Tenant, id, func(t *Type) error {
		if !t.add(ids) {
			return nil
		}
		if n, limit := len(t.SetTypes), s.Quotas.SetTypesPerType; tenant.Exceeds(n, limit) {
			return fault.New(fault.Quota, "Quota exceeded: target type %s would accept %d types of distribution sets; at most %d are allowed.", strconv.Quote(t.Key), n, limit)
		}
		t.Touch(ctx, s.Now())
		return nil
	})
	return err
}

// RemoveSetType makes targets of the type accept sets of this type no more.
// What is assigned stays so.
func (s *Service) RemoveSetType(ctx context.Context, id TargetTypeID, setType software.SetTypeID) error {
	_, err := s.Store.UpdateTargetType(ctx, caller.From(ctx).Tenant, id, func(t *Type) error {
		i := slices.Index(t.SetTypes, setType)
		if i >= 0 {
			t.SetTypes = slices.Delete(slices.Clone(t.SetTypes), i, i+1)
			t.Touch(ctx, s.Now())
		}
		return nil
	})
	return err
}
