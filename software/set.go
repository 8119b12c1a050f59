package software

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A Set is what is assigned to targets: modules that are installed together
// (update-domain 1.5).
type Set struct {
	ID          SetID
	Type        SetKind
	Name        string
	Version     string
	Description *string

	// RequiredMigrationStep keeps actions of the set from being cancelled by a
	// newer assignment.
	RequiredMigrationStep bool

	Valid   bool // false for ever once it was invalidated
	Locked  bool // its modules do not change any more
	Deleted bool
	Modules []Module // in order of id
	caller.Stamps
}

// SetKind is what a set shows of its type.
type SetKind struct {
	ID        SetTypeID
	Key       string
	Name      string
	Mandatory []ModuleTypeID
	Optional  []ModuleTypeID
}

// Complete reports whether the set can be installed: it has modules, among them
// one of every mandatory type, and each of them is complete.
func (s *Set) Complete() bool {
	if len(s.Modules) == 0 {
		return false
	}
	for i := range s.Modules {
		if !s.Modules[i].Complete() {
			return false
		}
	}
	for _, typ := range s.Type.Mandatory {
		if !slices.ContainsFunc(s.Modules, func(m Module) bool { return m.Type.ID == typ }) {
			return false
		}
	}
	return true
}

// Invalidate makes the set invalid for ever: nothing new may use it. It reports
// whether the set was valid; doing so again is no error.
func (s *Set) Invalidate() (changed bool, err error) {
	if s.Deleted {
		return false, fault.SoftDeleted("DistributionSet", int64(s.ID))
	}
	if err := s.mustBeComplete(); err != nil {
		return false, err
	}
	changed = s.Valid
	s.Valid = false
	return changed, nil
}

func (s *Set) mustBeComplete() error {
	if !s.Complete() {
		return fault.New(fault.SetIncomplete, "Distribution set %s:%s (%d) is incomplete: it needs a module of every mandatory type, and every module needs its artifacts.", s.Name, s.Version, s.ID)
	}
	return nil
}

// changeable says why nothing of the set can change, except that it may be deleted.
func (s *Set) changeable() error {
	if s.Deleted {
		return fault.SoftDeleted("DistributionSet", int64(s.ID))
	}
	return s.mustBeValid()
}

func (s *Set) mustBeValid() error {
	if !s.Valid {
		return fault.New(fault.SetInvalid, "Distribution set %s:%s (%d) was invalidated and cannot be changed or used any more.", s.Name, s.Version, s.ID)
	}
	return nil
}

// Add puts modules into the set. A module that is in it already is no error.
// Where the set has as many modules of the type as the type allows, the oldest
// of them makes room. Nothing is added when one of the modules has a type that
// sets of this type do not have.
func (s *Set) Add(modules ...Module) error {
	if s.Locked {
		return fault.New(fault.Locked, "Distribution set %s:%s (%d) is locked, so no module can be added. Unlock it first.", s.Name, s.Version, s.ID)
	}
	for i := range modules {
		m := &modules[i]
		if !slices.Contains(s.Type.Mandatory, m.Type.ID) && !slices.Contains(s.Type.Optional, m.Type.ID) {
			return fault.New(fault.ModuleUnsuited, "Software module %s:%s has the type %s, which distribution sets of type %s do not contain.", m.Name, m.Version, m.Type.Key, s.Type.Key)
		}
	}
	for _, m := range modules {
		if slices.ContainsFunc(s.Modules, func(x Module) bool { return x.ID == m.ID }) {
			continue
		}
		present := 0
		first := -1
		for i := range s.Modules {
			if s.Modules[i].Type.ID == m.Type.ID {
				if present++; first < 0 {
					first = i
				}
			}
		}
		if present >= m.Type.MaxAssignments && first >= 0 {
			s.Modules = slices.Delete(s.Modules, first, first+1)
		}
		s.Modules = append(s.Modules, m)
	}
	slices.SortFunc(s.Modules, func(a, b Module) int { return int(a.ID - b.ID) })
	return nil
}

// Remove takes a module out of the set; one that is not in it is no error.
func (s *Set) Remove(id ModuleID) error {
	if s.Locked {
		return fault.New(fault.Locked, "Distribution set %s:%s (%d) is locked, so no module can be removed. Unlock it first.", s.Name, s.Version, s.ID)
	}
	s.Modules = slices.DeleteFunc(s.Modules, func(m Module) bool { return m.ID == id })
	return nil
}

// Lock locks the set and its modules, and reports whether that changed the set.
func (s *Set) Lock() bool {
	if s.Locked {
		return false
	}
	s.Locked = true
	for i := range s.Modules {
		s.Modules[i].Locked = true
	}
	return true
}

// NewSet is what a set is made of.
type NewSet struct {
	TypeKey               *string // nil: the tenant's default
	Name                  string
	Version               string
	Description           *string
	RequiredMigrationStep bool
	Modules               []*ModuleID // nil: an entry without an id
}

// SetChange is what can be changed of a set; nil leaves something as it is.
type SetChange struct {
	Name                  *string
	Version               *string
	Description           *string
	Locked                *bool
	RequiredMigrationStep *bool
}

// Metadatum is one entry of a set's metadata.
type Metadatum struct {
	Key   string
	Value string
}

// SetStore keeps sets.
type SetStore interface {
	// Sets returns one page and how many there are in all.
	Sets(ctx context.Context, t tenant.ID, l query.List, d Deleted) ([]Set, int, error)

	// Set returns one, soft-deleted or not, or fault.NotFound.
	Set(ctx context.Context, t tenant.ID, id SetID) (*Set, error)

	// SetModules returns one page of a set's modules and how many it has.
	// fault.NotFound when there is no such set.
	SetModules(ctx context.Context, t tenant.ID, id SetID, l query.List) ([]Module, int, error)

	// ModulesByID returns the modules that have one of the ids, soft-deleted
	// ones among them, in order of id.
	ModulesByID(ctx context.Context, t tenant.ID, ids []ModuleID) ([]Module, error)

	// CreateSets adds all or none, and sets their ids; fault.Exists when a type
	// has a set of that name and version already.
	CreateSets(ctx context.Context, t tenant.ID, sets []Set) error

	// UpdateSet lets change decide and saves the outcome: the set, which
	// modules it has, and whether they are locked. change may run more than
	// once. An outcome equal to what was there is not saved.
	UpdateSet(ctx context.Context, t tenant.ID, id SetID, change func(*Set) error) (*Set, error)

	// DeleteSet removes the set, or marks it deleted when an action or a target
	// refers to it. What is marked already stays so. fault.NotFound when there
	// is no such set.
	DeleteSet(ctx context.Context, t tenant.ID, id SetID, by caller.Stamps) error

	// SetMetadata returns all metadata of a set, by key.
	SetMetadata(ctx context.Context, t tenant.ID, id SetID) ([]Metadatum, error)

	// UpdateSetMetadata lets change decide and saves the outcome. change sees
	// the set without its modules.
	UpdateSetMetadata(ctx context.Context, t tenant.ID, id SetID, now time.Time, change func(*Set, map[string]string) error) error
}

// Sets lists distribution sets.
func (s *Service) Sets(ctx context.Context, l query.List, d Deleted) ([]Set, int, error) {
	return s.Store.Sets(ctx, caller.From(ctx).Tenant, l, d)
}

// Set returns one distribution set.
func (s *Service) Set(ctx context.Context, id SetID) (*Set, error) {
	return s.Store.Set(ctx, caller.From(ctx).Tenant, id)
}

// SetModules lists the modules of a set.
func (s *Service) SetModules(ctx context.Context, id SetID, l query.List) ([]Module, int, error) {
	return s.Store.SetModules(ctx, caller.From(ctx).Tenant, id, l)
}

// CreateSets adds sets, all or none. Texts are trimmed, except that the key of
// the type is taken as it was sent. A type that is soft-deleted serves no new
// set; a soft-deleted module may still be put into one.
func (s *Service) CreateSets(ctx context.Context, in []NewSet) ([]Set, error) {
	t := caller.From(ctx).Tenant
	var v freetext.Violations
	for i := range in {
		n, at := &in[i], fmt.Sprintf("create.create[%d].", i)
		checkName(&v, at, n.Name, n.Version)
		v.OptionalText(at+"description", n.Description, 0, maxDescription)
		v.OptionalText(at+"type", n.TypeKey, 1, maxKey)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	types, err := s.setTypes(ctx, in)
	if err != nil {
		return nil, err
	}
	modules, err := s.modules(ctx, in)
	if err != nil {
		return nil, err
	}
	sets := make([]Set, len(in))
	for i := range in {
		n := &in[i]
		set := Set{
			Type: types[i], Name: freetext.Trim(n.Name), Version: freetext.Trim(n.Version), Description: trimmed(n.Description),
			RequiredMigrationStep: n.RequiredMigrationStep, Valid: true, Stamps: caller.Stamp(ctx, s.Now()),
		}
		checkTrimmedName(&v, set.Name, set.Version)
		for _, id := range n.Modules {
			if err := set.Add(modules[*id]); err != nil {
				return nil, err
			}
		}
		sets[i] = set
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	return sets, s.Store.CreateSets(ctx, t, sets)
}

// setTypes finds the type of each new set.
func (s *Service) setTypes(ctx context.Context, in []NewSet) ([]SetKind, error) {
	t := caller.From(ctx).Tenant
	var keys []string
	for i := range in {
		if in[i].TypeKey != nil {
			keys = append(keys, *in[i].TypeKey)
		}
	}
	found, err := s.Store.SetTypesByKey(ctx, t, keys)
	if err != nil {
		return nil, err
	}
	var preset *SetType
	kinds := make([]SetKind, len(in))
	for i := range in {
		var typ SetType
		if key := in[i].TypeKey; key != nil {
			var ok bool
			if typ, ok = found[*key]; !ok {
				return nil, fault.Missing("DistributionSetType", *key)
			}
		} else {
			if preset == nil {
				if preset, err = s.defaultSetType(ctx); err != nil {
					return nil, err
				}
			}
			typ = *preset
		}
		if typ.Deleted {
			return nil, fault.New(fault.Rejected, "The distribution set type %s is deleted: it serves the sets that it has, and no new one.", typ.Key)
		}
		kinds[i] = typ.kind()
	}
	return kinds, nil
}

func (s *Service) defaultSetType(ctx context.Context) (*SetType, error) {
	t := caller.From(ctx).Tenant
	settings, err := s.Tenants.Settings(ctx, t)
	if err != nil {
		return nil, err
	}
	return s.Store.SetType(ctx, t, SetTypeID(settings.DefaultSetType))
}

// modules finds the modules that the new sets name.
func (s *Service) modules(ctx context.Context, in []NewSet) (map[ModuleID]Module, error) {
	var all []*ModuleID
	for i := range in {
		all = append(all, in[i].Modules...)
	}
	list, err := s.modulesByID(ctx, all)
	if err != nil {
		return nil, err
	}
	byID := make(map[ModuleID]Module, len(list))
	for _, m := range list {
		byID[m.ID] = m
	}
	return byID, nil
}

// modulesByID returns the modules when all of them exist.
func (s *Service) modulesByID(ctx context.Context, ids []*ModuleID) ([]Module, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	wanted, absent := given(ids)
	found, err := s.Store.ModulesByID(ctx, caller.From(ctx).Tenant, wanted)
	if err != nil {
		return nil, err
	}
	for _, id := range wanted {
		if !slices.ContainsFunc(found, func(m Module) bool { return m.ID == id }) {
			absent = append(absent, decimal(id))
		}
	}
	if len(absent) > 0 {
		return nil, missing("SoftwareModule", absent...)
	}
	return found, nil
}

// UpdateSet changes a set. The lock that the set has when it is called decides
// what may change: unlocking in the same call does not help.
func (s *Service) UpdateSet(ctx context.Context, id SetID, c SetChange) (*Set, error) {
	var v freetext.Violations
	v.OptionalText("update.update.name", c.Name, 1, maxName)
	v.OptionalText("update.update.version", c.Version, 1, maxVersion)
	v.OptionalText("update.update.description", c.Description, 0, maxDescription)
	if err := v.Err(); err != nil {
		return nil, err
	}
	c.Name, c.Version, c.Description = trimmed(c.Name), trimmed(c.Version), trimmed(c.Description)
	v.OptionalText("name", c.Name, 1, maxName)
	v.OptionalText("version", c.Version, 1, maxVersion)
	return s.Store.UpdateSet(ctx, caller.From(ctx).Tenant, id, func(set *Set) error {
		before := slices.Clone(set.Modules)
		changed, err := set.change(c)
		if err != nil {
			return err
		}
		if err := v.Err(); err != nil {
			return err
		}
		if changed {
			set.Touch(ctx, s.Now())
		}
		for i := range set.Modules {
			if m := &set.Modules[i]; m.Locked != before[i].Locked {
				m.Touch(ctx, s.Now())
			}
		}
		return nil
	})
}

// change applies c and reports whether anything changed.
func (s *Set) change(c SetChange) (changed bool, err error) {
	if err := s.changeable(); err != nil {
		return false, err
	}
	if step := c.RequiredMigrationStep; step != nil && *step != s.RequiredMigrationStep {
		if s.Locked {
			return false, fault.New(fault.Locked, "Distribution set %s:%s (%d) is locked, so requiredMigrationStep cannot change. Unlock it first, in a call of its own.", s.Name, s.Version, s.ID)
		}
		s.RequiredMigrationStep, changed = *step, true
	}
	if c.Name != nil && *c.Name != s.Name {
		s.Name, changed = *c.Name, true
	}
	if c.Version != nil && *c.Version != s.Version {
		s.Version, changed = *c.Version, true
	}
	changed = setText(&s.Description, c.Description) || changed
	switch {
	case c.Locked == nil:
	case *c.Locked:
		changed = s.Lock() || changed
	case s.Locked:
		s.Locked, changed = false, true
	}
	return changed, nil
}

// AddModules puts modules into a set: all, or none.
func (s *Service) AddModules(ctx context.Context, id SetID, ids []*ModuleID) error {
	if len(ids) == 0 {
		return fault.New(fault.Invalid, "assignSoftwareModules.moduleIds must not be empty.")
	}
	set, err := s.Set(ctx, id)
	if err != nil {
		return err
	}
	if err := set.changeable(); err != nil {
		return err
	}
	room := func(set *Set) error {
		if limit := s.Quotas.ModulesPerSet; limit > 0 && len(set.Modules)+len(ids) > limit {
			return fault.New(fault.Quota, "Distribution set %s:%s (%d) has %d modules, so %d more are too many; at most %d are allowed.", set.Name, set.Version, id, len(set.Modules), len(ids), limit)
		}
		return nil
	}
	if err := room(set); err != nil {
		return err
	}
	modules, err := s.modulesByID(ctx, ids)
	if err != nil {
		return err
	}
	if len(modules) != len(ids) {
		return missing("SoftwareModule") // one of them is named twice; the contract says it so
	}
	_, err = s.Store.UpdateSet(ctx, caller.From(ctx).Tenant, id, func(set *Set) error {
		if err := set.changeable(); err != nil {
			return err
		}
		if err := room(set); err != nil {
			return err
		}
		before := slices.Clone(set.Modules)
		if err := set.Add(modules...); err != nil {
			return err
		}
		s.touchModules(ctx, set, before)
		return nil
	})
	return err
}

// RemoveModule takes a module out of a set; one that is not in it is no error.
func (s *Service) RemoveModule(ctx context.Context, id SetID, module ModuleID) error {
	set, err := s.Set(ctx, id)
	if err != nil {
		return err
	}
	if err := set.changeable(); err != nil {
		return err
	}
	if _, err := s.Module(ctx, module); err != nil {
		return err
	}
	_, err = s.Store.UpdateSet(ctx, caller.From(ctx).Tenant, id, func(set *Set) error {
		if err := set.changeable(); err != nil {
			return err
		}
		before := slices.Clone(set.Modules)
		if err := set.Remove(module); err != nil {
			return err
		}
		s.touchModules(ctx, set, before)
		return nil
	})
	return err
}

// touchModules notes a change when the set has other modules than before.
func (s *Service) touchModules(ctx context.Context, set *Set, before []Module) {
	if !slices.EqualFunc(before, set.Modules, func(a, b Module) bool { return a.ID == b.ID }) {
		set.Touch(ctx, s.Now())
	}
}

// DeleteSet deletes a set, softly when something refers to it; a lock does not
// keep it. What is deleted softly may be deleted again.
func (s *Service) DeleteSet(ctx context.Context, id SetID) error {
	err := s.Store.DeleteSet(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()))
	if fault.Is(err, fault.NotFound) {
		return missing("DistributionSet", decimal(id))
	}
	return err
}

// SetMetadata returns all metadata of a set, by key.
func (s *Service) SetMetadata(ctx context.Context, id SetID) ([]Metadatum, error) {
	return s.Store.SetMetadata(ctx, caller.From(ctx).Tenant, id)
}

// SetMetadatum returns one entry of a set's metadata.
func (s *Service) SetMetadatum(ctx context.Context, id SetID, key string) (*Metadatum, error) {
	all, err := s.SetMetadata(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Key == key {
			return &all[i], nil
		}
	}
	// The contract says so of sets, too.
	return nil, fault.Missing("Target metadata", fmt.Sprintf("%d:%s", id, key))
}

// SaveSetMetadata adds entries, or replaces those of the same key: all or none.
// Keys and values are kept as they are. A locked or soft-deleted set takes
// metadata, an invalid one does not.
func (s *Service) SaveSetMetadata(ctx context.Context, id SetID, entries []Metadatum) error {
	if len(entries) == 0 {
		return fault.New(fault.Invalid, "Metadata must have at least one entry.")
	}
	var v freetext.Violations
	for _, e := range entries {
		v.Length("The metadata key", e.Key, 0, maxMetadataKey)
		v.Length("The metadata value", e.Value, 0, maxMetadataValue)
	}
	limit := s.Quotas.MetadataPerEntity
	return s.Store.UpdateSetMetadata(ctx, caller.From(ctx).Tenant, id, s.Now(), func(set *Set, m map[string]string) error {
		if err := set.mustBeValid(); err != nil {
			return err
		}
		for _, e := range entries {
			m[e.Key] = e.Value
		}
		if err := checkMetadataQuota(len(m), limit, fmt.Sprintf("distribution set %d", id)); err != nil {
			return err
		}
		return integrity(&v)
	})
}

// DeleteSetMetadatum removes one entry.
func (s *Service) DeleteSetMetadatum(ctx context.Context, id SetID, key string) error {
	return s.Store.UpdateSetMetadata(ctx, caller.From(ctx).Tenant, id, s.Now(), func(set *Set, m map[string]string) error {
		if err := set.mustBeValid(); err != nil {
			return err
		}
		if _, ok := m[key]; !ok {
			return fault.Missing("Metadata", fmt.Sprintf("DistributionSet:%d:%s", id, key))
		}
		delete(m, key)
		return nil
	})
}
