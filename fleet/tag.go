package fleet

import (
	"context"
	"fmt"
	"slices"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// A Tag marks targets.
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

// Absent says what becomes of a list of targets some of which are not there.
type Absent int

// What can become of it.
const (
	AbsentFails           Absent = iota // nothing is changed
	AbsentFailsAfterwards               // those that are there are changed, and the call fails all the same
	AbsentIsIgnored                     // those that are there are changed
)

// TagStore keeps tags of targets.
type TagStore interface {
	// Tags returns one page and how many there are in all.
	Tags(ctx context.Context, t tenant.ID, l query.List) ([]Tag, int, error)

	// Tag returns one, or fault.NotFound.
	Tag(ctx context.Context, t tenant.ID, id TagID) (*Tag, error)

	// TagsOf returns the tags of a target in order of id; fault.NotFound when
	// there is no such target.
	TagsOf(ctx context.Context, t tenant.ID, id ControllerID) ([]Tag, error)

	// CreateTags adds all or none, and sets their ids; fault.Exists when a name is taken.
	CreateTags(ctx context.Context, t tenant.ID, tags []Tag) error

	// UpdateTag lets change decide and saves the outcome. change may run more
	// than once. An outcome equal to what was there is not saved.
	UpdateTag(ctx context.Context, t tenant.ID, id TagID, change func(*Tag) error) (*Tag, error)

	// DeleteTag removes the tag from its targets and for good; fault.NotFound
	// when it is not there.
	DeleteTag(ctx context.Context, t tenant.ID, id TagID, by caller.Stamps) error

	// TaggedTargets returns one page of the targets with the tag, and how many
	// have it; fault.NotFound when there is no such tag.
	TaggedTargets(ctx context.Context, t tenant.ID, id TagID, l query.List) ([]Target, int, error)

	// TagTargets gives those of the targets that exist the tag, or takes it away;
	// what is so already stays so. check sees which of them exist and may refuse;
	// it may run more than once. fault.NotFound when there is no such tag.
	TagTargets(ctx context.Context, t tenant.ID, id TagID, targets []ControllerID, tagged bool, by caller.Stamps, check func(found []ControllerID) error) error
}

// Tags lists tags.
func (s *Service) Tags(ctx context.Context, l query.List) ([]Tag, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.Tags(ctx, caller.From(ctx).Tenant, l)
}

// Tag returns one tag.
func (s *Service) Tag(ctx context.Context, id TagID) (*Tag, error) {
	return s.Store.Tag(ctx, caller.From(ctx).Tenant, id)
}

// TagsOf returns the tags of a target.
func (s *Service) TagsOf(ctx context.Context, id ControllerID) ([]Tag, error) {
	return s.Store.TagsOf(ctx, caller.From(ctx).Tenant, id)
}

// CreateTags adds tags, all or none, and sets their ids.
func (s *Service) CreateTags(ctx context.Context, tags []Tag) error {
	var v freetext.Violations
	for i := range tags {
		t, at := &tags[i], fmt.Sprintf("create.create[%d].", i)
		v.Text(at+"name", t.Name, 1, MaxName)
		v.OptionalText(at+"description", t.Description, 0, MaxDescription)
		v.OptionalText(at+"colour", t.Colour, 0, maxColour)
	}
	if err := v.Err(); err != nil {
		return err
	}
	for i := range tags {
		t := &tags[i]
		t.Name, t.Description, t.Colour = freetext.Trim(t.Name), trimmed(t.Description), trimmed(t.Colour)
		v.Length("name", t.Name, 1, MaxName)
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
	v.OptionalText("update.update.name", c.Name, 1, MaxName)
	v.OptionalText("update.update.description", c.Description, 0, MaxDescription)
	v.OptionalText("update.update.colour", c.Colour, 0, maxColour)
	if err := v.Err(); err != nil {
		return nil, err
	}
	c.Name = trimmed(c.Name)
	v.OptionalText("name", c.Name, 1, MaxName)
	return s.Store.UpdateTag(ctx, caller.From(ctx).Tenant, id, func(t *Tag) error {
		if err := v.Err(); err != nil {
			return err
		}
		changed := set(&t.Name, c.Name)
		changed = setText(&t.Description, trimmed(c.Description)) || changed
		changed = setText(&t.Colour, trimmed(c.Colour)) || changed
		if changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
}

// DeleteTag deletes a tag; its targets stay.
func (s *Service) DeleteTag(ctx context.Context, id TagID) error {
	return s.Store.DeleteTag(ctx, caller.From(ctx).Tenant, id, caller.Stamp(ctx, s.Now()))
}

// TaggedTargets lists the targets that have a tag.
func (s *Service) TaggedTargets(ctx context.Context, id TagID, l query.List) ([]Target, int, error) {
	return s.list(ctx, l, func(ctx context.Context, t tenant.ID, l query.List) ([]Target, int, error) {
		return s.Store.TaggedTargets(ctx, t, id, l)
	})
}

// TagTarget gives one target a tag.
func (s *Service) TagTarget(ctx context.Context, id TagID, target ControllerID) error {
	return s.tagTargets(ctx, id, []ControllerID{target}, true, AbsentFails)
}

// UntagTarget takes a tag from one target.
func (s *Service) UntagTarget(ctx context.Context, id TagID, target ControllerID) error {
	return s.tagTargets(ctx, id, []ControllerID{target}, false, AbsentFails)
}

// TagTargets gives targets a tag.
func (s *Service) TagTargets(ctx context.Context, id TagID, targets []ControllerID, a Absent) error {
	if len(targets) == 0 {
		return fault.New(fault.Invalid, "assignTag.controllerIds must not be empty.")
	}
	return s.tagTargets(ctx, id, targets, true, a)
}

// UntagTargets takes a tag from targets.
func (s *Service) UntagTargets(ctx context.Context, id TagID, targets []ControllerID, a Absent) error {
	if len(targets) == 0 {
		return fault.New(fault.Invalid, "unassignTag.controllerIds must not be empty.")
	}
	return s.tagTargets(ctx, id, targets, false, a)
}

func (s *Service) tagTargets(ctx context.Context, id TagID, targets []ControllerID, tagged bool, a Absent) error {
	var afterwards error
	err := s.Store.TagTargets(ctx, caller.From(ctx).Tenant, id, targets, tagged, caller.Stamp(ctx, s.Now()), func(found []ControllerID) error {
		afterwards = nil
		there := make(map[ControllerID]bool, len(found))
		for _, f := range found {
			there[f] = true
		}
		absent := slices.DeleteFunc(slices.Clone(targets), func(c ControllerID) bool { return there[c] })
		twice := len(found)+len(absent) != len(targets)
		switch {
		case a == AbsentFails && (len(absent) > 0 || twice):
			return missingTargets(absent)
		case a == AbsentFailsAfterwards && len(absent) > 0:
			afterwards = missingTargets(absent)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return afterwards
}
