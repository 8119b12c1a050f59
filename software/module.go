package software

import (
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A Module is one thing that a device installs: its artifacts, and the metadata
// that goes with them (update-domain 1.4).
type Module struct {
	ID            ModuleID
	Type          Kind
	Name          string
	Version       string
	Description   *string
	Vendor        *string
	Encrypted     bool
	Locked        bool // its artifacts do not change any more
	Deleted       bool
	ArtifactCount int
	caller.Stamps
}

// Kind is what a module shows of its type.
type Kind struct {
	ID             ModuleTypeID
	Key            string
	Name           string
	MinArtifacts   int
	MaxAssignments int
}

// kind is what modules show of the type.
func (t *ModuleType) kind() Kind {
	return Kind{ID: t.ID, Key: t.Key, Name: t.Name, MinArtifacts: t.MinArtifacts, MaxAssignments: t.MaxAssignments}
}

// Complete reports whether the module has the artifacts that its type demands.
func (m *Module) Complete() bool { return m.ArtifactCount >= m.Type.MinArtifacts }

// NewModule is what a module is made of.
type NewModule struct {
	TypeKey     string
	Name        string
	Version     string
	Description *string
	Vendor      *string
	Encrypted   bool
}

// ModuleChange is what can be changed of a module; nil leaves something as it is.
type ModuleChange struct {
	Description *string
	Vendor      *string
	Locked      *bool
}

// ModuleStore keeps modules.
type ModuleStore interface {
	// Modules returns one page and how many there are in all.
	Modules(ctx context.Context, t tenant.ID, l query.List, d Deleted) ([]Module, int, error)

	// Module returns one, soft-deleted or not, or fault.NotFound.
	Module(ctx context.Context, t tenant.ID, id ModuleID) (*Module, error)

	// CreateModules adds all or none, and sets their ids; fault.Exists when a
	// type has a module of that name and version already.
	CreateModules(ctx context.Context, t tenant.ID, modules []Module) error

	// UpdateModule lets change decide and saves the outcome. change may run
	// more than once. An outcome equal to what was there is not saved.
	UpdateModule(ctx context.Context, t tenant.ID, id ModuleID, change func(*Module) error) (*Module, error)

	// DeleteModule removes the module with its artifacts and metadata, or marks
	// it deleted when a set contains it. check may refuse; it sees how the
	// module is used. What is marked already stays so. It returns the content
	// that the module's artifacts had.
	DeleteModule(ctx context.Context, t tenant.ID, id ModuleID, by caller.Stamps, check func(*Module, Use) error) ([]string, error)

	// ModuleMetadata returns all metadata of a module, by key.
	ModuleMetadata(ctx context.Context, t tenant.ID, id ModuleID) ([]ModuleMetadatum, error)

	// UpdateModuleMetadata lets change decide and saves the outcome.
	UpdateModuleMetadata(ctx context.Context, t tenant.ID, id ModuleID, now time.Time, change func(map[string]ModuleMetadatum) error) error
}

// Use says which sets contain a module.
type Use struct {
	Sets       bool // any set, also a deleted one
	LockedSets bool // a set that is locked and not deleted
}

// ModuleMetadatum is one entry of a module's metadata. Devices see it when
// TargetVisible is set.
type ModuleMetadatum struct {
	Key           string
	Value         *string // nil: given without a value
	TargetVisible bool
}

// Modules lists software modules.
func (s *Service) Modules(ctx context.Context, l query.List, d Deleted) ([]Module, int, error) {
	return s.Store.Modules(ctx, caller.From(ctx).Tenant, l, d)
}

// Module returns one software module.
func (s *Service) Module(ctx context.Context, id ModuleID) (*Module, error) {
	return s.Store.Module(ctx, caller.From(ctx).Tenant, id)
}

// CreateModules adds modules, all or none. Texts are trimmed (management-api
// 1.12); a type that is soft-deleted serves no new module.
func (s *Service) CreateModules(ctx context.Context, in []NewModule) ([]Module, error) {
	t := caller.From(ctx).Tenant
	var v freetext.Violations
	for i := range in {
		n, at := &in[i], fmt.Sprintf("create.create[%d].", i)
		checkName(&v, at, n.Name, n.Version)
		v.Text(at+"type", n.TypeKey, 1, maxKey)
		v.OptionalText(at+"description", n.Description, 0, maxDescription)
		v.OptionalText(at+"vendor", n.Vendor, 0, maxVendor)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	keys := make([]string, len(in))
	for i := range in {
		in[i].TypeKey = freetext.Trim(in[i].TypeKey)
		keys[i] = in[i].TypeKey
	}
	types, err := s.Store.ModuleTypesByKey(ctx, t, keys)
	if err != nil {
		return nil, err
	}
	modules := make([]Module, len(in))
	for i := range in {
		n := &in[i]
		typ, ok := types[n.TypeKey]
		switch {
		case !ok:
			return nil, fault.Missing("SoftwareModuleType", n.TypeKey)
		case typ.Deleted:
			return nil, fault.New(fault.Rejected, "The software module type %s is deleted: it serves the modules that it has, and no new one.", n.TypeKey)
		case n.Encrypted:
			return nil, fault.New(fault.EncryptionMissing, "No module can be encrypted: nothing here encrypts artifacts. Leave \"encrypted\" out, or set it to false.")
		}
		m := Module{
			Type: typ.kind(), Name: freetext.Trim(n.Name), Version: freetext.Trim(n.Version),
			Description: trimmed(n.Description), Vendor: trimmed(n.Vendor), Stamps: caller.Stamp(ctx, s.Now()),
		}
		checkTrimmedName(&v, m.Name, m.Version)
		modules[i] = m
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	return modules, s.Store.CreateModules(ctx, t, modules)
}

// UpdateModule changes texts and the lock. A locked module's texts can still be
// changed, and an incomplete module can be locked.
func (s *Service) UpdateModule(ctx context.Context, id ModuleID, c ModuleChange) (*Module, error) {
	var v freetext.Violations
	v.OptionalText("update.update.description", c.Description, 0, maxDescription)
	v.OptionalText("update.update.vendor", c.Vendor, 0, maxVendor)
	if err := v.Err(); err != nil {
		return nil, err
	}
	return s.Store.UpdateModule(ctx, caller.From(ctx).Tenant, id, func(m *Module) error {
		if m.Deleted {
			return fault.SoftDeleted("SoftwareModule", int64(id))
		}
		changed := setText(&m.Description, trimmed(c.Description))
		changed = setText(&m.Vendor, trimmed(c.Vendor)) || changed
		if c.Locked != nil && m.Locked != *c.Locked {
			m.Locked, changed = *c.Locked, true
		}
		if changed {
			m.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteModule deletes a module, softly when a set contains it, and then the
// bytes that no other module needs. A module of a locked set stays. What is
// deleted softly may be deleted again.
func (s *Service) DeleteModule(ctx context.Context, id ModuleID) error {
	content, err := s.Store.DeleteModule(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()), func(m *Module, u Use) error {
		if !m.Deleted && u.LockedSets {
			return fault.New(fault.Locked, "Software module %d cannot be deleted: a locked distribution set contains it. Delete or unlock the set first.", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.release(ctx, content)
	return nil
}

// ModuleMetadata returns all metadata of a module, by key.
func (s *Service) ModuleMetadata(ctx context.Context, id ModuleID) ([]ModuleMetadatum, error) {
	return s.Store.ModuleMetadata(ctx, caller.From(ctx).Tenant, id)
}

// ModuleMetadatum returns one entry of a module's metadata.
func (s *Service) ModuleMetadatum(ctx context.Context, id ModuleID, key string) (*ModuleMetadatum, error) {
	all, err := s.ModuleMetadata(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Key == key {
			return &all[i], nil
		}
	}
	return nil, fault.Missing("SoftwareModule metadata", fmt.Sprintf("%d:%s", id, key))
}

// SaveModuleMetadata adds entries, or replaces those of the same key: all or
// none. Keys are kept as they are, values are trimmed. A soft-deleted or locked
// module takes metadata, too.
//
// An entry that brings nothing but a new key is not kept (management-api 2.11,
// row 11).
func (s *Service) SaveModuleMetadata(ctx context.Context, id ModuleID, entries []ModuleMetadatum) error {
	if len(entries) == 0 {
		return fault.New(fault.Invalid, "Metadata must have at least one entry.")
	}
	var v freetext.Violations
	for i := range entries {
		if value := entries[i].Value; value != nil {
			v.Length(fmt.Sprintf("create[%d].value", i), *value, 0, maxMetadataValue)
		}
	}
	if err := v.Err(); err != nil {
		return err
	}
	limit := s.Quotas.MetadataPerEntity
	return s.Store.UpdateModuleMetadata(ctx, caller.From(ctx).Tenant, id, s.Now(), func(m map[string]ModuleMetadatum) error {
		var keys freetext.Violations
		for _, e := range entries {
			keys.Length("The metadata key", e.Key, 0, maxMetadataKey)
			e.Value = trimmed(e.Value)
			if _, known := m[e.Key]; !known && e.Value == nil && !e.TargetVisible {
				continue
			}
			m[e.Key] = e
		}
		if err := checkMetadataQuota(len(m), limit, fmt.Sprintf("software module %d", id)); err != nil {
			return err
		}
		return integrity(&keys)
	})
}

// DeleteModuleMetadatum removes one entry.
func (s *Service) DeleteModuleMetadatum(ctx context.Context, id ModuleID, key string) error {
	return s.Store.UpdateModuleMetadata(ctx, caller.From(ctx).Tenant, id, s.Now(), func(m map[string]ModuleMetadatum) error {
		if _, ok := m[key]; !ok {
			return fault.Missing("Metadata", fmt.Sprintf("SoftwareModule:%d:%s", id, key))
		}
		delete(m, key)
		return nil
	})
}
