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
	setSelect = `e.id, e.name, e.version, e.description, e.required_migration_step, e.valid, e.locked, e.deleted,
		y.id, y.key, y.name, e.created_by, e.created_at, e.modified_by, e.modified_at`
	setFrom = "distribution_set e JOIN distribution_set_type y ON y.id = e.type_id"
)

func scanSet(r scanner) (d software.Set, err error) {
	s := audit{to: &d.Stamps}
	err = r.Scan(append([]any{
		&d.ID, &d.Name, &d.Version, &d.Description, &d.RequiredMigrationStep, &d.Valid, &d.Locked, &d.Deleted,
		&d.Type.ID, &d.Type.Key, &d.Type.Name,
	}, s.dest()...)...)
	s.finish()
	return d, err
}

// fillSets completes sets with their modules and with the module types that
// their types have: two statements, however many sets there are.
func fillSets(ctx context.Context, q querier, d dialect, sets []software.Set) error {
	if len(sets) == 0 {
		return nil
	}
	ids := make([]software.SetID, len(sets))
	byID := make(map[software.SetID]*software.Set, len(sets))
	var types []software.SetTypeID
	for i := range sets {
		ids[i] = sets[i].ID
		byID[sets[i].ID] = &sets[i]
		if !slices.Contains(types, sets[i].Type.ID) {
			types = append(types, sets[i].Type.ID)
		}
	}
	_, err := all(ctx, q, func(r scanner) (none struct{}, err error) {
		var m software.Module
		var set software.SetID
		dest, finish := moduleDest(&m)
		if err := r.Scan(append(dest, &set)...); err != nil {
			return none, err
		}
		finish()
		byID[set].Modules = append(byID[set].Modules, m)
		return none, nil
	}, "SELECT "+moduleSelect+", l.set_id FROM "+moduleFrom+" JOIN distribution_set_module l ON l.module_id = e.id WHERE l.set_id IN (SELECT i.id FROM "+d.ids("$1", "i")+") ORDER BY e.id", idList(ids))
	if err != nil {
		return err
	}
	mandatory, optional, err := setTypeModules(ctx, q, d, types)
	for i := range sets {
		typ := &sets[i].Type
		typ.Mandatory, typ.Optional = mandatory[typ.ID], optional[typ.ID]
	}
	return err
}

// Sets implements software.SetStore. A filter by completeness thins out the
// page that was read without it, and the total knows of it only on the last
// page (management-api 3.4).
func (s Software) Sets(ctx context.Context, t tenant.ID, l query.List, d software.Deleted) ([]software.Set, int, error) {
	rest, want, asked := query.Late(l.Filter, software.CompleteField)
	l.Filter = rest
	sets, total, err := s.sets(ctx, t, l, listing{
		columns: setColumns(), fields: setSelect, from: setFrom, where: "e.tenant_id = $1" + deletedClause(d), args: []any{t},
	})
	if err != nil || !asked {
		return sets, total, err
	}
	sets = slices.DeleteFunc(sets, func(set software.Set) bool { return set.Complete() != want })
	if len(sets) > 0 && l.Offset+l.Limit > total {
		total = l.Offset + len(sets)
	}
	return sets, total, nil
}

func (s Software) sets(ctx context.Context, t tenant.ID, l query.List, from listing) ([]software.Set, int, error) {
	sets, total, err := pageOf(ctx, s.DB, t, l, from, scanSet)
	if err != nil {
		return nil, 0, err
	}
	err = s.DB.view(ctx, func(q querier) error { return fillSets(ctx, q, s.DB.dialect, sets) })
	return sets, total, err
}

// Set implements software.SetStore.
func (s Software) Set(ctx context.Context, t tenant.ID, id software.SetID) (set *software.Set, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		set, err = wholeSet(ctx, q, s.DB.dialect, t, id, "")
		return err
	})
	return set, err
}

// setHead reads a set without its modules.
func setHead(ctx context.Context, q querier, t tenant.ID, id software.SetID, suffix string) (*software.Set, error) {
	set, err := scanSet(q.row(ctx, "SELECT "+setSelect+" FROM "+setFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("DistributionSet", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &set, nil
}

func wholeSet(ctx context.Context, q querier, d dialect, t tenant.ID, id software.SetID, suffix string) (*software.Set, error) {
	head, err := setHead(ctx, q, t, id, suffix)
	if err != nil {
		return nil, err
	}
	list := []software.Set{*head}
	if err := fillSets(ctx, q, d, list); err != nil {
		return nil, err
	}
	return &list[0], nil
}

// SetModules implements software.SetStore.
func (s Software) SetModules(ctx context.Context, t tenant.ID, id software.SetID, l query.List) ([]software.Module, int, error) {
	if err := s.DB.view(ctx, func(q querier) error {
		_, err := setHead(ctx, q, t, id, "")
		return err
	}); err != nil {
		return nil, 0, err
	}
	return pageOf(ctx, s.DB, t, l, listing{
		columns: moduleColumns(), fields: moduleSelect, from: moduleFrom + " JOIN distribution_set_module sm ON sm.module_id = e.id",
		where: "e.tenant_id = $1 AND sm.set_id = $2", args: []any{t, int64(id)},
	}, scanModule)
}

// CreateSets implements software.SetStore.
func (s Software) CreateSets(ctx context.Context, t tenant.ID, sets []software.Set) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		for i := range sets {
			set := &sets[i]
			id, err := tx.insert(ctx, "INSERT INTO distribution_set (tenant_id, type_id, name, version, description, required_migration_step, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
				append([]any{t, int64(set.Type.ID), set.Name, set.Version, set.Description, set.RequiredMigrationStep}, stampArgs(&set.Stamps)...)...)
			if err != nil {
				return setTaken(tx, err, set)
			}
			set.ID = software.SetID(id)
			if err := saveSetModules(ctx, tx, t, &software.Set{}, set); err != nil {
				return err
			}
			tx.changed(t, event.SetCreated, id, set.CreatedAt)
		}
		return nil
	})
}

func setTaken(tx *Tx, err error, set *software.Set) error {
	return tx.taken(err, "There is a distribution set %q in version %q of type %s already; the names of deleted sets stay taken, too.", set.Name, set.Version, set.Type.Key)
}

// saveSetModules writes how the modules of the set differ from before.
func saveSetModules(ctx context.Context, tx *Tx, t tenant.ID, before, set *software.Set) error {
	has := func(list []software.Module, id software.ModuleID) int {
		return slices.IndexFunc(list, func(m software.Module) bool { return m.ID == id })
	}
	for i := range before.Modules {
		if id := before.Modules[i].ID; has(set.Modules, id) < 0 {
			if _, err := tx.exec(ctx, "DELETE FROM distribution_set_module WHERE set_id = $1 AND module_id = $2", int64(set.ID), int64(id)); err != nil {
				return err
			}
		}
	}
	for i := range set.Modules {
		m := &set.Modules[i]
		old := has(before.Modules, m.ID)
		if old >= 0 {
			if err := saveModule(ctx, tx, t, &before.Modules[old], m); err != nil {
				return err
			}
			continue
		}
		if _, err := tx.exec(ctx, "INSERT INTO distribution_set_module (set_id, module_id) VALUES ($1, $2)", int64(set.ID), int64(m.ID)); err != nil {
			return err
		}
	}
	return nil
}

// UpdateSet implements software.SetStore.
func (s Software) UpdateSet(ctx context.Context, t tenant.ID, id software.SetID, change func(*software.Set) error) (set *software.Set, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		set, err = tx.updateSet(ctx, t, id, change)
		return err
	})
	return set, err
}

// updateSet lets change decide on the set and saves it.
func (tx *Tx) updateSet(ctx context.Context, t tenant.ID, id software.SetID, change func(*software.Set) error) (set *software.Set, err error) {
	if set, err = wholeSet(ctx, tx, tx.db.dialect, t, id, tx.db.lock("e")); err != nil {
		return nil, err
	}
	before := *set
	before.Modules = slices.Clone(set.Modules)
	if err := change(set); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(before, *set) {
		return set, nil
	}
	if _, err := tx.exec(ctx, "UPDATE distribution_set SET name = $2, version = $3, description = $4, required_migration_step = $5, valid = $6, locked = $7, modified_by = $8, modified_at = $9 WHERE id = $1",
		int64(id), set.Name, set.Version, set.Description, set.RequiredMigrationStep, set.Valid, set.Locked, set.ModifiedBy, set.ModifiedAt.UnixMilli()); err != nil {
		return nil, setTaken(tx, err, set)
	}
	if err := saveSetModules(ctx, tx, t, &before, set); err != nil {
		return nil, err
	}
	e := event.Event{Tenant: t, Kind: event.SetChanged, Subject: int64(id), Reach: event.NoTarget, At: set.ModifiedAt.UnixMilli()}
	if before.Name != set.Name || before.Version != set.Version { // polling intervals may be chosen by them
		used, err := exists(ctx, tx, "target_state WHERE assigned_set = $1 UNION ALL SELECT 1 FROM target_state WHERE installed_set = $1", int64(id))
		if err != nil {
			return nil, err
		}
		if used {
			e.Reach = event.AnyTarget
		}
	}
	tx.record(e)
	return set, nil
}

// DeleteSet implements software.SetStore.
func (s Software) DeleteSet(ctx context.Context, t tenant.ID, id software.SetID, by caller.Stamps) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		set, err := setHead(ctx, tx, t, id, tx.db.lock("e"))
		if err != nil || set.Deleted {
			return err
		}
		used, err := exists(ctx, tx, "action WHERE set_id = $1 UNION ALL SELECT 1 FROM rollout WHERE set_id = $1 UNION ALL SELECT 1 FROM target_state WHERE assigned_set = $1 UNION ALL SELECT 1 FROM target_state WHERE installed_set = $1", int64(id))
		if err != nil {
			return err
		}
		if _, err := tx.deleteAuto(ctx, t, "set_id = $2", int64(id), by.ModifiedAt); err != nil {
			return err
		}
		return remove(ctx, tx, t, "distribution_set", event.SetDeleted, int64(id), used, by)
	})
}

func scanMetadatum(r scanner) (m software.Metadatum, err error) {
	err = r.Scan(&m.Key, &m.Value)
	return m, err
}

func setMetadata(ctx context.Context, q querier, id software.SetID) ([]software.Metadatum, error) {
	return all(ctx, q, scanMetadatum, "SELECT key, value FROM distribution_set_metadata WHERE set_id = $1 ORDER BY key", int64(id))
}

// SetMetadata implements software.SetStore.
func (s Software) SetMetadata(ctx context.Context, t tenant.ID, id software.SetID) (list []software.Metadatum, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		if _, err := setHead(ctx, q, t, id, ""); err != nil {
			return err
		}
		list, err = setMetadata(ctx, q, id)
		return err
	})
	return list, err
}

// UpdateSetMetadata implements software.SetStore.
func (s Software) UpdateSetMetadata(ctx context.Context, t tenant.ID, id software.SetID, now time.Time, change func(*software.Set, map[string]string) error) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		set, err := setHead(ctx, tx, t, id, tx.db.lock("e"))
		if err != nil {
			return err
		}
		entries, err := setMetadata(ctx, tx, id)
		if err != nil {
			return err
		}
		before := make(map[string]string, len(entries))
		for _, e := range entries {
			before[e.Key] = e.Value
		}
		after := maps.Clone(before)
		if err := change(set, after); err != nil {
			return err
		}
		if maps.Equal(before, after) {
			return nil
		}
		for key := range before {
			if _, ok := after[key]; !ok {
				if _, err := tx.exec(ctx, "DELETE FROM distribution_set_metadata WHERE set_id = $1 AND key = $2", int64(id), key); err != nil {
					return err
				}
			}
		}
		for key, value := range after {
			if old, ok := before[key]; ok && old == value {
				continue
			}
			if _, err := tx.exec(ctx, "INSERT INTO distribution_set_metadata (set_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (set_id, key) DO UPDATE SET value = excluded.value", int64(id), key, value); err != nil {
				return err
			}
		}
		tx.changed(t, event.SetChanged, int64(id), now)
		return nil
	})
}
