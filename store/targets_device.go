package store

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

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
