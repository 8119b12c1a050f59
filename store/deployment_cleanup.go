package store

import (
	"context"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/tenant"
)

// Tenants implements deployment.CleanupStore.
func (d Deployment) Tenants(ctx context.Context) (ids []tenant.ID, err error) {
	err = d.DB.view(ctx, func(q querier) error {
		ids, err = all(ctx, q, scalar[tenant.ID], "SELECT id FROM tenant ORDER BY id")
		return err
	})
	return ids, err
}

// lookedThrough is how many actions a step of the clean-up looks at for each
// that it may remove.
const lookedThrough = 50

// CleanActions implements deployment.CleanupStore. The actions are found before
// the transaction, which locks their targets first, as everywhere, and looks
// again: a device may have reported meanwhile.
func (d Deployment) CleanActions(ctx context.Context, t tenant.ID, c deployment.Cleanup) (next deployment.ActionID, removed int, err error) {
	const old = "e.modified_at < $2 AND NOT EXISTS (SELECT 1 FROM action_status s WHERE s.action_id = e.id AND s.reported_at >= $2)"
	before, look := c.Before.UnixMilli(), c.Limit*lookedThrough
	var looked int
	var last int64
	var ids []int64
	find := func(q querier) error {
		if err := q.row(ctx, "SELECT count(*), coalesce(max(w.id), 0) FROM (SELECT e.id FROM action e WHERE e.tenant_id = $1 AND e.id > $2 ORDER BY e.id LIMIT $3) AS w", t, int64(c.After), look).Scan(&looked, &last); err != nil {
			return err
		}
		ids, err = all(ctx, q, scalar[int64], "SELECT e.id FROM action e WHERE e.tenant_id = $1 AND e.id > $3 AND e.id <= $4 AND e.status IN ("+statusList(c.Statuses)+") AND "+old+" ORDER BY e.id LIMIT $5",
			t, before, int64(c.After), last, c.Limit)
		return err
	}
	err = d.DB.behind(func() error { return d.DB.view(ctx, find) })
	if err != nil {
		return c.After, 0, err
	}
	switch {
	case len(ids) == c.Limit:
		next = deployment.ActionID(ids[len(ids)-1])
	case looked == look:
		next = deployment.ActionID(last)
	}
	if len(ids) == 0 {
		return next, 0, nil
	}
	err = d.DB.step(ctx, func(tx *Tx) error {
		if err := tx.proveLease(ctx, c.Held); err != nil {
			return err
		}
		of, err := all(ctx, tx, scalar[int64], "SELECT e.target_id FROM action e WHERE "+tx.chosen("e.id"), idList(ids))
		if err != nil {
			return err
		}
		if _, err := lockStates(ctx, tx, of); err != nil {
			return err
		}
		removed, err = tx.deleteActions(ctx, t, "SELECT e.id FROM action e WHERE e.tenant_id = $1 AND e.status IN ("+statusList(c.Statuses)+") AND "+old+" AND "+tx.db.among("e.id", "$3"), []any{t, before, idList(ids)}, c.Now)
		return err
	})
	if err != nil {
		return c.After, 0, err
	}
	return next, removed, nil
}
