package store

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

// Register implements fleet.RegisterStore.
func (f Fleet) Register(ctx context.Context, t tenant.ID, n *fleet.Target) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		at := n.CreatedAt.UnixMilli()
		var id int64
		err := tx.row(ctx, `INSERT INTO target (tenant_id, controller_id, name, description, token, address, created_by, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, controller_id) DO NOTHING RETURNING id`,
			t, string(n.ControllerID), n.Name, n.Description, n.Token, n.Address, n.CreatedBy, at).Scan(&id)
		if none(err) {
			return nil
		}
		if err != nil {
			return err
		}
		n.ID = fleet.TargetID(id)
		if err := tx.beginState(ctx, id, n); err != nil {
			return err
		}
		if err := tx.visited(ctx, id, n.SeenAt); err != nil {
			return err
		}
		if err := tx.targetsChanged(ctx, t, 1); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetCreated, Subject: id, Reach: event.Reach(id), Data: targetData(n.ControllerID), At: at})
		return nil
	})
}

// Seen implements fleet.RegisterStore.
func (f Fleet) Seen(ctx context.Context, t tenant.ID, id fleet.TargetID, address string, at time.Time) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		n, err := tx.affected(ctx, "UPDATE target_state SET status = CASE WHEN status = $3 THEN $4 ELSE status END WHERE target_id = (SELECT t.id FROM target t WHERE t.tenant_id = $1 AND t.id = $2)",
			t, int64(id), int(fleet.StatusUnknown), int(fleet.StatusRegistered))
		if err != nil || n == 0 {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE target SET address = $3 WHERE tenant_id = $1 AND id = $2", t, int64(id), address); err != nil {
			return err
		}
		if err := tx.visited(ctx, int64(id), at); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetChanged, Subject: int64(id), Reach: event.Reach(id), At: at.UnixMilli()})
		return nil
	})
}

// visited saves one check-in, of a target that exists.
func (tx *Tx) visited(ctx context.Context, target int64, at time.Time) error {
	_, err := tx.exec(ctx, "INSERT INTO target_visit (target_id, seen_at) VALUES ($1, $2) ON CONFLICT (target_id) DO UPDATE SET seen_at = excluded.seen_at WHERE target_visit.seen_at < excluded.seen_at", target, at.UnixMilli())
	return err
}

// UpdateAttributes implements fleet.AttributeStore.
func (f Fleet) UpdateAttributes(ctx context.Context, t tenant.ID, id fleet.ControllerID, change func(map[string]string) (map[string]string, error)) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		target, err := targetKey(ctx, tx, t, id, tx.db.lock("h"))
		if err != nil {
			return err
		}
		have, err := keyValues(ctx, tx, "SELECT key, value FROM target_attribute WHERE target_id = $1", target)
		if err != nil {
			return err
		}
		next, err := change(have)
		if err != nil {
			return err
		}
		if !maps.Equal(have, next) {
			if err := replaceValues(ctx, tx, "target_attribute", target, have, next); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, "UPDATE target_state SET request_attributes = $2 WHERE target_id = $1", target, false); err != nil {
			return err
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetAttributes, Subject: target, Reach: event.Reach(target)})
		return nil
	})
}

// replaceValues makes the target's keys and values in the table those of next.
func replaceValues(ctx context.Context, tx *Tx, table string, target int64, have, next map[string]string) error {
	var gone []string
	for k := range have {
		if _, kept := next[k]; !kept {
			gone = append(gone, k)
		}
	}
	for _, k := range gone {
		if _, err := tx.exec(ctx, "DELETE FROM "+table+" WHERE target_id = $1 AND key = $2", target, k); err != nil {
			return err
		}
	}
	type row struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	var set []row
	for k, v := range next {
		if old, had := have[k]; !had || old != v {
			set = append(set, row{k, v})
		}
	}
	if len(set) == 0 {
		return nil
	}
	list, err := json.Marshal(set)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "INSERT INTO "+table+" (target_id, key, value) SELECT $1, v.key, v.value FROM "+tx.db.table("$2", "v", "key text", "value text")+
		" WHERE TRUE ON CONFLICT (target_id, key) DO UPDATE SET value = excluded.value", target, string(list))
	return err
}

// keyValues reads rows of two text columns.
func keyValues(ctx context.Context, q querier, text string, args ...any) (map[string]string, error) {
	m := map[string]string{}
	_, err := all(ctx, q, func(s scanner) (struct{}, error) {
		var k, v string
		err := s.Scan(&k, &v)
		m[k] = v
		return struct{}{}, err
	}, text, args...)
	return m, err
}
