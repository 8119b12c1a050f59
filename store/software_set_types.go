package store

import (
	"context"
	"reflect"
	"slices"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const (
	setTypeSelect = "e.id, e.key, e.name, e.description, e.colour, e.deleted, EXISTS (SELECT 1 FROM distribution_set us WHERE us.type_id = e.id), e.created_by, e.created_at, e.modified_by, e.modified_at"
	setTypeFrom   = "distribution_set_type e"
)

func scanSetType(r scanner) (t software.SetType, err error) {
	s := audit{to: &t.Stamps}
	err = r.Scan(append([]any{&t.ID, &t.Key, &t.Name, &t.Description, &t.Colour, &t.Deleted, &t.Used}, s.dest()...)...)
	s.finish()
	return t, err
}

// setTypeModules reads the lists of module types that set types have, in one
// statement.
func setTypeModules(ctx context.Context, q querier, d dialect, ids []software.SetTypeID) (mandatory, optional map[software.SetTypeID][]software.ModuleTypeID, err error) {
	mandatory, optional = map[software.SetTypeID][]software.ModuleTypeID{}, map[software.SetTypeID][]software.ModuleTypeID{}
	if len(ids) == 0 {
		return mandatory, optional, nil
	}
	_, err = all(ctx, q, func(r scanner) (none struct{}, err error) {
		var typ software.SetTypeID
		var module software.ModuleTypeID
		var must bool
		if err := r.Scan(&typ, &module, &must); err != nil {
			return none, err
		}
		if must {
			mandatory[typ] = append(mandatory[typ], module)
		} else {
			optional[typ] = append(optional[typ], module)
		}
		return none, nil
	}, "SELECT l.set_type_id, l.module_type_id, l.mandatory FROM distribution_set_type_module l WHERE l.set_type_id IN (SELECT i.id FROM "+d.ids("$1", "i")+") ORDER BY l.module_type_id", idList(ids))
	return mandatory, optional, err
}

// fillSetTypes completes set types with their module types.
func fillSetTypes(ctx context.Context, q querier, d dialect, types []software.SetType) error {
	ids := make([]software.SetTypeID, len(types))
	for i := range types {
		ids[i] = types[i].ID
	}
	mandatory, optional, err := setTypeModules(ctx, q, d, ids)
	for i := range types {
		types[i].Mandatory, types[i].Optional = mandatory[types[i].ID], optional[types[i].ID]
	}
	return err
}

// SetTypes implements software.SetTypeStore.
func (s Software) SetTypes(ctx context.Context, t tenant.ID, l query.List, d software.Deleted) ([]software.SetType, int, error) {
	list, total, err := pageOf(ctx, s.DB, t, l, listing{
		columns: setTypeColumns(), fields: setTypeSelect, from: setTypeFrom, where: "e.tenant_id = $1" + deletedClause(d), args: []any{t},
	}, scanSetType)
	if err != nil {
		return nil, 0, err
	}
	err = s.DB.view(ctx, func(q querier) error { return fillSetTypes(ctx, q, s.DB.dialect, list) })
	return list, total, err
}

// SetType implements software.SetTypeStore.
func (s Software) SetType(ctx context.Context, t tenant.ID, id software.SetTypeID) (typ *software.SetType, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		typ, err = setType(ctx, q, s.DB.dialect, t, id, "")
		return err
	})
	return typ, err
}

func setType(ctx context.Context, q querier, d dialect, t tenant.ID, id software.SetTypeID, suffix string) (*software.SetType, error) {
	typ, err := scanSetType(q.row(ctx, "SELECT "+setTypeSelect+" FROM "+setTypeFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("DistributionSetType", int64(id))
	}
	if err != nil {
		return nil, err
	}
	list := []software.SetType{typ}
	if err := fillSetTypes(ctx, q, d, list); err != nil {
		return nil, err
	}
	return &list[0], nil
}

// SetTypesByKey implements software.SetTypeStore.
func (s Software) SetTypesByKey(ctx context.Context, t tenant.ID, keys []string) (map[string]software.SetType, error) {
	found := map[string]software.SetType{}
	if len(keys) == 0 {
		return found, nil
	}
	param, err := textList(keys)
	if err != nil {
		return nil, err
	}
	err = s.DB.view(ctx, func(q querier) error {
		list, err := all(ctx, q, scanSetType, "SELECT "+setTypeSelect+" FROM "+setTypeFrom+" WHERE e.tenant_id = $1 AND e.key IN (SELECT k.v FROM "+s.DB.texts("$2", "k")+")", t, param)
		if err != nil {
			return err
		}
		if err := fillSetTypes(ctx, q, s.DB.dialect, list); err != nil {
			return err
		}
		for _, typ := range list {
			found[typ.Key] = typ
		}
		return nil
	})
	return found, err
}

// CreateSetTypes implements software.SetTypeStore.
func (s Software) CreateSetTypes(ctx context.Context, t tenant.ID, types []software.SetType) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		for i := range types {
			typ := &types[i]
			id, err := tx.insert(ctx, "INSERT INTO distribution_set_type (tenant_id, key, name, description, colour, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
				append([]any{t, typ.Key, typ.Name, typ.Description, typ.Colour}, stampArgs(&typ.Stamps)...)...)
			if err != nil {
				return tx.taken(err, "There is a distribution set type with the key %q or the name %q already; those of deleted types stay taken, too.", typ.Key, typ.Name)
			}
			typ.ID = software.SetTypeID(id)
			if err := saveSetTypeModules(ctx, tx, &software.SetType{}, typ); err != nil {
				return err
			}
			tx.changed(t, event.SetTypeCreated, id, typ.CreatedAt)
		}
		return nil
	})
}

// saveSetTypeModules writes how the lists differ from before.
func saveSetTypeModules(ctx context.Context, tx *Tx, before, typ *software.SetType) error {
	for _, id := range slices.Concat(before.Mandatory, before.Optional) {
		if !slices.Contains(typ.Mandatory, id) && !slices.Contains(typ.Optional, id) {
			if _, err := tx.exec(ctx, "DELETE FROM distribution_set_type_module WHERE set_type_id = $1 AND module_type_id = $2", int64(typ.ID), int64(id)); err != nil {
				return err
			}
		}
	}
	for _, list := range []struct {
		mandatory   bool
		before, now []software.ModuleTypeID
	}{{true, before.Mandatory, typ.Mandatory}, {false, before.Optional, typ.Optional}} {
		for _, id := range list.now {
			if slices.Contains(list.before, id) {
				continue
			}
			if _, err := tx.exec(ctx, "INSERT INTO distribution_set_type_module (set_type_id, module_type_id, mandatory) VALUES ($1, $2, $3) ON CONFLICT (set_type_id, module_type_id) DO UPDATE SET mandatory = excluded.mandatory",
				int64(typ.ID), int64(id), list.mandatory); err != nil {
				return err
			}
		}
	}
	return nil
}

// UpdateSetType implements software.SetTypeStore.
func (s Software) UpdateSetType(ctx context.Context, t tenant.ID, id software.SetTypeID, change func(*software.SetType) error) (typ *software.SetType, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if typ, err = setType(ctx, tx, tx.db.dialect, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *typ
		if err := change(typ); err != nil {
			return err
		}
		return saveSetType(ctx, tx, t, &before, typ)
	})
	return typ, err
}

// saveSetType writes what differs from before, if anything.
func saveSetType(ctx context.Context, tx *Tx, t tenant.ID, before, typ *software.SetType) error {
	if reflect.DeepEqual(before, typ) {
		return nil
	}
	if _, err := tx.exec(ctx, "UPDATE distribution_set_type SET description = $2, colour = $3, modified_by = $4, modified_at = $5 WHERE id = $1",
		int64(typ.ID), typ.Description, typ.Colour, typ.ModifiedBy, typ.ModifiedAt.UnixMilli()); err != nil {
		return err
	}
	if err := saveSetTypeModules(ctx, tx, before, typ); err != nil {
		return err
	}
	tx.changed(t, event.SetTypeChanged, int64(typ.ID), typ.ModifiedAt)
	return nil
}

// DeleteSetType implements software.SetTypeStore.
func (s Software) DeleteSetType(ctx context.Context, t tenant.ID, id software.SetTypeID, by caller.Stamps, check func(*software.SetType, bool) error) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		typ, err := setType(ctx, tx, tx.db.dialect, t, id, tx.db.lock("e"))
		if err != nil {
			return err
		}
		isDefault, err := exists(ctx, tx, "tenant WHERE id = $1 AND default_set_type = $2", t, int64(id))
		if err != nil {
			return err
		}
		if err := check(typ, isDefault); err != nil {
			return err
		}
		if typ.Deleted {
			return nil
		}
		if _, err := tx.exec(ctx, "DELETE FROM target_type_set_type WHERE set_type_id = $1", int64(id)); err != nil {
			return err
		}
		return remove(ctx, tx, t, "distribution_set_type", event.SetTypeDeleted, int64(id), typ.Used, by)
	})
}
