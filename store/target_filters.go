package store

import (
	"context"
	"reflect"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const filterRow = "e.id, e.name, e.query, e.created_by, e.created_at, e.modified_by, e.modified_at"

func scanFilter(row scanner) (f rollout.TargetFilter, err error) {
	s := audit{to: &f.Stamps}
	err = row.Scan(append([]any{&f.ID, &f.Name, &f.Query}, s.dest()...)...)
	s.finish()
	return f, err
}

// namesakes gives filters the auto-assignments of their names.
func namesakes(ctx context.Context, q querier, d dialect, t tenant.ID, list []rollout.TargetFilter, suffix string) error {
	if len(list) == 0 {
		return nil
	}
	byName := make(map[string]*rollout.TargetFilter, len(list))
	ids := make([]rollout.FilterID, len(list))
	for i := range list {
		byName[list[i].Name], ids[i] = &list[i], list[i].ID
	}
	found, err := all(ctx, q, scanAuto, "SELECT "+autoRow+" FROM "+d.ids("$2", "i")+" CROSS JOIN target_filter f JOIN auto_assignment e ON e.tenant_id = f.tenant_id AND e.name = f.name"+
		" JOIN distribution_set s ON s.id = e.set_id WHERE f.tenant_id = $1 AND f.id = i.id"+suffix, t, idList(ids))
	for i := range found {
		byName[found[i].Name].Namesake = &found[i]
	}
	return err
}

// TargetFilters implements rollout.TargetFilterStore.
func (s Rollouts) TargetFilters(ctx context.Context, t tenant.ID, l query.List) (list []rollout.TargetFilter, total int, err error) {
	list, total, err = pageOf(ctx, s.DB, t, l, listing{columns: targetFilterColumns(), fields: filterRow, from: "target_filter e", where: "e.tenant_id = $1", args: []any{t}}, scanFilter)
	if err != nil {
		return nil, 0, err
	}
	err = s.DB.view(ctx, func(q querier) error {
		if l.Filter != nil {
			if err := q.row(ctx, "SELECT count(*) FROM target_filter WHERE tenant_id = $1", t).Scan(&total); err != nil {
				return err
			}
		}
		return namesakes(ctx, q, s.DB.dialect, t, list, "")
	})
	return list, total, err
}

// TargetFilter implements rollout.TargetFilterStore.
func (s Rollouts) TargetFilter(ctx context.Context, t tenant.ID, id rollout.FilterID) (f *rollout.TargetFilter, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		f, err = readFilter(ctx, q, s.DB.dialect, t, id, "")
		return err
	})
	return f, err
}

func readFilter(ctx context.Context, q querier, d dialect, t tenant.ID, id rollout.FilterID, suffix string) (*rollout.TargetFilter, error) {
	f, err := scanFilter(q.row(ctx, "SELECT "+filterRow+" FROM target_filter e WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("TargetFilterQuery", int64(id))
	}
	if err != nil {
		return nil, err
	}
	list := []rollout.TargetFilter{f}
	err = namesakes(ctx, q, d, t, list, suffix)
	return &list[0], err
}

// TargetFiltersOf implements rollout.TargetFilterStore.
func (s Rollouts) TargetFiltersOf(ctx context.Context, t tenant.ID, set software.SetID, l query.List) ([]rollout.TargetFilter, int, error) {
	rules, total, err := s.AutoAssignmentsOf(ctx, t, set, l)
	if err != nil || len(rules) == 0 {
		return nil, total, err
	}
	ids := make([]rollout.AutoAssignmentID, len(rules))
	for i := range rules {
		ids[i] = rules[i].ID
	}
	var found []rollout.TargetFilter
	err = s.DB.view(ctx, func(q querier) (err error) {
		found, err = all(ctx, q, scanFilter, "SELECT "+filterRow+" FROM "+s.DB.ids("$2", "i")+" CROSS JOIN auto_assignment a JOIN target_filter e ON e.tenant_id = a.tenant_id AND e.name = a.name AND e.query = a.filter"+
			" WHERE a.tenant_id = $1 AND a.id = i.id", t, idList(ids))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	byName := make(map[string]rollout.TargetFilter, len(found))
	for _, f := range found {
		byName[f.Name] = f
	}
	list := make([]rollout.TargetFilter, 0, len(found))
	for i := range rules {
		if f, ok := byName[rules[i].Name]; ok {
			f.Namesake = &rules[i]
			list = append(list, f)
		}
	}
	return list, total, nil
}

// CreateTargetFilter implements rollout.TargetFilterStore.
func (s Rollouts) CreateTargetFilter(ctx context.Context, t tenant.ID, f *rollout.TargetFilter) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		id, err := tx.insert(ctx, "INSERT INTO target_filter (tenant_id, name, query, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
			append([]any{t, f.Name, f.Query}, stampArgs(&f.Stamps)...)...)
		if err != nil {
			return filterTaken(tx, err, f)
		}
		f.ID = rollout.FilterID(id)
		tx.recordFilter(t, event.TargetFilterCreated, f.ID, f.CreatedAt)
		list := []rollout.TargetFilter{*f}
		err = namesakes(ctx, tx, tx.db.dialect, t, list, "")
		*f = list[0]
		return err
	})
}

func filterTaken(tx *Tx, err error, f *rollout.TargetFilter) error {
	return tx.taken(err, "There is a target filter with the name %q already.", f.Name)
}

func (tx *Tx) recordFilter(t tenant.ID, k event.Kind, id rollout.FilterID, at time.Time) {
	tx.record(event.Event{Tenant: t, Kind: k, Subject: int64(id), Reach: event.NoTarget, At: at.UnixMilli()})
}

// UpdateTargetFilter implements rollout.TargetFilterStore.
func (s Rollouts) UpdateTargetFilter(ctx context.Context, t tenant.ID, id rollout.FilterID, now time.Time, lock bool, change func(*rollout.TargetFilter) error) (f *rollout.TargetFilter, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if f, err = readFilter(ctx, tx, tx.db.dialect, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *f
		if err := change(f); err != nil {
			return err
		}
		if before.Name != f.Name || before.Query != f.Query {
			if _, err := tx.exec(ctx, "UPDATE target_filter SET name = $2, query = $3, modified_by = $4, modified_at = $5 WHERE id = $1", int64(id), f.Name, f.Query, f.ModifiedBy, f.ModifiedAt.UnixMilli()); err != nil {
				return filterTaken(tx, err, f)
			}
			tx.recordFilter(t, event.TargetFilterChanged, id, f.ModifiedAt)
		}
		return tx.saveNamesake(ctx, t, before.Namesake, f.Namesake, now, lock)
	})
	return f, err
}

// saveNamesake saves what became of a filter's namesake.
func (tx *Tx) saveNamesake(ctx context.Context, t tenant.ID, before, after *rollout.AutoAssignment, now time.Time, lock bool) error {
	if before != nil && (after == nil || after.ID != before.ID) {
		if _, err := tx.deleteAuto(ctx, t, "id = $2", int64(before.ID), now); err != nil {
			return err
		}
	}
	switch {
	case after == nil:
		return nil
	case after.ID == 0:
		return tx.insertAuto(ctx, t, after, lock)
	case reflect.DeepEqual(before, after):
		return nil
	}
	return tx.saveAuto(ctx, t, after)
}

// DeleteTargetFilter implements rollout.TargetFilterStore.
func (s Rollouts) DeleteTargetFilter(ctx context.Context, t tenant.ID, id rollout.FilterID, now time.Time) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		f, err := readFilter(ctx, tx, tx.db.dialect, t, id, tx.db.lock("e"))
		if err != nil {
			return err
		}
		if linked := f.Linked(); linked != nil {
			if _, err := tx.deleteAuto(ctx, t, "id = $2", int64(linked.ID), now); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, "DELETE FROM target_filter WHERE id = $1", int64(id)); err != nil {
			return err
		}
		tx.recordFilter(t, event.TargetFilterDeleted, id, now)
		return nil
	})
}
