package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

var _ fleet.Store = Fleet{}

const (
	targetSelect = `e.id, e.controller_id, e.name, e.description, e.token, e.address, e.group_name, h.status, e.type_id, tt.name, h.assigned_set, h.installed_set, h.installed_at,
	h.request_attributes, tv.seen_at, ac.initiator, ac.remark, ac.activated_by, ac.activated_at, e.created_by, e.created_at, h.modified_by, h.modified_at`

	// targetFrom is a target e with its state h. A target has one for certain; as it
	// stands here the databases leave it out where nothing asks for it.
	targetFrom  = "target e" + targetState
	targetState = " LEFT JOIN target_state h ON h.target_id = e.id"

	// targetLocked is the same for those who lock the state, and so the target.
	targetLocked = "target e JOIN target_state h ON h.target_id = e.id"

	targetJoined = " LEFT JOIN target_type tt ON tt.id = e.type_id LEFT JOIN target_visit tv ON tv.target_id = e.id LEFT JOIN auto_confirm ac ON ac.target_id = e.id"
)

func scanTarget(r scanner) (t fleet.Target, err error) {
	s := audit{to: &t.Stamps}
	var typ, assigned, installed, installedAt, seenAt, activatedAt sql.NullInt64
	var typeName, initiator, remark, activatedBy sql.NullString
	err = r.Scan(append([]any{
		&t.ID, &t.ControllerID, &t.Name, &t.Description, &t.Token, &t.Address, &t.Group, &t.Status, &typ, &typeName, &assigned, &installed, &installedAt,
		&t.RequestAttributes, &seenAt, &initiator, &remark, &activatedBy, &activatedAt,
	}, s.dest()...)...)
	s.finish()
	t.Type, t.TypeName = fleet.TargetTypeID(typ.Int64), typeName.String
	t.AssignedSet, t.InstalledSet = software.SetID(assigned.Int64), software.SetID(installed.Int64)
	if installedAt.Valid {
		t.InstalledAt = time.UnixMilli(installedAt.Int64)
	}
	if seenAt.Valid {
		t.SeenAt = time.UnixMilli(seenAt.Int64)
	}
	if activatedAt.Valid {
		t.AutoConfirm = &fleet.AutoConfirm{Initiator: initiator.String, Remark: remark.String, ActivatedBy: activatedBy.String, ActivatedAt: time.UnixMilli(activatedAt.Int64)}
	}
	return t, err
}

// Targets implements fleet.TargetStore.
func (f Fleet) Targets(ctx context.Context, t tenant.ID, l query.List) ([]fleet.Target, int, error) {
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetColumns(), fields: targetSelect, from: targetFrom, joined: targetJoined, where: "e.tenant_id = $1", args: []any{t}, few: fewRows, total: targetTotal,
	}, scanTarget)
}

// AssignedTargets implements fleet.TargetStore.
func (f Fleet) AssignedTargets(ctx context.Context, t tenant.ID, id software.SetID, l query.List) ([]fleet.Target, int, error) {
	return f.targetsWithSet(ctx, t, id, l, "h.assigned_set")
}

// InstalledTargets implements fleet.TargetStore.
func (f Fleet) InstalledTargets(ctx context.Context, t tenant.ID, id software.SetID, l query.List) ([]fleet.Target, int, error) {
	return f.targetsWithSet(ctx, t, id, l, "h.installed_set")
}

func (f Fleet) targetsWithSet(ctx context.Context, t tenant.ID, id software.SetID, l query.List, column string) ([]fleet.Target, int, error) {
	err := f.DB.view(ctx, func(q querier) error {
		found, err := exists(ctx, q, "distribution_set WHERE tenant_id = $1 AND id = $2", t, int64(id))
		if err == nil && !found {
			err = fault.Missing("DistributionSet", int64(id))
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetBelowColumns(), fields: targetSelect, from: targetFrom, joined: targetJoined, where: "e.tenant_id = $1 AND " + column + " = $2", args: []any{t, int64(id)},
	}, scanTarget)
}

// Target implements fleet.TargetStore.
func (f Fleet) Target(ctx context.Context, t tenant.ID, id fleet.ControllerID) (target *fleet.Target, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		target, err = readTarget(ctx, q, t, id, "")
		return err
	})
	return target, err
}

func readTarget(ctx context.Context, q querier, t tenant.ID, id fleet.ControllerID, suffix string) (*fleet.Target, error) {
	target, err := scanTarget(q.row(ctx, "SELECT "+targetSelect+" FROM "+targetLocked+targetJoined+" WHERE e.tenant_id = $1 AND e.controller_id = $2"+suffix, t, string(id)))
	if none(err) {
		return nil, fault.Missing("Target", string(id))
	}
	if err != nil {
		return nil, err
	}
	return &target, nil
}

// targetKey returns the id of a target, whose state h is locked when suffix says so.
func targetKey(ctx context.Context, q querier, t tenant.ID, id fleet.ControllerID, suffix string) (key int64, err error) {
	err = q.row(ctx, "SELECT e.id FROM "+targetLocked+" WHERE e.tenant_id = $1 AND e.controller_id = $2"+suffix, t, string(id)).Scan(&key)
	if none(err) {
		return 0, fault.Missing("Target", string(id))
	}
	return key, err
}

// CreateTargets implements fleet.TargetStore.
func (f Fleet) CreateTargets(ctx context.Context, t tenant.ID, targets []fleet.Target) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		types := map[fleet.TargetTypeID]string{}
		for i := range targets {
			n := &targets[i]
			if n.Type != 0 {
				if types[n.Type] == "" {
					name, err := typeName(ctx, tx, t, n.Type)
					if err != nil {
						return err
					}
					types[n.Type] = name
				}
				n.TypeName = types[n.Type]
			}
			id, err := tx.insert(ctx, `INSERT INTO target (tenant_id, controller_id, name, description, token, address, group_name, type_id, created_by, created_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
				t, string(n.ControllerID), n.Name, n.Description, n.Token, n.Address, n.Group, nullable(n.Type), n.CreatedBy, n.CreatedAt.UnixMilli())
			if err != nil {
				return tx.taken(err, "There is a target with the controllerId %q already.", n.ControllerID)
			}
			if err := tx.beginState(ctx, id, n); err != nil {
				return err
			}
			n.ID = fleet.TargetID(id)
			tx.record(event.Event{Tenant: t, Kind: event.TargetCreated, Subject: id, Reach: event.Reach(id), Data: targetData(n.ControllerID), At: n.CreatedAt.UnixMilli()})
		}
		return tx.targetsChanged(ctx, t, len(targets))
	})
}

// beginState makes the state of a new target.
func (tx *Tx) beginState(ctx context.Context, id int64, n *fleet.Target) error {
	_, err := tx.exec(ctx, "INSERT INTO target_state (target_id, status, request_attributes, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5)",
		id, int(n.Status), n.RequestAttributes, n.ModifiedBy, n.ModifiedAt.UnixMilli())
	return err
}

// nullable is the parameter for a reference of which 0 means none.
func nullable[ID ~int64](id ID) any {
	if id == 0 {
		return nil
	}
	return int64(id)
}

// typeName returns the name of a target type. The reference to it is what keeps
// it from being deleted meanwhile.
func typeName(ctx context.Context, tx *Tx, t tenant.ID, id fleet.TargetTypeID) (name string, err error) {
	err = tx.row(ctx, "SELECT e.name FROM target_type e WHERE e.tenant_id = $1 AND e.id = $2", t, int64(id)).Scan(&name)
	if none(err) {
		return "", fault.Missing("TargetType", int64(id))
	}
	return name, err
}

// UpdateTarget implements fleet.TargetStore.
func (f Fleet) UpdateTarget(ctx context.Context, t tenant.ID, id fleet.ControllerID, change func(*fleet.Target) error) (target *fleet.Target, err error) {
	err = f.DB.update(ctx, func(tx *Tx) error {
		if target, err = readTarget(ctx, tx, t, id, tx.db.lock("h")); err != nil {
			return err
		}
		before := *target
		if err := change(target); err != nil {
			return err
		}
		if before.Type != target.Type {
			target.TypeName = ""
			if target.Type != 0 {
				if target.TypeName, err = typeName(ctx, tx, t, target.Type); err != nil {
					return err
				}
			}
		}
		if reflect.DeepEqual(before, *target) {
			return nil
		}
		if _, err := tx.exec(ctx, "UPDATE target SET name = $2, description = $3, token = $4, address = $5, type_id = $6 WHERE id = $1",
			int64(target.ID), target.Name, target.Description, target.Token, target.Address, nullable(target.Type)); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE target_state SET request_attributes = $2, modified_by = $3, modified_at = $4 WHERE target_id = $1",
			int64(target.ID), target.RequestAttributes, target.ModifiedBy, target.ModifiedAt.UnixMilli()); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetChanged, Subject: int64(target.ID), Reach: event.Reach(target.ID), At: target.ModifiedAt.UnixMilli()})
		return nil
	})
	return target, err
}

// targetData tells who a target is, for events that are likely read when it is gone.
func targetData(id fleet.ControllerID) string {
	text, _ := json.Marshal(struct {
		ControllerID fleet.ControllerID `json:"controllerId"`
	}{id}) // texts always can be
	return string(text)
}

// DeleteTarget implements fleet.TargetStore.
func (f Fleet) DeleteTarget(ctx context.Context, t tenant.ID, id fleet.ControllerID, now time.Time) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		if err := tx.holdTargets(ctx, t, true); err != nil {
			return err
		}
		key, err := targetKey(ctx, tx, t, id, tx.db.lock("h"))
		if err != nil {
			return err
		}
		gone, err := tx.affected(ctx, "DELETE FROM target WHERE id = $1", key)
		if err != nil {
			return err
		}
		if err := tx.targetsChanged(ctx, t, -int(gone)); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetDeleted, Subject: key, Reach: event.Reach(key), Data: targetData(id), At: now.UnixMilli()})
		return nil
	})
}

// holdTargets keeps targets of the tenant from being deleted until the transaction
// ends; or it waits until nobody does that, to delete some. On PostgreSQL a rollout
// holds all of them by this one lock, instead of a lock and a look at each target
// for each membership and action that it makes. SQLite has one writer at a time.
func (tx *Tx) holdTargets(ctx context.Context, t tenant.ID, toDelete bool) error {
	if !tx.db.Shared() {
		return nil
	}
	const targets = 0x74617267 << 32 // tells this lock from others: "targ"
	text := "SELECT pg_advisory_xact_lock_shared($1)"
	if toDelete {
		text = "SELECT pg_advisory_xact_lock($1)"
	}
	_, err := tx.exec(ctx, text, targets+int64(t))
	return err
}

// Attributes implements fleet.TargetStore.
func (f Fleet) Attributes(ctx context.Context, t tenant.ID, id fleet.ControllerID) (values map[string]string, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		key, err := targetKey(ctx, q, t, id, "")
		if err != nil {
			return err
		}
		values, err = keyValues(ctx, q, "SELECT key, value FROM target_attribute WHERE target_id = $1", key)
		return err
	})
	return values, err
}

// Intervals implements fleet.TargetStore.
func (f Fleet) Intervals(ctx context.Context, t tenant.ID, ids []fleet.TargetID, overrides []tenant.PollingOverride, m query.Moment) (map[fleet.TargetID]int, error) {
	choice, args, err := intervalChoice(t, overrides, m, f.DB.dialect, []any{t, idList(ids)})
	if err != nil {
		return nil, err
	}
	first := make(map[fleet.TargetID]int, len(ids))
	return first, f.DB.view(ctx, func(q querier) error {
		_, err := all(ctx, q, func(s scanner) (struct{}, error) {
			var id fleet.TargetID
			var n int
			err := s.Scan(&id, &n)
			first[id] = n
			return struct{}{}, err
		}, "SELECT e.id, "+choice+" FROM "+targetFrom+" WHERE e.tenant_id = $1 AND e.id IN (SELECT i.id FROM "+f.DB.ids("$2", "i")+")", args...)
		return err
	})
}

// maxIntervals is how many polling intervals of their own are looked at.
const maxIntervals = 255

// intervalChoice is an expression over a target e with its state h that says which polling
// interval holds for it: the number of the first override that matches, or 0,
// the base. An override that cannot be read matches nothing: it was checked when
// it was saved, but perhaps by another version.
func intervalChoice(t tenant.ID, overrides []tenant.PollingOverride, m query.Moment, d dialect, args []any) (string, []any, error) {
	cases := ""
	for i, o := range overrides[:min(len(overrides), maxIntervals)] {
		node, err := query.Parse(o.Query, fleet.TargetFields())
		if err != nil {
			continue
		}
		cond, with, err := rowCondition(node, targetColumns(), t, m, d, args)
		if err != nil {
			return "", nil, err
		}
		args = with
		cases += fmt.Sprintf(" WHEN %s THEN %d", cond, i+1)
	}
	if cases == "" {
		return "0", args, nil
	}
	return "CASE" + cases + " ELSE 0 END", args, nil
}
