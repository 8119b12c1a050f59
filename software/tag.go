package software

import (
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A Tag groups distribution sets.
type Tag struct {
	ID          TagID
	Name        string
	Description *string
	Colour      *string
	caller.Stamps
}

// TagChange is what can be changed of a tag; nil leaves something as it is.
type TagChange struct {
	Name        *string
	Description *string
	Colour      *string
}

// TagStore keeps tags of sets.
type TagStore interface {
	// Tags returns one page and how many there are in all.
	Tags(ctx context.Context, t tenant.ID, l query.List) ([]Tag, int, error)

	// Tag returns one, or fault.NotFound.
	Tag(ctx context.Context, t tenant.ID, id TagID) (*Tag, error)

	// CreateTags adds all or none, and sets their ids; fault.Exists when a name is taken.
	CreateTags(ctx context.Context, t tenant.ID, tags []Tag) error

	// UpdateTag lets change decide and saves the outcome. change may run more
	// than once. An outcome equal to what was there is not saved.
	UpdateTag(ctx context.Context, t tenant.ID, id TagID, change func(*Tag) error) (*Tag, error)

	// DeleteTag removes the tag from its sets and for good; fault.NotFound when
	// it is not there.
	DeleteTag(ctx context.Context, t tenant.ID, id TagID, now time.Time) error

	// TaggedSets returns one page of the sets with the tag, and how many have
	// it; fault.NotFound when there is no such tag.
	TaggedSets(ctx context.Context, t tenant.ID, id TagID, l query.List) ([]Set, int, error)

	// TagSets gives the sets the tag, or takes it away; what is so already
	// stays so. check sees those of the sets that exist, without their modules,
	// and may refuse. fault.NotFound when there is no such tag.
	TagSets(ctx context.Context, t tenant.ID, id TagID, sets []SetID, tagged bool, now time.Time, check func([]Set) error) error
}

// Tags lists tags.
func (s *Service) Tags(ctx context.Context, l query.List) ([]Tag, int, error) {
	return s.Store.Tags(ctx, caller.From(ctx).Tenant, l)
}

// Tag returns one tag.
func (s *Service) Tag(ctx context.Context, id TagID) (*Tag, error) {
	return s.Store.Tag(ctx, caller.From(ctx).Tenant, id)
}

// CreateTags adds tags, all or none, and sets their ids.
func (s *Service) CreateTags(ctx context.Context, tags []Tag) error {
	var v freetext.Violations
	for i := range tags {
		t, at := &tags[i], fmt.Sprintf("create.create[%d].", i)
		v.Text(at+"name", t.Name, 1, maxName)
		v.OptionalText(at+"description", t.Description, 0, maxDescription)
		v.OptionalText(at+"colour", t.Colour, 0, maxColour)
	}
	if err := v.Err(); err != nil {
		return err
	}
	for i := range tags {
		t := &tags[i]
		t.Name, t.Description, t.Colour = freetext.Trim(t.Name), trimmed(t.Description), trimmed(t.Colour)
		v.Length("name", t.Name, 1, maxName)
		t.Stamps = caller.Stamp(ctx, s.Now())
	}
	if err := v.Err(); err != nil {
		return err
	}
	return s.Store.CreateTags(ctx, caller.From(ctx).Tenant, tags)
}

// UpdateTag changes a tag.
func (s *Service) UpdateTag(ctx context.Context, id TagID, c TagChange) (*Tag, error) {
	var v freetext.Violations
	v.OptionalText("update.update.name", c.Name, 1, maxName)
	v.OptionalText("update.update.description", c.Description, 0, maxDescription)
	v.OptionalText("update.update.colour", c.Colour, 0, maxColour)
	if err := v.Err(); err != nil {
		return nil, err
	}
	c.Name = trimmed(c.Name)
	v.OptionalText("name", c.Name, 1, maxName)
	return s.Store.UpdateTag(ctx, caller.From(ctx).Tenant, id, func(t *Tag) error {
		if err := v.Err(); err != nil {
			return err
		}
		changed := setText(&t.Description, trimmed(c.Description))
		changed = setText(&t.Colour, trimmed(c.Colour)) || changed
		if c.Name != nil && *c.Name != t.Name {
			t.Name, changed = *c.Name, true
		}
		if changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteTag deletes a tag; its sets stay.
func (s *Service) DeleteTag(ctx context.Context, id TagID) error {
	err := s.Store.DeleteTag(ctx, caller.From(ctx).Tenant, id, s.Now())
	if fault.Is(err, fault.NotFound) {
		return missing("DistributionSetTag", decimal(id))
	}
	return err
}

// TaggedSets lists the sets that have a tag.
func (s *Service) TaggedSets(ctx context.Context, id TagID, l query.List) ([]Set, int, error) {
	return s.Store.TaggedSets(ctx, caller.From(ctx).Tenant, id, l)
}

// TagSets gives the sets a tag: all, or none when one of them is missing or
// deleted. Locked and invalid sets can be tagged.
func (s *Service) TagSets(ctx context.Context, id TagID, sets []SetID) error {
	if len(sets) == 0 {
		return fault.New(fault.Invalid, "assignTag.ids must not be empty.")
	}
	return s.tagSets(ctx, id, sets, true)
}

// UntagSets takes a tag away from the sets.
func (s *Service) UntagSets(ctx context.Context, id TagID, sets []SetID) error {
	if len(sets) == 0 {
		return fault.New(fault.Invalid, "unassignTag.ids must not be empty.")
	}
	return s.tagSets(ctx, id, sets, false)
}

func (s *Service) tagSets(ctx context.Context, id TagID, ids []SetID, tagged bool) error {
	return s.Store.TagSets(ctx, caller.From(ctx).Tenant, id, ids, tagged, s.Now(), func(found []Set) error {
		byID := make(map[SetID]*Set, len(found))
		for i := range found {
			byID[found[i].ID] = &found[i]
		}
		absent := []int64{}
		for _, set := range ids {
			if byID[set] == nil {
				absent = append(absent, int64(set))
			}
		}
		if len(absent) > 0 || len(found) != len(ids) { // twice the same id is answered like this, too
			err := fault.New(fault.NotFound, "There is no distribution set with one of the identifiers %v.", absent)
			err.Entity = &fault.Entity{Type: "DistributionSet", ID: absent}
			return err
		}
		for _, set := range ids {
			if byID[set].Deleted {
				return fault.SoftDeleted("DistributionSet", int64(set))
			}
		}
		return nil
	})
}
