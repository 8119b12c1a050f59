package deployment

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Consent says whether the device, or a user in its place, is asked before an
// update. It matters only while the tenant's confirmation flow is on.
type Consent int

// The ways to ask.
const (
	ConsentByFlow Consent = iota // as the tenant's flow says
	ConsentAsked
	ConsentGiven // whoever assigns consents, too
)

// MaxWeight is the largest weight of an action; the smallest is 0.
const MaxWeight = 1000

// An Order asks for one set to be brought to one target.
type Order struct {
	Target   fleet.ControllerID
	Set      software.SetID
	Type     Type
	ForcedAt time.Time // of TimeForced; zero: at once
	Weight   int
	Window   Window // zero: none
	Consent  Consent
}

// Assigned is the outcome of an assignment.
type Assigned struct {
	New     []NewAction // in the order of the request
	Already int         // targets that exist and got no action
}

// NewAction is an action that an assignment made.
type NewAction struct {
	ID     ActionID
	Target fleet.ControllerID
}

// AssignStore makes actions.
type AssignStore interface {
	// Assign reads what a.Decide asks for, lets it decide, and carries its
	// verdict out, all in one transaction and by a fixed number of statements:
	// what the targets were to do is called off or closed, the new actions stand
	// with their first entries, and each target's event is recorded. It returns
	// the new actions in the order of a.Orders. Decide may run more than once.
	Assign(ctx context.Context, t tenant.ID, a *Assignment) (*Assigned, error)

	// SetByName returns the id of the set with exactly this name and version,
	// the newest one where several types have it, or fault.NotFound.
	SetByName(ctx context.Context, t tenant.ID, name, version string) (software.SetID, error)
}

// AssignSet assigns one set to targets (update-domain 3.2; offline: 3.3).
// Targets that do not exist are left out.
func (s *Service) AssignSet(ctx context.Context, set software.SetID, orders []Order, offline bool) (*Assigned, error) {
	for i := range orders {
		orders[i].Set = set
	}
	return s.assign(ctx, orders, offline, false)
}

// AssignTarget assigns to one target. Orders for more than one set are refused;
// so is a target that does not exist, unless the assignment is offline.
func (s *Service) AssignTarget(ctx context.Context, target fleet.ControllerID, orders []Order, offline bool) (*Assigned, error) {
	for i := range orders {
		orders[i].Target = target
	}
	return s.assign(ctx, orders, offline, !offline)
}

func (s *Service) assign(ctx context.Context, orders []Order, offline, strict bool) (*Assigned, error) {
	if len(orders) == 0 {
		if offline {
			return &Assigned{}, nil
		}
		return nil, fault.New(fault.Invalid, "assignDistributionSets.deploymentRequests must not be empty: name at least one target and one distribution set.")
	}
	orders, err := s.settle(orders, offline)
	if err != nil {
		return nil, err
	}
	me := caller.From(ctx)
	settings, err := s.Tenants.Settings(ctx, me.Tenant)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	a := &Assignment{
		Set:         orders[0].Set,
		Orders:      orders,
		Offline:     offline,
		Strict:      strict,
		Stamps:      caller.Stamp(ctx, now),
		InitiatedBy: me.User,
		Text:        "Assignment initiated by user '" + me.User + "'",
		Policy:      PolicyOf(settings, s.Quotas),
	}
	return s.Store.Assign(ctx, me.Tenant, a)
}

// settle checks the orders, puts in what is not given, and leaves one for each target.
func (s *Service) settle(orders []Order, offline bool) ([]Order, error) {
	kept := make([]Order, 0, len(orders))
	wish := make(map[fleet.ControllerID]Order, len(orders))
	for i, o := range orders {
		if o.Weight < 0 || o.Weight > MaxWeight {
			return nil, fault.New(fault.Invalid, "assignDistributionSets.deploymentRequests[%d].targetWithActionType.weight must be between 0 and %d.", i, MaxWeight)
		}
		if offline { // what is installed already is forced, and takes nothing else
			o = Order{Target: o.Target, Set: o.Set, Weight: DefaultWeight}
		}
		if err := o.Window.Validate(s.Now()); err != nil {
			return nil, err
		}
		if o.Type != TimeForced {
			o.ForcedAt = time.Time{}
		}
		switch before, twice := wish[o.Target]; {
		case !twice:
			wish[o.Target] = o
			kept = append(kept, o)
		case before != o:
			return nil, fault.New(fault.ConflictingOrders, "Target %s is named with two distribution sets or two sets of options; a target takes one at a time.", o.Target)
		}
	}
	if most := s.Quotas.TargetsPerRequest; most > 0 && len(kept) > most {
		return nil, fault.New(fault.Quota, "Quota exceeded: Cannot assign %d entities at once. The maximum is %d.", len(kept), most)
	}
	return kept, nil
}

// Policy is what the tenant's settings and the server's quotas say about
// assignments.
type Policy struct {
	Flow         bool // devices are asked for consent
	Autoclose    bool // older actions are closed, without telling the device
	ImplicitLock bool // what is assigned cannot change any more
	MaxActions   int  // per target, with history; not positive: no limit
	PurgePercent int  // of MaxActions, removed when a target has that many; outside 1 to 99: none
}

// PolicyOf is the policy of a tenant with these settings.
func PolicyOf(t *tenant.Settings, q tenant.Quotas) Policy {
	return Policy{
		Flow:         t.ConfirmationFlow,
		Autoclose:    t.AutoClose,
		ImplicitLock: t.ImplicitLock,
		MaxActions:   q.ActionsPerTarget,
		PurgePercent: t.OnQuotaHitPercent,
	}
}

// ReportInstalled takes a device's word that it runs the set (device-apis row
// 11): an offline assignment whose maker is the device. It reports whether
// there was something to record.
func (s *Service) ReportInstalled(ctx context.Context, target fleet.ControllerID, name, version string) (bool, error) {
	me := caller.From(ctx)
	set, err := s.Store.SetByName(ctx, me.Tenant, name, version)
	if err != nil {
		return false, err
	}
	settings, err := s.Tenants.Settings(ctx, me.Tenant)
	if err != nil {
		return false, err
	}
	user := string(target)
	if len([]rune(user)) > 64 {
		user = string([]rune(user)[:64])
	}
	now := s.Now()
	made, err := s.Store.Assign(ctx, me.Tenant, &Assignment{
		Set:         set,
		Orders:      []Order{{Target: target, Set: set, Weight: DefaultWeight}},
		Offline:     true,
		Strict:      true,
		Stamps:      caller.Stamps{CreatedBy: user, CreatedAt: now, ModifiedBy: user, ModifiedAt: now},
		InitiatedBy: user,
		Text:        "Assignment initiated by user '" + string(target) + "'",
		Policy:      PolicyOf(settings, s.Quotas),
	})
	if err != nil {
		return false, err
	}
	return len(made.New) > 0, nil
}

// An Assignment is everything that is known of an assignment before the
// database is read. Its rules are those of update-domain 3.2 and 3.3.
type Assignment struct {
	Set     software.SetID
	Orders  []Order // one per target
	Offline bool    // it happened already
	Strict  bool    // a target that does not exist is an error
	Policy

	caller.Stamps
	InitiatedBy string
	Text        string // begins the history of each action: who, or what, assigned
}

// SetFacts is what Decide needs to know of the set.
type SetFacts struct {
	ID       software.SetID
	TypeKey  string
	TypeName string
	Valid    bool
	Complete bool
	Deleted  bool
	Locked   bool
	Unlocked bool // a tag keeps it from being locked implicitly
}

// Candidate is what Decide needs to know of a target.
type Candidate struct {
	Order       int // its place in Orders
	Target      fleet.TargetID
	Status      fleet.Status
	Assigned    software.SetID
	Misfit      string // name of the target's type, where that does not take the set's type
	AutoConfirm *fleet.AutoConfirm
	Actions     int // how many it has; only read when there are at least MaxActions
}

// SkipLockTags are the tags that keep a set from being locked by an assignment.
func SkipLockTags() []string {
	return []string{"skip-implicit-lock", "skip_implicit_lock", "SKIP_IMPLICIT_LOCK", "SKIP-IMPLICIT-LOCK"}
}

// A Verdict says what an assignment comes to.
type Verdict struct {
	Start   []Start
	Already int
	Lock    bool // lock the set and its modules
	Purge   []Purge
}

// A Purge removes a target's oldest actions, whatever they are at.
type Purge struct {
	Target fleet.TargetID
	N      int
}

// A Start is an action to make.
type Start struct {
	Candidate
	Status Status   // of the action; it is active unless this is Finished
	Entry  Status   // of the first entry of its history
	Says   []string // messages of that entry
}

// Suits checks that the set may be assigned at all.
func (f SetFacts) Suits() error {
	switch {
	case f.Deleted:
		return fault.SoftDeleted("DistributionSet", int64(f.ID))
	case !f.Valid:
		return fault.New(fault.SetInvalid, "The distribution set %d of type %s was invalidated; it cannot be assigned any more.", f.ID, f.TypeKey)
	case !f.Complete:
		return fault.New(fault.SetIncomplete, "The distribution set %d of type %s is incomplete: it lacks a mandatory module, or one of its modules lacks artifacts.", f.ID, f.TypeKey)
	}
	return nil
}

// Decide says what becomes of each candidate: those of the orders' targets that
// exist, in any order.
func (a *Assignment) Decide(set SetFacts, candidates []Candidate) (*Verdict, error) {
	if err := set.Suits(); err != nil {
		return nil, err
	}
	v := &Verdict{Lock: a.ImplicitLock && !set.Unlocked}
	if err := a.quota(candidates, v); err != nil {
		return nil, err
	}
	var misfits []string
	for _, c := range candidates {
		if c.Misfit != "" && !slices.Contains(misfits, c.Misfit) {
			misfits = append(misfits, c.Misfit)
		}
	}
	if len(misfits) > 0 {
		slices.Sort(misfits)
		return nil, fault.New(fault.TypeIncompatible, "Targets of types [%s] are not compatible with distribution sets of type %s; nothing was assigned.", strings.Join(misfits, ", "), set.TypeName)
	}
	slices.SortFunc(candidates, func(x, y Candidate) int { return x.Order - y.Order })
	for _, c := range candidates {
		if c.Assigned == a.Set || a.Offline && c.Status == fleet.StatusPending {
			v.Already++
			continue
		}
		v.Start = append(v.Start, a.start(c))
	}
	return v, nil
}

// Spare is how many actions go of a target that has as many as it may; 0: it
// takes no more.
func (p Policy) Spare() int {
	if p.PurgePercent >= 1 && p.PurgePercent <= 99 {
		return p.MaxActions * p.PurgePercent / 100
	}
	return 0
}

func (a *Assignment) quota(candidates []Candidate, v *Verdict) error {
	if a.MaxActions <= 0 {
		return nil
	}
	spare := a.Spare()
	for _, c := range candidates {
		if c.Actions < a.MaxActions {
			continue
		}
		if spare == 0 {
			return fault.New(fault.Quota, "Quota exceeded: Cannot assign 1 more Action entities to Target '%s'. The maximum is %d.", a.Orders[c.Order].Target, a.MaxActions)
		}
		v.Purge = append(v.Purge, Purge{c.Target, c.Actions - a.MaxActions + spare})
	}
	return nil
}

// start makes the action with its first entry (update-domain 2.1).
func (a *Assignment) start(c Candidate) Start {
	s := Start{Candidate: c, Status: Running, Entry: Running, Says: []string{a.Text}}
	switch {
	case a.Offline:
		s.Status, s.Entry = Finished, Finished
		s.Says = append(s.Says, ServerPrefix+"Action reported as offline deployment")
	default:
		var second string
		if s.Status, s.Entry, second = Opening(a.Flow, a.Orders[c.Order].Consent, c.AutoConfirm); second != "" {
			s.Says = append(s.Says, second)
		}
	}
	return s
}

// Opening says how an action starts that a device is to carry out, and what its
// first entry is; with the flow on, the entry has a second message.
func Opening(flow bool, c Consent, ac *fleet.AutoConfirm) (status, entry Status, says string) {
	switch {
	case !flow:
		return Running, Running, ""
	case ac != nil:
		return Running, WaitForConfirmation, AutoConfirmText(*ac)
	case c == ConsentGiven:
		return Running, WaitForConfirmation, "Consent is not required: whoever assigned gave it."
	}
	return WaitForConfirmation, WaitForConfirmation, "The update waits for the device's consent."
}

// Superseded tells why an older action ends.
func Superseded(by software.SetID, closed bool) string {
	if closed {
		return ServerPrefix + "Closed, because distribution set " + strconv.FormatInt(int64(by), 10) + " was assigned."
	}
	return ServerPrefix + "Canceled, because distribution set " + strconv.FormatInt(int64(by), 10) + " was assigned."
}
