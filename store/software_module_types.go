package store

import (
	"context"
	"reflect"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Software keeps modules, sets and what belongs to them.
type Software struct{ DB *DB }

const moduleTypeRow = "e.id, e.key, e.name, e.description, e.colour, e.min_artifacts, e.max_assignments, e.deleted, e.created_by, e.created_at, e.modified_by, e.modified_at"

func scanModuleType(r scanner) (t software.ModuleType, err error) {
	var st stamps
	err = r.Scan(&t.ID, &t.Key, &t.Name, &t.Description, &t.Colour, &t.MinArtifacts, &t.MaxAssignments, &t.Deleted,
		&st.createdBy, &st.createdAt, &st.modifiedBy, &st.modifiedAt)
	t.Stamps = st.stamps()
	return t, err
}

// stamps are the audit columns as they are read.
type stamps struct {
	createdBy, modifiedBy string
	createdAt, modifiedAt int64
}

func (s stamps) stamps() caller.Stamps {
	return caller.Stamps{CreatedBy: s.createdBy, CreatedAt: time.UnixMilli(s.createdAt), ModifiedBy: s.modifiedBy, ModifiedAt: time.UnixMilli(s.modifiedAt)}
}

// deletedClause limits a list to what it may show of soft-deleted rows.
func deletedClause(d software.Deleted) string {
	switch d {
	case software.WithDeleted:
		return ""
	case software.OnlyDeleted:
		return " AND e.deleted"
	case software.WithoutDeleted:
	}
	return " AND NOT e.deleted"
}

// ModuleTypes implements software.ModuleTypeStore.
func (s Software) ModuleTypes(ctx context.Context, t tenant.ID, l query.List, d software.Deleted) ([]software.ModuleType, int, error) {
	var list []software.ModuleType
	var total int64
	err := s.DB.view(ctx, func(q querier) (err error) {
		list, total, err = page(ctx, q, s.DB.dialect, t, l, listing{
			columns: moduleTypeColumns(),
			fields:  moduleTypeRow,
			from:    "software_module_type e",
			where:   "e.tenant_id = $1" + deletedClause(d),
			args:    []any{t},
		}, scanModuleType)
		return err
	})
	return list, int(total), err
}

// ModuleType implements software.ModuleTypeStore.
func (s Software) ModuleType(ctx context.Context, t tenant.ID, id software.ModuleTypeID) (*software.ModuleType, error) {
	var m software.ModuleType
	err := s.DB.view(ctx, func(q querier) (err error) {
		m, err = moduleType(ctx, q, t, id, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func moduleType(ctx context.Context, q querier, t tenant.ID, id software.ModuleTypeID, forUpdate string) (software.ModuleType, error) {
	m, err := scanModuleType(q.row(ctx, "SELECT "+moduleTypeRow+" FROM software_module_type e WHERE e.tenant_id = $1 AND e.id = $2"+forUpdate, t, int64(id)))
	if none(err) {
		return m, fault.Missing("SoftwareModuleType", int64(id))
	}
	return m, err
}

// ModuleTypesByKey implements software.ModuleTypeStore.
func (s Software) ModuleTypesByKey(ctx context.Context, t tenant.ID, keys []string) (map[string]software.ModuleType, error) {
	found := map[string]software.ModuleType{}
	param, err := textList(keys)
	if err != nil {
		return nil, err
	}
	err = s.DB.view(ctx, func(q querier) error {
		list, err := all(ctx, q, scanModuleType, "SELECT "+moduleTypeRow+" FROM software_module_type e WHERE e.tenant_id = $1 AND e.key IN (SELECT k.v FROM "+s.DB.texts("$2", "k")+")", t, param)
		for _, m := range list {
			found[m.Key] = m
		}
		return err
	})
	return found, err
}

// ModuleTypesByID implements software.ModuleTypeStore.
func (s Software) ModuleTypesByID(ctx context.Context, t tenant.ID, ids []software.ModuleTypeID) (list []software.ModuleType, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		list, err = all(ctx, q, scanModuleType, "SELECT "+moduleTypeRow+" FROM software_module_type e WHERE e.tenant_id = $1 AND e.id IN (SELECT i.id FROM "+s.DB.ids("$2", "i")+") ORDER BY e.id", t, idList(ids))
		return err
	})
	return list, err
}

// CreateModuleTypes implements software.ModuleTypeStore.
func (s Software) CreateModuleTypes(ctx context.Context, t tenant.ID, types []software.ModuleType) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		for i := range types {
			m := &types[i]
			id, err := tx.insert(ctx, `INSERT INTO software_module_type (tenant_id, key, name, description, colour, min_artifacts, max_assignments, created_by, created_at, modified_by, modified_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8, $9) RETURNING id`,
				t, m.Key, m.Name, m.Description, m.Colour, m.MinArtifacts, m.MaxAssignments, m.CreatedBy, m.CreatedAt.UnixMilli())
			if err != nil {
				return tx.taken(err, "There is a software module type with the key %q or the name %q already; those of deleted types stay taken, too.", m.Key, m.Name)
			}
			m.ID = software.ModuleTypeID(id)
			tx.changed(t, event.ModuleTypeCreated, id, m.CreatedAt)
		}
		return nil
	})
}

// UpdateModuleType implements software.ModuleTypeStore.
func (s Software) UpdateModuleType(ctx context.Context, t tenant.ID, id software.ModuleTypeID, change func(*software.ModuleType) error) (*software.ModuleType, error) {
	var m software.ModuleType
	err := s.DB.update(ctx, func(tx *Tx) (err error) {
		m, err = moduleType(ctx, tx, t, id, s.DB.forUpdate)
		if err != nil {
			return err
		}
		before := m
		if err := change(&m); err != nil || reflect.DeepEqual(before, m) {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE software_module_type SET description = $3, colour = $4, modified_by = $5, modified_at = $6 WHERE tenant_id = $1 AND id = $2",
			t, int64(id), m.Description, m.Colour, m.ModifiedBy, m.ModifiedAt.UnixMilli()); err != nil {
			return err
		}
		tx.changed(t, event.ModuleTypeChanged, int64(id), m.ModifiedAt)
		return nil
	})
	return &m, err
}

// DeleteModuleType implements software.ModuleTypeStore.
func (s Software) DeleteModuleType(ctx context.Context, t tenant.ID, id software.ModuleTypeID, by caller.Stamps) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		m, err := moduleType(ctx, tx, t, id, s.DB.forUpdate)
		if fault.Is(err, fault.NotFound) {
			return fault.MissingAll("SoftwareModuleType", int64(id))
		}
		if err != nil || m.Deleted {
			return err
		}
		used, err := exists(ctx, tx, "software_module WHERE type_id = $1 UNION ALL SELECT 1 FROM distribution_set_type_module WHERE module_type_id = $1", int64(id))
		if err != nil {
			return err
		}
		return remove(ctx, tx, t, "software_module_type", event.ModuleTypeDeleted, int64(id), used, by)
	})
}

// remove deletes a row, or marks it deleted when something still needs it.
func remove(ctx context.Context, tx *Tx, t tenant.ID, table string, gone event.Kind, id int64, needed bool, by caller.Stamps) (err error) {
	if needed {
		_, err = tx.exec(ctx, "UPDATE "+table+" SET deleted = TRUE, modified_by = $3, modified_at = $4 WHERE tenant_id = $1 AND id = $2", t, id, by.ModifiedBy, by.ModifiedAt.UnixMilli())
	} else {
		_, err = tx.exec(ctx, "DELETE FROM "+table+" WHERE tenant_id = $1 AND id = $2", t, id)
	}
	if err != nil {
		return err
	}
	tx.changed(t, gone, id, by.ModifiedAt)
	return nil
}
