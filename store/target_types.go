package store

import (
	"context"
	"reflect"
	"slices"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const targetTypeSelect = "e.id, e.key, e.name, e.description, e.colour, e.created_by, e.created_at, e.modified_by, e.modified_at"

func scanTargetType(r scanner) (t fleet.Type, err error) {
	s := audit{to: &t.Stamps}
	err = r.Scan(append([]any{&t.ID, &t.Key, &t.Name, &t.Description, &t.Colour}, s.dest()...)...)
	s.finish()
	return t, err
}

// TargetTypes implements fleet.TypeStore.
func (f Fleet) TargetTypes(ctx context.Context, t tenant.ID, l query.List) ([]fleet.Type, int, error) {
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetTypeColumns(), fields: targetTypeSelect, from: "target_type e", where: "e.tenant_id = $1", args: []any{t},
	}, scanTargetType)
}

// TargetType implements fleet.TypeStore.
func (f Fleet) TargetType(ctx context.Context, t tenant.ID, id fleet.TargetTypeID) (typ *fleet.Type, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		typ, err = targetType(ctx, q, t, id, "")
		return err
	})
	return typ, err
}

// targetType reads a type with its types of sets.
func targetType(ctx context.Context, q querier, t tenant.ID, id fleet.TargetTypeID, suffix string) (*fleet.Type, error) {
	typ, err := scanTargetType(q.row(ctx, "SELECT "+targetTypeSelect+" FROM target_type e WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("TargetType", int64(id))
	}
	if err != nil {
		return nil, err
	}
	typ.SetTypes, err = all(ctx, q, scalar[software.SetTypeID], "SELECT set_type_id FROM target_type_set_type WHERE target_type_id = $1 ORDER BY set_type_id", int64(id))
	return &typ, err
}

// CreateTargetTypes implements fleet.TypeStore.
func (f Fleet) CreateTargetTypes(ctx context.Context, t tenant.ID, types []fleet.Type) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		for i := range types {
			typ := &types[i]
			id, err := tx.insert(ctx, "INSERT INTO target_type (tenant_id, key, name, description, colour, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
				append([]any{t, typ.Key, typ.Name, typ.Description, typ.Colour}, stampArgs(&typ.Stamps)...)...)
			if err != nil {
				return targetTypeTaken(tx, err, typ)
			}
			typ.ID = fleet.TargetTypeID(id)
			if err := addSetTypes(ctx, tx, t, typ.ID, typ.SetTypes); err != nil {
				return err
			}
			tx.record(event.Event{Tenant: t, Kind: event.TargetTypeCreated, Subject: id, Reach: event.NoTarget, At: typ.CreatedAt.UnixMilli()})
		}
		return nil
	})
}

func targetTypeTaken(tx *Tx, err error, typ *fleet.Type) error {
	return tx.taken(err, "There is a target type with the key %q or the name %q already.", typ.Key, typ.Name)
}

// addSetTypes adds types of sets to a target type that has none of them.
func addSetTypes(ctx context.Context, tx *Tx, t tenant.ID, id fleet.TargetTypeID, ids []software.SetTypeID) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := all(ctx, tx, scalar[software.SetTypeID], "SELECT e.id FROM distribution_set_type e WHERE e.tenant_id = $1 AND NOT e.deleted AND "+tx.db.among("e.id", "$2"), t, idList(ids))
	if err != nil {
		return err
	}
	var absent []int64
	for _, id := range ids {
		if !slices.Contains(found, id) {
			absent = append(absent, int64(id))
		}
	}
	if len(absent) > 0 {
		return fault.MissingAll("DistributionSetType", absent...)
	}
	_, err = tx.exec(ctx, "INSERT INTO target_type_set_type (target_type_id, set_type_id) SELECT CAST($1 AS bigint), i.id FROM "+tx.db.ids("$2", "i"), int64(id), idList(ids))
	return err
}

// UpdateTargetType implements fleet.TypeStore.
func (f Fleet) UpdateTargetType(ctx context.Context, t tenant.ID, id fleet.TargetTypeID, change func(*fleet.Type) error) (typ *fleet.Type, err error) {
	err = f.DB.update(ctx, func(tx *Tx) error {
		if typ, err = targetType(ctx, tx, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *typ
		if err := change(typ); err != nil || reflect.DeepEqual(before, *typ) {
			return err
		}
		gone := slices.DeleteFunc(slices.Clone(before.SetTypes), func(id software.SetTypeID) bool { return slices.Contains(typ.SetTypes, id) })
		added := slices.DeleteFunc(slices.Clone(typ.SetTypes), func(id software.SetTypeID) bool { return slices.Contains(before.SetTypes, id) })
		if len(gone) > 0 {
			if _, err := tx.exec(ctx, "DELETE FROM target_type_set_type WHERE target_type_id = $1 AND "+tx.db.among("set_type_id", "$2"), int64(id), idList(gone)); err != nil {
				return err
			}
		}
		if err := addSetTypes(ctx, tx, t, id, added); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE target_type SET name = $2, description = $3, colour = $4, modified_by = $5, modified_at = $6 WHERE id = $1",
			int64(id), typ.Name, typ.Description, typ.Colour, typ.ModifiedBy, typ.ModifiedAt.UnixMilli()); err != nil {
			return targetTypeTaken(tx, err, typ)
		}
		reach := event.NoTarget
		if before.Name != typ.Name { // intervals may be chosen by it
			reach = event.AnyTarget
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetTypeChanged, Subject: int64(id), Reach: reach, At: typ.ModifiedAt.UnixMilli()})
		return nil
	})
	return typ, err
}

// DeleteTargetType implements fleet.TypeStore.
func (f Fleet) DeleteTargetType(ctx context.Context, t tenant.ID, id fleet.TargetTypeID, by caller.Stamps) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		if _, err := targetType(ctx, tx, t, id, tx.db.forUpdate); err != nil {
			return err
		}
		used, err := exists(ctx, tx, "target WHERE type_id = $1", int64(id))
		if err != nil {
			return err
		}
		if used {
			return fault.New(fault.InUse, "Target type %d is in use: give the targets that have it another type, or none, first.", id)
		}
		if _, err := tx.exec(ctx, "DELETE FROM target_type WHERE id = $1", int64(id)); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetTypeDeleted, Subject: int64(id), Reach: event.NoTarget, At: by.ModifiedAt.UnixMilli()})
		return nil
	})
}
