package rollout

import (
	"context"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// FilterID is the key of a saved filter, unique over all tenants.
type FilterID int64

// TargetFilter is a filter of targets that was saved under a name. No relation to
// an auto-assignment is kept: the two belong together while name and query are
// equal (update-domain 1.3).
type TargetFilter struct {
	ID    FilterID
	Name  string
	Query string
	caller.Stamps

	// Namesake is the auto-assignment of the same name, whatever its query; nil:
	// none. See Linked.
	Namesake *AutoAssignment
}

// Linked returns the auto-assignment that belongs to the filter, or nil.
func (f *TargetFilter) Linked() *AutoAssignment {
	if f.Namesake == nil || f.Namesake.Name != f.Name || f.Namesake.Filter != f.Query {
		return nil
	}
	return f.Namesake
}

// Assign puts the auto-assignment in the place of the one that belongs to the
// filter. One of the same name that does not belong to it keeps its place.
func (f *TargetFilter) Assign(a *AutoAssignment) error {
	if f.Namesake != nil && f.Linked() == nil {
		return fault.New(fault.Exists, "There is an auto-assignment %q with another query: change or delete that one first.", f.Name)
	}
	f.Namesake = a
	return nil
}

// Change renames the filter or gives it another query. The auto-assignment that
// belongs to it follows: by a new name it goes on, by a new query it begins anew.
// Begin makes it ready for that and is called in that case alone.
func (f *TargetFilter) Change(name, text *string, begin func(*AutoAssignment) error) (changed bool, err error) {
	linked := f.Linked()
	before := *f
	if name != nil {
		f.Name = *name
	}
	if text != nil {
		f.Query = *text
	}
	if f.Name == before.Name && f.Query == before.Query {
		return false, nil
	}
	if linked == nil {
		return true, nil
	}
	next := *linked
	next.Name, next.Filter = f.Name, f.Query
	if f.Query != before.Query {
		next.ID, next.StartAt, next.ApprovalBy, next.ApprovalRemark, next.Waiting = 0, nil, nil, nil, ""
		if err := begin(&next); err != nil {
			return false, err
		}
	}
	f.Namesake = &next
	return true, nil
}

// TargetFilterStore keeps saved filters. What is not there is fault.NotFound.
type TargetFilterStore interface {
	// TargetFilters lists filters with what belongs to them. The total takes no
	// notice of the list's filter (a surprise of the contract).
	TargetFilters(ctx context.Context, t tenant.ID, l query.List) ([]TargetFilter, int, error)
	TargetFilter(ctx context.Context, t tenant.ID, id FilterID) (*TargetFilter, error)

	// TargetFiltersOf lists the filters to which auto-assignments of the set
	// belong. List and total are those of the auto-assignments; one without a
	// filter is left out of the page.
	TargetFiltersOf(ctx context.Context, t tenant.ID, set software.SetID, l query.List) ([]TargetFilter, int, error)

	// CreateTargetFilter keeps one and sets its id. fault.Exists when the name is
	// taken.
	CreateTargetFilter(ctx context.Context, t tenant.ID, f *TargetFilter) error

	// UpdateTargetFilter lets change decide on a filter with its namesake, and
	// saves both: a namesake without an id takes the place of the one before, whose
	// set has to suit and is locked with lock, and none removes it. change may run
	// more than once. fault.Exists when a name is taken.
	UpdateTargetFilter(ctx context.Context, t tenant.ID, id FilterID, now time.Time, lock bool, change func(*TargetFilter) error) (*TargetFilter, error)

	// DeleteTargetFilter removes a filter and the auto-assignment that belongs to
	// it.
	DeleteTargetFilter(ctx context.Context, t tenant.ID, id FilterID, now time.Time) error
}

// TargetFilters lists saved filters.
func (s *Service) TargetFilters(ctx context.Context, l query.List) ([]TargetFilter, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.TargetFilters(ctx, caller.From(ctx).Tenant, l)
}

// TargetFilter returns one.
func (s *Service) TargetFilter(ctx context.Context, id FilterID) (*TargetFilter, error) {
	return s.Store.TargetFilter(ctx, caller.From(ctx).Tenant, id)
}

// TargetFiltersOf lists the filters to which auto-assignments of a set belong.
func (s *Service) TargetFiltersOf(ctx context.Context, set software.SetID, l query.List) ([]TargetFilter, int, error) {
	l.Moment = query.Moment{Now: s.Now().UnixMilli()}
	return s.Store.TargetFiltersOf(ctx, caller.From(ctx).Tenant, set, l)
}

// checkTargetFilter holds what is said of a filter to its rules.
func checkTargetFilter(name, text *string) error {
	var v freetext.Violations
	if name != nil {
		v.Text("name", *name, 1, MaxName)
		if *name != "" && freetext.Trim(*name) == "" {
			v.Add("name", "must not be blank")
		}
	}
	if text != nil {
		v.Text("query", *text, 1, MaxFilter)
	}
	if err := v.Err(); err != nil || text == nil {
		return err
	}
	_, err := query.Parse(*text, fleet.TargetFields())
	return err
}

// CreateTargetFilter saves a filter.
func (s *Service) CreateTargetFilter(ctx context.Context, name, text string) (*TargetFilter, error) {
	if err := checkTargetFilter(&name, &text); err != nil {
		return nil, err
	}
	f := &TargetFilter{Name: freetext.Trim(name), Query: freetext.Trim(text), Stamps: caller.Stamp(ctx, s.Now())}
	return f, s.Store.CreateTargetFilter(ctx, caller.From(ctx).Tenant, f)
}

// UpdateTargetFilter renames a filter or gives it another query; nil leaves a
// text as it is. What belongs to it follows: see TargetFilter.Change.
func (s *Service) UpdateTargetFilter(ctx context.Context, id FilterID, name, text *string) (*TargetFilter, error) {
	f, err := s.TargetFilter(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := checkTargetFilter(name, text); err != nil {
		return nil, err
	}
	name, text = trimmed(name), trimmed(text)
	// What the auto-assignment would be with the other query is checked outside of
	// the transaction: it counts targets.
	var fresh *AutoAssignment
	lock := false
	if linked := f.Linked(); linked != nil && text != nil && *text != f.Query {
		var none freetext.Violations
		if fresh, lock, err = s.plan(ctx, Rule{Name: f.Name, Filter: *text, Set: linked.Set, Type: linked.Type}, &none); err != nil {
			return nil, err
		}
	}
	return s.Store.UpdateTargetFilter(ctx, caller.From(ctx).Tenant, id, s.Now(), lock, func(f *TargetFilter) error {
		changed, err := f.Change(name, text, func(a *AutoAssignment) error {
			if fresh == nil || fresh.Set != a.Set {
				return fault.New(fault.ConcurrentChange, "The filter was assigned another distribution set meanwhile; please retry.")
			}
			a.Status = fresh.Status
			a.CreatedAt, a.ModifiedAt, a.ModifiedBy = fresh.CreatedAt, fresh.ModifiedAt, fresh.ModifiedBy
			return nil
		})
		if err != nil || !changed {
			return err
		}
		f.Touch(ctx, s.Now())
		if linked := f.Linked(); linked != nil {
			linked.Touch(ctx, s.Now())
		}
		return nil
	})
}

func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	text := freetext.Trim(*s)
	return &text
}

// DeleteTargetFilter removes a filter and what belongs to it.
func (s *Service) DeleteTargetFilter(ctx context.Context, id FilterID) error {
	return s.Store.DeleteTargetFilter(ctx, caller.From(ctx).Tenant, id, s.Now())
}

// AssignByFilter lets the filter assign a set from now on, in the place of what
// it assigned before. Of the rule, name and filter are the filter's.
func (s *Service) AssignByFilter(ctx context.Context, id FilterID, r Rule) (*TargetFilter, error) {
	f, err := s.TargetFilter(ctx, id)
	if err != nil {
		return nil, err
	}
	r.Name, r.Filter = f.Name, f.Query
	var v freetext.Violations
	a, lock, err := s.plan(ctx, r, &v)
	if err != nil {
		return nil, err
	}
	return s.Store.UpdateTargetFilter(ctx, caller.From(ctx).Tenant, id, s.Now(), lock, func(f *TargetFilter) error {
		if f.Name != a.Name || f.Query != a.Filter {
			return fault.New(fault.ConcurrentChange, "The filter was changed meanwhile; please retry.")
		}
		fresh := *a
		return f.Assign(&fresh)
	})
}

// UnassignFilter removes the auto-assignment of the filter's name, also one with
// another query (a surprise of the contract). None is no error.
func (s *Service) UnassignFilter(ctx context.Context, id FilterID) error {
	_, err := s.Store.UpdateTargetFilter(ctx, caller.From(ctx).Tenant, id, s.Now(), false, func(f *TargetFilter) error {
		f.Namesake = nil
		return nil
	})
	return err
}
