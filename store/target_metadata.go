package store

import (
	"context"
	"maps"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

const metadataOf = "SELECT key, value FROM target_metadata WHERE target_id = $1"

// Metadata implements fleet.MetadataStore.
func (f Fleet) Metadata(ctx context.Context, t tenant.ID, id fleet.ControllerID) (values map[string]string, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		key, err := targetKey(ctx, q, t, id, "")
		if err != nil {
			return err
		}
		values, err = keyValues(ctx, q, metadataOf, key)
		return err
	})
	return values, err
}

// UpdateMetadata implements fleet.MetadataStore.
func (f Fleet) UpdateMetadata(ctx context.Context, t tenant.ID, id fleet.ControllerID, by caller.Stamps, change func(fleet.TargetID, map[string]string) error) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		key, err := targetKey(ctx, tx, t, id, tx.db.lock("h"))
		if err != nil {
			return err
		}
		have, err := keyValues(ctx, tx, metadataOf, key)
		if err != nil {
			return err
		}
		next := maps.Clone(have)
		if err := change(fleet.TargetID(key), next); err != nil || maps.Equal(have, next) {
			return err
		}
		if err := replaceValues(ctx, tx, "target_metadata", key, have, next); err != nil {
			return err
		}
		return touchTargets(ctx, tx, t, []int64{key}, by)
	})
}

// touchTargets notes that a user changed targets, whose next poll may be
// answered otherwise. The caller has found them in the tenant.
func touchTargets(ctx context.Context, tx *Tx, t tenant.ID, keys []int64, by caller.Stamps) error {
	if len(keys) == 0 {
		return nil
	}
	at := by.ModifiedAt.UnixMilli()
	if _, err := tx.exec(ctx, "UPDATE target_state SET modified_by = $2, modified_at = $3 WHERE "+tx.chosen("target_id"), idList(keys), by.ModifiedBy, at); err != nil {
		return err
	}
	tx.recordEach(t, event.TargetChanged, keys, at)
	return nil
}
