package store

import (
	"context"
	"reflect"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const (
	setTagSelect = "e.id, e.name, e.description, e.colour, e.created_by, e.created_at, e.modified_by, e.modified_at"
	setTagFrom   = "distribution_set_tag e"
)

func scanSetTag(r scanner) (t software.Tag, err error) {
	s := audit{to: &t.Stamps}
	err = r.Scan(append([]any{&t.ID, &t.Name, &t.Description, &t.Colour}, s.dest()...)...)
	s.finish()
	return t, err
}

// Tags implements software.TagStore.
func (s Software) Tags(ctx context.Context, t tenant.ID, l query.List) ([]software.Tag, int, error) {
	return pageOf(ctx, s.DB, t, l, listing{
		columns: setTagColumns(), fields: setTagSelect, from: setTagFrom, where: "e.tenant_id = $1", args: []any{t},
	}, scanSetTag)
}

// Tag implements software.TagStore.
func (s Software) Tag(ctx context.Context, t tenant.ID, id software.TagID) (tag *software.Tag, err error) {
	err = s.DB.view(ctx, func(q querier) error {
		tag, err = setTag(ctx, q, t, id, "")
		return err
	})
	return tag, err
}

func setTag(ctx context.Context, q querier, t tenant.ID, id software.TagID, suffix string) (*software.Tag, error) {
	tag, err := scanSetTag(q.row(ctx, "SELECT "+setTagSelect+" FROM "+setTagFrom+" WHERE e.tenant_id = $1 AND e.id = $2"+suffix, t, int64(id)))
	if none(err) {
		return nil, fault.Missing("DistributionSetTag", int64(id))
	}
	if err != nil {
		return nil, err
	}
	return &tag, nil
}

// CreateTags implements software.TagStore.
func (s Software) CreateTags(ctx context.Context, t tenant.ID, tags []software.Tag) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		for i := range tags {
			tag := &tags[i]
			id, err := tx.insert(ctx, "INSERT INTO distribution_set_tag (tenant_id, name, description, colour, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
				append([]any{t, tag.Name, tag.Description, tag.Colour}, stampArgs(&tag.Stamps)...)...)
			if err != nil {
				return setTagTaken(tx, err, tag)
			}
			tag.ID = software.TagID(id)
			tx.changed(t, event.SetTagCreated, id, tag.CreatedAt)
		}
		return nil
	})
}

func setTagTaken(tx *Tx, err error, tag *software.Tag) error {
	return tx.taken(err, "There is a distribution set tag with the name %q already.", tag.Name)
}

// UpdateTag implements software.TagStore.
func (s Software) UpdateTag(ctx context.Context, t tenant.ID, id software.TagID, change func(*software.Tag) error) (tag *software.Tag, err error) {
	err = s.DB.update(ctx, func(tx *Tx) error {
		if tag, err = setTag(ctx, tx, t, id, tx.db.forUpdate); err != nil {
			return err
		}
		before := *tag
		if err := change(tag); err != nil {
			return err
		}
		if reflect.DeepEqual(before, *tag) {
			return nil
		}
		if _, err := tx.exec(ctx, "UPDATE distribution_set_tag SET name = $2, description = $3, colour = $4, modified_by = $5, modified_at = $6 WHERE id = $1",
			int64(id), tag.Name, tag.Description, tag.Colour, tag.ModifiedBy, tag.ModifiedAt.UnixMilli()); err != nil {
			return setTagTaken(tx, err, tag)
		}
		tx.changed(t, event.SetTagChanged, int64(id), tag.ModifiedAt)
		return nil
	})
	return tag, err
}

// DeleteTag implements software.TagStore.
func (s Software) DeleteTag(ctx context.Context, t tenant.ID, id software.TagID, now time.Time) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		n, err := tx.affected(ctx, "DELETE FROM distribution_set_tag WHERE tenant_id = $1 AND id = $2", t, int64(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Missing("DistributionSetTag", int64(id))
		}
		tx.changed(t, event.SetTagDeleted, int64(id), now)
		return nil
	})
}

// TaggedSets implements software.TagStore.
func (s Software) TaggedSets(ctx context.Context, t tenant.ID, id software.TagID, l query.List) ([]software.Set, int, error) {
	if _, err := s.Tag(ctx, t, id); err != nil {
		return nil, 0, err
	}
	return s.sets(ctx, t, l, listing{
		columns: setColumns(), fields: setSelect, from: setFrom + " JOIN distribution_set_tagging st ON st.set_id = e.id",
		where: "e.tenant_id = $1 AND st.tag_id = $2 AND NOT e.deleted", args: []any{t, int64(id)},
	})
}

// TagSets implements software.TagStore.
func (s Software) TagSets(ctx context.Context, t tenant.ID, id software.TagID, sets []software.SetID, tagged bool, now time.Time, check func([]software.Set) error) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		if _, err := setTag(ctx, tx, t, id, tx.db.forUpdate); err != nil {
			return err
		}
		param := idList(sets)
		found, err := all(ctx, tx, scanSet, "SELECT "+setSelect+" FROM "+setFrom+" WHERE e.tenant_id = $1 AND "+tx.db.among("e.id", "$2")+" ORDER BY e.id", t, param)
		if err != nil {
			return err
		}
		if err := check(found); err != nil {
			return err
		}
		text := "DELETE FROM distribution_set_tagging WHERE tag_id = $1 AND set_id IN (SELECT i.id FROM " + tx.db.ids("$2", "i") + ") RETURNING set_id"
		if tagged {
			text = "INSERT INTO distribution_set_tagging (set_id, tag_id) SELECT DISTINCT i.id, CAST($1 AS bigint) FROM " + tx.db.ids("$2", "i") + " WHERE 1=1 ON CONFLICT DO NOTHING RETURNING set_id"
		}
		changed, err := all(ctx, tx, scalar[int64], text, int64(id), param)
		for _, set := range changed {
			tx.changed(t, event.SetChanged, set, now)
		}
		return err
	})
}
