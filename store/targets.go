package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
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
		// What comes first in the list decides of what it fails: whatever stands behind
		// a type that is missing does not matter.
		list, missing := tx.nameTypes(ctx, t, targets)
		if _, err := tx.addTargets(ctx, t, list); err != nil {
			return err
		}
		for _, n := range list {
			if n.ID == 0 {
				return fault.New(fault.Exists, "There is a target with the controllerId %q already.", n.ControllerID)
			}
		}
		return missing
	})
}

// nameTypes tells the targets the names of their types. It returns those that stand
// before the first whose type is missing, and the error that says so.
func (tx *Tx) nameTypes(ctx context.Context, t tenant.ID, targets []fleet.Target) (named []*fleet.Target, err error) {
	types := map[fleet.TargetTypeID]string{}
	for i := range targets {
		n := &targets[i]
		if n.Type != 0 {
			if types[n.Type] == "" {
				if types[n.Type], err = typeName(ctx, tx, t, n.Type); err != nil {
					return named, err
				}
			}
			n.TypeName = types[n.Type]
		}
		named = append(named, n)
	}
	return named, nil
}

// addTargets adds the targets, gives them their ids, in this order, and returns
// them. It leaves those out, and without an id, of whose name there is one already.
func (tx *Tx) addTargets(ctx context.Context, t tenant.ID, targets []*fleet.Target) (added []*fleet.Target, err error) {
	insert, begin := tx.insertTargetsPostgres, tx.beginStatesPostgres
	if tx.db.group != nil {
		insert, begin = tx.insertTargetsSQLite, tx.beginStatesSQLite
	}
	byName := make(map[fleet.ControllerID]*fleet.Target, len(targets))
	for _, n := range slices.Backward(targets) { // where a name comes twice, it is the first one's
		n.ID, byName[n.ControllerID] = 0, n
	}
	inserted, err := insert(ctx, t, targets)
	if err != nil {
		return nil, err
	}
	for _, i := range inserted {
		byName[i.name].ID = i.id
	}
	for _, n := range targets {
		if n.ID != 0 {
			added = append(added, n)
			tx.record(event.Event{Tenant: t, Kind: event.TargetCreated, Subject: int64(n.ID), Reach: event.Reach(n.ID), Data: targetData(n.ControllerID), At: n.CreatedAt.UnixMilli()})
		}
	}
	if len(added) == 0 {
		return nil, nil
	}
	if err := begin(ctx, added); err != nil {
		return nil, err
	}
	return added, tx.targetsChanged(ctx, t, len(added))
}

// An insertedTarget is a row that was added to target.
type insertedTarget struct {
	id   fleet.TargetID
	name fleet.ControllerID
}

func scanInserted(s scanner) (i insertedTarget, err error) {
	err = s.Scan(&i.id, &i.name)
	return i, err
}

const (
	insertTargets  = "INSERT INTO target (tenant_id, controller_id, name, description, token, address, group_name, type_id, created_by, created_at) "
	returnInserted = " ON CONFLICT (tenant_id, controller_id) DO NOTHING RETURNING id, controller_id"
	beginStates    = "INSERT INTO target_state (target_id, status, request_attributes, modified_by, modified_at) "
)

// targetsAtOnce is how many targets one statement adds on SQLite.
const targetsAtOnce = 16

func (tx *Tx) insertTargetsSQLite(ctx context.Context, t tenant.ID, targets []*fleet.Target) (inserted []insertedTarget, err error) {
	for some := range slices.Chunk(targets, targetsAtOnce) {
		args := make([]any, 0, 10*len(some))
		for _, n := range some {
			args = append(args, t, string(n.ControllerID), n.Name, n.Description, n.Token, n.Address, n.Group, idOrNull(n.Type), n.CreatedBy, n.CreatedAt.UnixMilli())
		}
		rows, err := all(ctx, tx, scanInserted, insertTargets+valuesOf("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", len(some))+returnInserted, args...)
		if err != nil {
			return nil, err
		}
		inserted = append(inserted, rows...)
	}
	return inserted, nil
}

func (tx *Tx) beginStatesSQLite(ctx context.Context, added []*fleet.Target) error {
	for some := range slices.Chunk(added, targetsAtOnce) {
		args := make([]any, 0, 5*len(some))
		for _, n := range some {
			args = append(args, int64(n.ID), int(n.Status), n.RequestAttributes, n.ModifiedBy, n.ModifiedAt.UnixMilli())
		}
		if _, err := tx.exec(ctx, beginStates+valuesOf("(?, ?, ?, ?, ?)", len(some)), args...); err != nil {
			return err
		}
	}
	return nil
}

// valuesOf are n rows of parameters.
func valuesOf(row string, n int) string { return "VALUES " + row + strings.Repeat(", "+row, n-1) }

func (tx *Tx) insertTargetsPostgres(ctx context.Context, t tenant.ID, targets []*fleet.Target) ([]insertedTarget, error) {
	var v struct {
		controllerID, name, token, createdBy []string
		description, address, group          []*string
		kind                                 []*int64
		createdAt                            []int64
	}
	for _, n := range targets {
		v.controllerID, v.name, v.token = append(v.controllerID, string(n.ControllerID)), append(v.name, n.Name), append(v.token, n.Token)
		v.description, v.address, v.group = append(v.description, n.Description), append(v.address, n.Address), append(v.group, n.Group)
		v.kind, v.createdBy, v.createdAt = append(v.kind, idOrNull(n.Type)), append(v.createdBy, n.CreatedBy), append(v.createdAt, n.CreatedAt.UnixMilli())
	}
	return all(ctx, tx, scanInserted, insertTargets+`SELECT $1, v.controller_id, v.name, v.description, v.token, v.address, v.group_name, v.type_id, v.created_by, v.created_at
		FROM unnest(CAST($2 AS text[]), CAST($3 AS text[]), CAST($4 AS text[]), CAST($5 AS text[]), CAST($6 AS text[]), CAST($7 AS text[]), CAST($8 AS bigint[]), CAST($9 AS text[]), CAST($10 AS bigint[]))
			AS v (controller_id, name, description, token, address, group_name, type_id, created_by, created_at)`+returnInserted,
		t, v.controllerID, v.name, v.description, v.token, v.address, v.group, v.kind, v.createdBy, v.createdAt)
}

func (tx *Tx) beginStatesPostgres(ctx context.Context, added []*fleet.Target) error {
	var v struct {
		id, status, modifiedAt []int64
		attributes             []bool
		modifiedBy             []string
	}
	for _, n := range added {
		v.id, v.status, v.attributes = append(v.id, int64(n.ID)), append(v.status, int64(n.Status)), append(v.attributes, n.RequestAttributes)
		v.modifiedBy, v.modifiedAt = append(v.modifiedBy, n.ModifiedBy), append(v.modifiedAt, n.ModifiedAt.UnixMilli())
	}
	_, err := tx.exec(ctx, beginStates+`SELECT v.id, v.status, v.attributes, v.modified_by, v.modified_at
		FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[]), CAST($3 AS boolean[]), CAST($4 AS text[]), CAST($5 AS bigint[])) AS v (id, status, attributes, modified_by, modified_at)`,
		v.id, v.status, v.attributes, v.modifiedBy, v.modifiedAt)
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
