package store

import (
	"context"
	"reflect"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

const targetTagSelect = "e.id, e.name, e.description, e.colour, e.created_by, e.created_at, e.modified_by, e.modified_at"

func scanTargetTag(r scanner) (t fleet.Tag, err error) {
	s := audit{to: &t.Stamps}
	err = r.Scan(append([]any{&t.ID, &t.Name, &t.Description, &t.Colour}, s.dest()...)...)
	s.finish()
	return t, err
}

// Tags implements fleet.TagStore.
func (f Fleet) Tags(ctx context.Context, t tenant.ID, l query.List) ([]fleet.Tag, int, error) {
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetTagColumns(), fields: targetTagSelect, from: "target_tag e", where: "e.tenant_id = $1", args: []any{t},
	}, scanTargetTag)
}

// Tag implements fleet.TagStore.
func (f Fleet) Tag(ctx context.Context, t tenant.ID, id fleet.TagID) (tag *fleet.Tag, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		tag, err = targetTag(ctx, q, t, id, "")
		return err
	})
	return tag, err
}

func targetTag(ctx context.Context, q querier, t tenant.ID, id fleet.TagID, suffix string) (*fleet.Tag, error) {
	tag, err := scanTargetTag(q.row(ctx, "SELECT "+targetTagSelect+" FROM target_tag e WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("TargetTag", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &tag, nil
}

// TagsOf implements fleet.TagStore.
func (f Fleet) TagsOf(ctx context.Context, t tenant.ID, id fleet.ControllerID) (tags []fleet.Tag, err error) {
	err = f.DB.view(ctx, func(q querier) error {
		key, err := targetKey(ctx, q, t, id, "")
		if err != nil {
			return err
		}
		tags, err = all(ctx, q, scanTargetTag, "SELECT "+targetTagSelect+" FROM target_tag e JOIN target_tagging x ON x.tag_id = e.id WHERE x.target_id = $1 ORDER BY e.id", key)
		return err
	})
	return tags, err
}

// CreateTags implements fleet.TagStore.
func (f Fleet) CreateTags(ctx context.Context, t tenant.ID, tags []fleet.Tag) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		for i := range tags {
			tag := &tags[i]
			id, err := tx.insert(ctx, "INSERT INTO target_tag (tenant_id, name, description, colour, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
				append([]any{t, tag.Name, tag.Description, tag.Colour}, stampArgs(&tag.Stamps)...)...)
			if err != nil {
				return targetTagTaken(tx, err, tag)
			}
			tag.ID = fleet.TagID(id)
			tx.record(event.Event{Tenant: t, Kind: event.TargetTagCreated, Subject: id, Reach: event.NoTarget, At: tag.CreatedAt.UnixMilli()})
		}
		return nil
	})
}

func targetTagTaken(tx *Tx, err error, tag *fleet.Tag) error {
	return tx.taken(err, "There is a target tag with the name %q already.", tag.Name)
}

// UpdateTag implements fleet.TagStore.
func (f Fleet) UpdateTag(ctx context.Context, t tenant.ID, id fleet.TagID, change func(*fleet.Tag) error) (tag *fleet.Tag, err error) {
	err = f.DB.update(ctx, func(tx *Tx) error {
		if tag, err = targetTag(ctx, tx, t, id, tx.db.lock("e")); err != nil {
			return err
		}
		before := *tag
		if err := change(tag); err != nil || reflect.DeepEqual(before, *tag) {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE target_tag SET name = $2, description = $3, colour = $4, modified_by = $5, modified_at = $6 WHERE id = $1",
			int64(id), tag.Name, tag.Description, tag.Colour, tag.ModifiedBy, tag.ModifiedAt.UnixMilli()); err != nil {
			return targetTagTaken(tx, err, tag)
		}
		reach := event.NoTarget
		if before.Name != tag.Name { // intervals may be chosen by it
			reach = event.AnyTarget
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetTagChanged, Subject: int64(id), Reach: reach, At: tag.ModifiedAt.UnixMilli()})
		return nil
	})
	return tag, err
}

// DeleteTag implements fleet.TagStore.
func (f Fleet) DeleteTag(ctx context.Context, t tenant.ID, id fleet.TagID, by caller.Stamps) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		used, err := exists(ctx, tx, "target_tagging WHERE tag_id = $1", int64(id))
		if err != nil {
			return err
		}
		n, err := tx.affected(ctx, "DELETE FROM target_tag WHERE tenant_id = $1 AND id = $2", t, int64(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Missing("TargetTag", int64(id))
		}
		reach := event.NoTarget
		if used {
			reach = event.AnyTarget
		}
		tx.record(event.Event{Tenant: t, Kind: event.TargetTagDeleted, Subject: int64(id), Reach: reach, At: by.ModifiedAt.UnixMilli()})
		return nil
	})
}

// TaggedTargets implements fleet.TagStore.
func (f Fleet) TaggedTargets(ctx context.Context, t tenant.ID, id fleet.TagID, l query.List) ([]fleet.Target, int, error) {
	if _, err := f.Tag(ctx, t, id); err != nil {
		return nil, 0, err
	}
	return pageOf(ctx, f.DB, t, l, listing{
		columns: targetBelowColumns(), fields: targetSelect, from: "target_tagging tg JOIN target e ON e.id = tg.target_id LEFT JOIN target_state h ON h.target_id = e.id", joined: targetJoined,
		where: "e.tenant_id = $1 AND tg.tag_id = $2", args: []any{t, int64(id)},
	}, scanTarget)
}

// TagTargets implements fleet.TagStore.
func (f Fleet) TagTargets(ctx context.Context, t tenant.ID, id fleet.TagID, targets []fleet.ControllerID, tagged bool, by caller.Stamps, check func([]fleet.ControllerID) error) error {
	return f.DB.update(ctx, func(tx *Tx) error {
		if _, err := targetTag(ctx, tx, t, id, ""); err != nil {
			return err
		}
		keys, found, err := lockTargets(ctx, tx, t, targets)
		if err != nil {
			return err
		}
		if err := check(found); err != nil || len(keys) == 0 {
			return err
		}
		text := "DELETE FROM target_tagging WHERE tag_id = $1 AND target_id IN (SELECT i.id FROM " + tx.db.ids("$2", "i") + ") RETURNING target_id"
		if tagged {
			text = "INSERT INTO target_tagging (target_id, tag_id) SELECT i.id, CAST($1 AS bigint) FROM " + tx.db.ids("$2", "i") + " WHERE 1=1 ON CONFLICT DO NOTHING RETURNING target_id"
		}
		changed, err := all(ctx, tx, scalar[int64], text, int64(id), idList(keys))
		if err != nil {
			return err
		}
		return touchTargets(ctx, tx, t, changed, by)
	})
}

// lockTargets finds those of the targets that exist, and locks them in the
// order of their ids.
func lockTargets(ctx context.Context, tx *Tx, t tenant.ID, ids []fleet.ControllerID) (keys []int64, found []fleet.ControllerID, err error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	list, err := textList(texts)
	if err != nil {
		return nil, nil, err
	}
	_, err = all(ctx, tx, func(s scanner) (struct{}, error) {
		var key int64
		var id fleet.ControllerID
		err := s.Scan(&key, &id)
		keys, found = append(keys, key), append(found, id)
		return struct{}{}, err
	}, "SELECT e.id, e.controller_id FROM "+targetLocked+" WHERE e.tenant_id = $1 AND e.controller_id IN (SELECT i.v FROM "+tx.db.texts("$2", "i")+") ORDER BY e.id"+tx.db.lock("h"), t, list)
	return keys, found, err
}
