package fleet

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// NewTarget is what a user makes a target of.
type NewTarget struct {
	ControllerID string
	Name         *string // nil or empty: the controller id, cut to MaxName
	Description  *string
	Token        *string // nil or empty: a new one
	Address      *string
	Type         *TargetTypeID
	Group        *string
}

// TargetChange is what a user can change of a target; nil leaves something as
// it is. The group has calls of its own.
type TargetChange struct {
	Name              *string
	Description       *string
	Token             *string
	Address           *string
	Type              *TargetTypeID // NoType takes it away
	RequestAttributes *bool         // only true can be wanted
}

// NoType in a TargetChange takes the target's type away.
const NoType TargetTypeID = -1

// TargetStore keeps targets.
type TargetStore interface {
	// Targets returns one page and how many there are in all.
	Targets(ctx context.Context, t tenant.ID, l query.List) ([]Target, int, error)

	// AssignedTargets and InstalledTargets return those that a set is assigned to
	// or installed on; fault.NotFound when there is no such set.
	AssignedTargets(ctx context.Context, t tenant.ID, id software.SetID, l query.List) ([]Target, int, error)
	InstalledTargets(ctx context.Context, t tenant.ID, id software.SetID, l query.List) ([]Target, int, error)

	// Target returns one, or fault.NotFound.
	Target(ctx context.Context, t tenant.ID, id ControllerID) (*Target, error)

	// Intervals returns for each target which of the overrides is the first to
	// match it, from 1; 0 for none.
	Intervals(ctx context.Context, t tenant.ID, ids []TargetID, overrides []tenant.PollingOverride, m query.Moment) (map[TargetID]int, error)

	// CreateTargets adds all or none, and sets their ids and their types' names;
	// fault.Exists when a controller id is taken, fault.NotFound when a type is
	// not there.
	CreateTargets(ctx context.Context, t tenant.ID, targets []Target) error

	// UpdateTarget lets change decide and saves the outcome, of which type and
	// texts are kept. change may run more than once. An outcome equal to what was
	// there is not saved. fault.NotFound when the target or its new type is not
	// there.
	UpdateTarget(ctx context.Context, t tenant.ID, id ControllerID, change func(*Target) error) (*Target, error)

	// DeleteTarget removes the target for good with its actions and all it has;
	// fault.NotFound when it is not there.
	DeleteTarget(ctx context.Context, t tenant.ID, id ControllerID, now time.Time) error

	// Attributes returns what the device says of itself; fault.NotFound when
	// there is no such target.
	Attributes(ctx context.Context, t tenant.ID, id ControllerID) (map[string]string, error)
}

// Targets lists targets.
func (s *Service) Targets(ctx context.Context, l query.List) ([]Target, int, error) {
	return s.list(ctx, l, s.Store.Targets)
}

// AssignedTargets lists the targets that a set is assigned to.
func (s *Service) AssignedTargets(ctx context.Context, id software.SetID, l query.List) ([]Target, int, error) {
	return s.list(ctx, l, func(ctx context.Context, t tenant.ID, l query.List) ([]Target, int, error) {
		return s.Store.AssignedTargets(ctx, t, id, l)
	})
}

// InstalledTargets lists the targets that a set is installed on.
func (s *Service) InstalledTargets(ctx context.Context, id software.SetID, l query.List) ([]Target, int, error) {
	return s.list(ctx, l, func(ctx context.Context, t tenant.ID, l query.List) ([]Target, int, error) {
		return s.Store.InstalledTargets(ctx, t, id, l)
	})
}

// TargetsBy lists targets that others know how to find: read gets the list with
// what placeholders in its filter stand for.
func (s *Service) TargetsBy(ctx context.Context, l query.List, read func(context.Context, query.List) ([]Target, int, error)) ([]Target, int, error) {
	return s.list(ctx, l, func(ctx context.Context, _ tenant.ID, l query.List) ([]Target, int, error) { return read(ctx, l) })
}

// list reads a page of targets, with what placeholders in the filter stand for,
// and completes the targets.
func (s *Service) list(ctx context.Context, l query.List, read func(context.Context, tenant.ID, query.List) ([]Target, int, error)) ([]Target, int, error) {
	settings, err := s.Tenants.Settings(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return nil, 0, err
	}
	l.Moment = s.moment(settings)
	if asksForVisits(l) {
		if err := s.Visits.Flush(ctx); err != nil {
			return nil, 0, fmt.Errorf("save check-ins: %w", err)
		}
	}
	page, total, err := read(ctx, caller.From(ctx).Tenant, l)
	if err != nil {
		return nil, 0, err
	}
	return page, total, s.complete(ctx, settings, page)
}

// asksForVisits reports whether a list depends on when targets were last seen,
// so that what was noted must be saved first.
func asksForVisits(l query.List) bool {
	const field = "lastcontrollerrequestat"
	return slices.ContainsFunc(l.Sort, func(o query.Order) bool { return o.Field == field }) || l.Filter != nil && mentions(l.Filter, field)
}

// mentions reports whether a filter asks about the field.
func mentions(n query.Node, field string) bool {
	within := func(t query.Node) bool { return mentions(t, field) }
	switch n := n.(type) {
	case query.And:
		return slices.ContainsFunc(n, within)
	case query.Or:
		return slices.ContainsFunc(n, within)
	case query.Comparison:
		return n.Field == field
	}
	return false
}

// moment is what placeholders stand for now.
func (s *Service) moment(settings *tenant.Settings) query.Moment {
	now := s.Now()
	return query.Moment{Now: now.UnixMilli(), OverdueBefore: settings.OverdueSince(now).UnixMilli()}
}

// complete adds what is known of targets besides what is stored with them: a
// check-in that is not saved yet, and how their polls stand.
func (s *Service) complete(ctx context.Context, settings *tenant.Settings, targets []Target) error {
	var seen []TargetID
	for i := range targets {
		t := &targets[i]
		if at, ok := s.Visits.SeenAt(t.ID); ok && at.After(t.SeenAt) {
			t.SeenAt = at
		}
		if !t.SeenAt.IsZero() {
			seen = append(seen, t.ID)
		}
	}
	var intervals map[TargetID]int
	if overrides := settings.Polling.Overrides; len(overrides) > 0 && len(seen) > 0 {
		var err error
		if intervals, err = s.Store.Intervals(ctx, caller.From(ctx).Tenant, seen, overrides, s.moment(settings)); err != nil {
			return fmt.Errorf("choose polling intervals: %w", err)
		}
	}
	now := s.Now()
	for i := range targets {
		t := &targets[i]
		if t.SeenAt.IsZero() {
			continue
		}
		interval := settings.Polling.At(intervals[t.ID])
		t.Poll = &PollStatus{
			Last:    t.SeenAt,
			Next:    interval.NextExpected(t.SeenAt),
			Overdue: interval.Overdue(t.SeenAt, now, settings.OverdueAfter),
		}
	}
	return nil
}

// Target returns one target.
func (s *Service) Target(ctx context.Context, id ControllerID) (*Target, error) {
	t, err := s.Store.Target(ctx, caller.From(ctx).Tenant, id)
	if err != nil {
		return nil, err
	}
	return s.completed(ctx, t)
}

// completed is complete for one target.
func (s *Service) completed(ctx context.Context, t *Target) (*Target, error) {
	settings, err := s.Tenants.Settings(ctx, caller.From(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	one := []Target{*t}
	if err := s.complete(ctx, settings, one); err != nil {
		return nil, err
	}
	return &one[0], nil
}

// CreateTargets adds targets, all or none.
func (s *Service) CreateTargets(ctx context.Context, list []NewTarget) ([]Target, error) {
	var v freetext.Violations
	for i := range list {
		n, at := &list[i], fmt.Sprintf("create.create[%d].", i)
		v.Text(at+"controllerId", n.ControllerID, 1, MaxControllerID)
		v.OptionalText(at+"name", n.Name, 0, MaxName)
		v.OptionalText(at+"description", n.Description, 0, MaxDescription)
		v.OptionalText(at+"securityToken", n.Token, 0, MaxToken)
		v.OptionalText(at+"group", n.Group, 0, math.MaxInt) // its length is checked like that of a group that is given later
		checkAddress(&v, at+"address", n.Address)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	targets := make([]Target, len(list))
	for i := range list {
		n := &list[i]
		id := freetext.Trim(n.ControllerID)
		v.Length("controllerId", id, 1, MaxControllerID)
		v.NoSpace("controllerId", id)
		t := Target{
			ControllerID: ControllerID(id), Name: cut(id, MaxName), Description: trimmed(n.Description), Address: trimmed(n.Address), Group: trimmed(n.Group),
			RequestAttributes: true, Stamps: caller.Stamp(ctx, s.Now()),
		}
		if n.Name != nil && *n.Name != "" {
			t.Name = freetext.Trim(*n.Name)
			v.Length("name", t.Name, 1, MaxName)
		}
		if n.Token != nil && *n.Token != "" {
			t.Token = freetext.Trim(*n.Token)
			v.Length("securityToken", t.Token, 1, MaxToken)
		} else {
			t.Token = s.NewToken()
		}
		if err := checkGroup(t.Group); err != nil {
			return nil, err
		}
		if n.Type != nil {
			t.Type = *n.Type
			if t.Type <= 0 { // which would mean none from here on
				return nil, fault.Missing("TargetType", int64(t.Type))
			}
		}
		targets[i] = t
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := s.Store.CreateTargets(ctx, caller.From(ctx).Tenant, targets); err != nil {
		return nil, err
	}
	return targets, nil
}

// cut returns the first n characters of a text.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n])
	}
	return text
}

// checkAddress demands a length alone: an address is any text, and need be no URI.
func checkAddress(v *freetext.Violations, path string, address *string) {
	if address != nil {
		v.Length(path, *address, 0, MaxAddress)
	}
}

// UpdateTarget changes a target.
func (s *Service) UpdateTarget(ctx context.Context, id ControllerID, c TargetChange) (*Target, error) {
	var v freetext.Violations
	v.OptionalText("update.update.name", c.Name, 1, MaxName)
	v.OptionalText("update.update.description", c.Description, 0, MaxDescription)
	v.OptionalText("update.update.securityToken", c.Token, 1, MaxToken)
	checkAddress(&v, "update.update.address", c.Address)
	if err := v.Err(); err != nil {
		return nil, err
	}
	c.Name, c.Token = trimmed(c.Name), trimmed(c.Token)
	v.OptionalText("name", c.Name, 1, MaxName)
	v.OptionalText("securityToken", c.Token, 1, MaxToken)
	unknown := c.Type != nil && *c.Type <= 0 && *c.Type != NoType
	if c.Type != nil && *c.Type == NoType {
		c.Type = new(TargetTypeID)
	}
	t, err := s.Store.UpdateTarget(ctx, caller.From(ctx).Tenant, id, func(t *Target) error {
		if err := v.Err(); err != nil {
			return err
		}
		if unknown {
			return fault.Missing("TargetType", int64(*c.Type))
		}
		changed := set(&t.Name, c.Name)
		changed = setText(&t.Description, trimmed(c.Description)) || changed
		changed = set(&t.Token, c.Token) || changed
		changed = setText(&t.Address, trimmed(c.Address)) || changed
		changed = set(&t.Type, c.Type) || changed
		changed = set(&t.RequestAttributes, c.RequestAttributes) || changed
		if changed {
			t.Touch(ctx, s.Now())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.completed(ctx, t)
}

// SetType gives a target a type, or takes it away with NoType. The set that is
// assigned to it stays, whether or not it fits.
func (s *Service) SetType(ctx context.Context, id ControllerID, typ TargetTypeID) error {
	_, err := s.UpdateTarget(ctx, id, TargetChange{Type: &typ})
	return err
}

// DeleteTarget deletes a target for good. Its actions vanish with it, and its
// device becomes a stranger.
func (s *Service) DeleteTarget(ctx context.Context, id ControllerID) error {
	return s.Store.DeleteTarget(ctx, caller.From(ctx).Tenant, id, s.Now())
}

// Attributes returns what a device says of itself.
func (s *Service) Attributes(ctx context.Context, id ControllerID) (map[string]string, error) {
	return s.Store.Attributes(ctx, caller.From(ctx).Tenant, id)
}

// Host is the part of the target's address that names the device; empty when
// the address is no URI with a host, or leads to a queue (management-api 2.2).
func (t *Target) Host() string {
	if t.Address == nil {
		return ""
	}
	return hostOf(*t.Address)
}

// hostOf finds scheme://[user@]host[:port][/…].
func hostOf(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || scheme == "" || strings.EqualFold(scheme, "amqp") || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"<>\^{|}`+"`", r) }) {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	if strings.HasPrefix(rest, "[") { // IPv6, with its brackets
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return ""
		}
		return rest[:end+1]
	}
	host, _, _ := strings.Cut(rest, ":")
	return host
}
