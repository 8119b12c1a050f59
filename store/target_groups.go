package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// groupsSQL goes from each group to the next by the index, so that it costs as
// much as there are groups, however many targets are in them.
const groupsSQL = `WITH RECURSIVE g (name) AS (
	SELECT min(group_name) FROM target WHERE tenant_id = $1 AND group_name IS NOT NULL
	UNION ALL
	SELECT (SELECT min(t.group_name) FROM target t WHERE t.tenant_id = $1 AND t.group_name > g.name) FROM g WHERE g.name IS NOT NULL)
	SELECT name FROM g WHERE name IS NOT NULL ORDER BY name`

// Groups implements fleet.GroupStore.
func (f Fleet) Groups(ctx context.Context, t tenant.ID) (groups []string, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		groups, err = all(ctx, q, scalar[string], groupsSQL, t)
		return err
	})
	return groups, err
}

// GroupTargets implements fleet.GroupStore.
func (f Fleet) GroupTargets(ctx context.Context, t tenant.ID, group string, below bool, l query.List) ([]fleet.Target, int, error) {
	lower := strings.ToLower(group)
	in := &filter{dialect: f.DB.dialect, args: []any{t}}
	where := in.fold("e.group_name", lower) + " = " + in.param(storable(lower))
	if below {
		where = "(" + where + " OR " + in.like("e.group_name", []string{lower + "/", ""}) + ")"
	}
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetColumns(), fields: targetSelect, from: targetFrom, joined: targetJoined, where: "e.tenant_id = $1 AND " + where, args: in.args,
	}, scanTarget)
}

// SetGroup implements fleet.GroupStore.
func (f Fleet) SetGroup(ctx context.Context, t tenant.ID, group *string, targets []fleet.ControllerID, now time.Time) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		keys, _, err := lockTargets(ctx, tx, t, targets)
		if err != nil || len(keys) == 0 {
			return err
		}
		return setGroup(ctx, tx, t, group, keys, now)
	})
}

// setGroup puts targets into the group. Those that are in it already are left
// alone.
func setGroup(ctx context.Context, tx *Tx, t tenant.ID, group *string, keys []int64, now time.Time) error {
	changed, err := all(ctx, tx, scalar[int64], "UPDATE target SET group_name = $2 WHERE tenant_id = $1 AND group_name IS DISTINCT FROM $2 AND "+tx.db.among("id", "$3")+" RETURNING id", t, group, idList(keys))
	if err != nil {
		return err
	}
	tx.recordEach(t, event.TargetChanged, changed, now.UnixMilli())
	return nil
}

// maxGroupStep bounds how many targets one step moves, so that a writer behind
// it waits for some tens of milliseconds at most.
const maxGroupStep = 5000

// SetGroupWhere implements fleet.GroupStore.
func (f Fleet) SetGroupWhere(ctx context.Context, t tenant.ID, group *string, n query.Node, m query.Moment, now time.Time) error {
	last := int64(0)
	for {
		var keys []int64
		err := f.DB.update(ctx, func(tx *Tx) error {
			cond, args, err := condition(n, targetColumns(), t, m, tx.db.dialect, []any{t, last, maxGroupStep})
			if err != nil {
				return err
			}
			keys, err = all(ctx, tx, scalar[int64], "SELECT e.id FROM "+targetLocked+" WHERE e.tenant_id = $1 AND e.id > $2 AND "+cond+" ORDER BY e.id LIMIT $3"+tx.db.lock("h"), args...)
			if err != nil || len(keys) == 0 {
				return err
			}
			return setGroup(ctx, tx, t, group, keys, now)
		})
		if err != nil {
			return fmt.Errorf("set the group of targets after %d: %w", last, err)
		}
		if len(keys) < maxGroupStep {
			return nil
		}
		last = keys[len(keys)-1]
	}
}
