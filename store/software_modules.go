package store

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const (
	moduleSelect = `e.id, e.name, e.version, e.description, e.vendor, e.encrypted, e.locked, e.deleted,
		y.id, y.key, y.name, y.min_artifacts, y.max_assignments, (SELECT count(*) FROM artifact ac WHERE ac.module_id = e.id),
		e.created_by, e.created_at, e.modified_by, e.modified_at`
	moduleFrom = "software_module e JOIN software_module_type y ON y.id = e.type_id"
)

func scanModule(r scanner) (m software.Module, err error) {
	dest, finish := moduleDest(&m)
	err = r.Scan(dest...)
	finish()
	return m, err
}

// moduleDest returns where moduleSelect are read into, and what completes the
// module afterwards.
func moduleDest(m *software.Module) (dest []any, finish func()) {
	s := audit{to: &m.Stamps}
	return append([]any{
		&m.ID, &m.Name, &m.Version, &m.Description, &m.Vendor, &m.Encrypted, &m.Locked, &m.Deleted,
		&m.Type.ID, &m.Type.Key, &m.Type.Name, &m.Type.MinArtifacts, &m.Type.MaxAssignments, &m.ArtifactCount,
	}, s.dest()...), s.finish
}

// Modules implements software.ModuleStore.
func (s Software) Modules(ctx context.Context, t tenant.ID, l query.List, d software.Deleted) ([]software.Module, int, error) {
	return pageOf(ctx, s.DB, t, l, listing{
		columns: moduleColumns(), fields: moduleSelect, from: moduleFrom, where: "e.tenant_id = $1" + deletedClause(d), args: []any{t},
	}, scanModule)
}

// Module implements software.ModuleStore.
func (s Software) Module(ctx context.Context, t tenant.ID, id software.ModuleID) (m *software.Module, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		m, err = module(ctx, q, t, id, "")
		return err
	})
	return m, err
}

func module(ctx context.Context, q querier, t tenant.ID, id software.ModuleID, suffix string) (*software.Module, error) {
	m, err := scanModule(q.row(ctx, "SELECT "+moduleSelect+" FROM "+moduleFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("SoftwareModule", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// ModulesByID implements software.SetStore.
func (s Software) ModulesByID(ctx context.Context, t tenant.ID, ids []software.ModuleID) (list []software.Module, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, scanModule, "SELECT "+moduleSelect+" FROM "+moduleFrom+" WHERE e.tenant_id = $1 AND e.id IN (SELECT i.id FROM "+s.DB.ids("$2", "i")+") ORDER BY e.id", t, idList(ids))
		return err
	})
	return list, err
}

// CreateModules implements software.ModuleStore.
func (s Software) CreateModules(ctx context.Context, t tenant.ID, modules []software.Module) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		for i := range modules {
			m := &modules[i]
			id, err := tx.insert(ctx, "INSERT INTO software_module (tenant_id, type_id, name, version, description, vendor, encrypted, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
				append([]any{t, int64(m.Type.ID), m.Name, m.Version, m.Description, m.Vendor, m.Encrypted}, stampArgs(&m.Stamps)...)...)
			if err != nil {
				return tx.taken(err, "There is a software module %q in version %q of type %s already; the names of deleted modules stay taken, too.", m.Name, m.Version, m.Type.Key)
			}
			m.ID = software.ModuleID(id)
			tx.changed(t, event.ModuleCreated, id, m.CreatedAt)
		}
		return nil
	})
}

// UpdateModule implements software.ModuleStore.
func (s Software) UpdateModule(ctx context.Context, t tenant.ID, id software.ModuleID, change func(*software.Module) error) (m *software.Module, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if m, err = module(ctx, tx, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *m
		if err := change(m); err != nil {
			return err
		}
		return saveModule(ctx, tx, t, &before, m)
	})
	return m, err
}

// saveModule writes what differs from before, if anything.
func saveModule(ctx context.Context, tx *Tx, t tenant.ID, before, m *software.Module) error {
	if reflect.DeepEqual(before, m) {
		return nil
	}
	if _, err := tx.exec(ctx, "UPDATE software_module SET description = $2, vendor = $3, locked = $4, modified_by = $5, modified_at = $6 WHERE id = $1",
		int64(m.ID), m.Description, m.Vendor, m.Locked, m.ModifiedBy, m.ModifiedAt.UnixMilli()); err != nil {
		return err
	}
	tx.changed(t, event.ModuleChanged, int64(m.ID), m.ModifiedAt)
	return nil
}

// DeleteModule implements software.ModuleStore.
func (s Software) DeleteModule(ctx context.Context, t tenant.ID, id software.ModuleID, by caller.Stamps, check func(*software.Module, software.Use) error) (content []string, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		m, err := module(ctx, tx, t, id, tx.db.lock("e"))
		if err != nil {
			return err
		}
		var use software.Use
		if use.Sets, err = exists(ctx, tx, "distribution_set_module WHERE module_id = $1", int64(id)); err != nil {
			return err
		}
		if use.LockedSets, err = exists(ctx, tx, "distribution_set_module dm JOIN distribution_set d ON d.id = dm.set_id WHERE dm.module_id = $1 AND d.locked AND NOT d.deleted", int64(id)); err != nil {
			return err
		}
		if err := check(m, use); err != nil {
			return err
		}
		content = nil
		if m.Deleted {
			return nil
		}
		if content, err = all(ctx, tx, scalar[string], "SELECT DISTINCT sha256 FROM artifact WHERE module_id = $1", int64(id)); err != nil {
			return err
		}
		return remove(ctx, tx, t, "software_module", event.ModuleDeleted, int64(id), use.Sets, by)
	})
	return content, err
}

func scanModuleMetadatum(r scanner) (m software.ModuleMetadatum, err error) {
	err = r.Scan(&m.Key, &m.Value, &m.TargetVisible)
	return m, err
}

func moduleMetadata(ctx context.Context, q querier, id software.ModuleID) ([]software.ModuleMetadatum, error) {
	return all(ctx, q, scanModuleMetadatum, "SELECT key, value, target_visible FROM software_module_metadata WHERE module_id = $1 ORDER BY key", int64(id))
}

// ModuleMetadata implements software.ModuleStore.
func (s Software) ModuleMetadata(ctx context.Context, t tenant.ID, id software.ModuleID) (list []software.ModuleMetadatum, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		if _, err := module(ctx, q, t, id, ""); err != nil {
			return err
		}
		list, err = moduleMetadata(ctx, q, id)
		return err
	})
	return list, err
}

// UpdateModuleMetadata implements software.ModuleStore.
func (s Software) UpdateModuleMetadata(ctx context.Context, t tenant.ID, id software.ModuleID, now time.Time, change func(map[string]software.ModuleMetadatum) error) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		if _, err := module(ctx, tx, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		entries, err := moduleMetadata(ctx, tx, id)
		if err != nil {
			return err
		}
		before := map[string]software.ModuleMetadatum{}
		for _, e := range entries {
			before[e.Key] = e
		}
		after := maps.Clone(before)
		if err := change(after); err != nil {
			return err
		}
		n := 0
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if _, ok := after[key]; !ok {
				n++
				if _, err := tx.exec(ctx, "DELETE FROM software_module_metadata WHERE module_id = $1 AND key = $2", int64(id), key); err != nil {
					return err
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(after)) {
			e := after[key]
			if old, ok := before[key]; ok && reflect.DeepEqual(old, e) {
				continue
			}
			n++
			if _, err := tx.exec(ctx, "INSERT INTO software_module_metadata (module_id, key, value, target_visible) VALUES ($1, $2, $3, $4) ON CONFLICT (module_id, key) DO UPDATE SET value = excluded.value, target_visible = excluded.target_visible",
				int64(id), key, e.Value, e.TargetVisible); err != nil {
				return err
			}
		}
		if n > 0 {
			tx.changed(t, event.ModuleChanged, int64(id), now)
		}
		return nil
	})
}
