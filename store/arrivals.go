package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

// Register implements fleet.RegisterStore. Registrations that come at the same
// time share a transaction.
func (f Fleet) Register(ctx context.Context, t tenant.ID, n *fleet.Target) error {
	return f.DB.registrations.do(ctx, &registration{tenant: t, target: n})
}

// A registration is one call of Register.
type registration struct {
	call

	tenant tenant.ID
	target *fleet.Target
}

type registrationKey struct {
	tenant tenant.ID
	id     fleet.ControllerID
}

func (r *registration) keys() []registrationKey {
	return []registrationKey{{r.tenant, r.target.ControllerID}}
}

// register adds the targets of the batch, in the order of their names: whoever adds
// one of the same name waits for it, and two batches never wait for each other.
func (tx *Tx) register(ctx context.Context, batch []*registration) error {
	byTenant := map[tenant.ID][]*fleet.Target{}
	for _, r := range batch {
		if !r.left() {
			byTenant[r.tenant] = append(byTenant[r.tenant], r.target)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(byTenant)) {
		targets := byTenant[t]
		slices.SortFunc(targets, func(a, b *fleet.Target) int { return strings.Compare(string(a.ControllerID), string(b.ControllerID)) })
		added, err := tx.addTargets(ctx, t, targets)
		if err != nil {
			return err
		}
		visits := make([]fleet.Visit, len(added))
		for i, n := range added {
			visits[i] = fleet.Visit{Target: n.ID, SeenAt: n.SeenAt.UnixMilli()}
		}
		if err := tx.visited(ctx, visits); err != nil {
			return err
		}
	}
	return nil
}

// Seen implements fleet.RegisterStore. Calls that come at the same time share a
// transaction.
func (f Fleet) Seen(ctx context.Context, t tenant.ID, id fleet.TargetID, address string, at time.Time) error {
	return f.DB.sightings.do(ctx, &sighting{tenant: t, target: id, address: address, at: at.UnixMilli()})
}

// A sighting is one call of Seen.
type sighting struct {
	call

	tenant  tenant.ID
	target  fleet.TargetID
	address string
	at      int64
}

func (s *sighting) keys() []fleet.TargetID { return []fleet.TargetID{s.target} }

// see saves the sightings of the batch, in the order of the targets' ids. All of
// them are told of as having been at the time of the last one: events that are
// alike cost one row.
func (tx *Tx) see(ctx context.Context, batch []*sighting) error {
	list := slices.DeleteFunc(slices.Clone(batch), (*sighting).left)
	slices.SortFunc(list, func(a, b *sighting) int { return cmp.Compare(a.target, b.target) })
	save := tx.seePostgres
	if tx.db.group != nil {
		save = tx.seeSQLite
	}
	list, err := save(ctx, list)
	if err != nil {
		return err
	}
	at := int64(0)
	visits := make([]fleet.Visit, len(list))
	for i, s := range list {
		at, visits[i] = max(at, s.at), fleet.Visit{Target: s.target, SeenAt: s.at}
	}
	if err := tx.visited(ctx, visits); err != nil {
		return err
	}
	for _, s := range list {
		tx.recordEach(s.tenant, event.TargetChanged, []int64{int64(s.target)}, at)
	}
	return nil
}

// seeSQLite makes the targets registered ones at their addresses, and returns the
// sightings of those that are still there.
func (tx *Tx) seeSQLite(ctx context.Context, list []*sighting) (there []*sighting, err error) {
	for _, s := range list {
		n, err := tx.affected(ctx, "UPDATE target SET address = $3 WHERE tenant_id = $1 AND id = $2", s.tenant, int64(s.target), s.address)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		if _, err := tx.exec(ctx, "UPDATE target_state SET status = $2 WHERE target_id = $1 AND status = $3", int64(s.target), int(fleet.StatusRegistered), int(fleet.StatusUnknown)); err != nil {
			return nil, err
		}
		there = append(there, s)
	}
	return there, nil
}

// seePostgres is seeSQLite on PostgreSQL, where it locks the states first. Updates
// join nothing, but find their rows by a list of ids: PostgreSQL could else go
// through all targets for each batch, if they were few when it made its plan.
func (tx *Tx) seePostgres(ctx context.Context, list []*sighting) (there []*sighting, err error) {
	tenants, ids := make([]int64, len(list)), make([]int64, len(list))
	for i, s := range list {
		tenants[i], ids[i] = int64(s.tenant), int64(s.target)
	}
	found, err := all(ctx, tx, scalar[fleet.TargetID], lockSighted, tenants, ids)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	there = slices.DeleteFunc(list, func(s *sighting) bool {
		_, is := slices.BinarySearch(found, s.target)
		return !is
	})
	ids, addresses := make([]int64, len(there)), make([]string, len(there))
	for i, s := range there {
		ids[i], addresses[i] = int64(s.target), s.address
	}
	if _, err := tx.exec(ctx, registerSighted, ids, int64(fleet.StatusRegistered), int64(fleet.StatusUnknown)); err != nil {
		return nil, err
	}
	_, err = tx.exec(ctx, moveSighted, ids, addresses)
	return there, err
}

const (
	lockSighted = `SELECT h.target_id FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[])) AS i (tenant, id)
		CROSS JOIN LATERAL (SELECT x.id FROM target x WHERE x.tenant_id = i.tenant AND x.id = i.id OFFSET 0) AS t
		CROSS JOIN LATERAL (SELECT s.target_id FROM target_state s WHERE s.target_id = t.id FOR NO KEY UPDATE OF s) AS h`

	registerSighted = "UPDATE target_state SET status = $2 WHERE target_id = ANY (CAST($1 AS bigint[])) AND status = $3"

	moveSighted = `UPDATE target SET address = (CAST($2 AS text[]))[array_position(CAST($1 AS bigint[]), id)]
		WHERE id = ANY (CAST($1 AS bigint[])) AND address IS DISTINCT FROM (CAST($2 AS text[]))[array_position(CAST($1 AS bigint[]), id)]`
)

// visited saves check-ins of targets that exist, each in the list once.
func (tx *Tx) visited(ctx context.Context, visits []fleet.Visit) error {
	const newest = " ON CONFLICT (target_id) DO UPDATE SET seen_at = excluded.seen_at WHERE target_visit.seen_at < excluded.seen_at"
	if tx.db.group != nil {
		for _, v := range visits {
			if _, err := tx.exec(ctx, "INSERT INTO target_visit (target_id, seen_at) VALUES ($1, $2)"+newest, int64(v.Target), v.SeenAt); err != nil {
				return err
			}
		}
		return nil
	}
	if len(visits) == 0 {
		return nil
	}
	ids, times := make([]int64, len(visits)), make([]int64, len(visits))
	for i, v := range visits {
		ids[i], times[i] = int64(v.Target), v.SeenAt
	}
	_, err := tx.exec(ctx, "INSERT INTO target_visit (target_id, seen_at) SELECT v.id, v.seen_at FROM unnest(CAST($1 AS bigint[]), CAST($2 AS bigint[])) AS v (id, seen_at)"+newest, ids, times)
	return err
}
