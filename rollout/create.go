package rollout

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// Limits of texts, in characters (management-api 2.13).
const (
	MaxName        = 128
	MaxDescription = 512
	MaxFilter      = 1024
	MaxExpression  = 512

	// maxSuffix leaves room in the name of a group for its number.
	maxSuffix = 110
)

// Conditions are what a rollout or a group says of success and failure. What is
// nil was not said.
type Conditions struct {
	Success       *Condition
	SuccessAction *OnSuccess
	Error         *Condition
	ErrorAction   *OnError
}

// A Condition is a threshold: percent, as text.
type Condition struct{ Expression *string }

// OnSuccess is what success leads to.
type OnSuccess struct {
	Action     SuccessAction
	Expression *string
}

// OnError is what too many failures lead to: the rollout pauses.
type OnError struct{ Expression *string }

// A Template says what the groups of a dynamic rollout are like.
type Template struct {
	Suffix string // of the name
	Size   int64  // targets
}

// A Plan is what a rollout is made from.
type Plan struct {
	Name        string
	Description *string
	Filter      *string
	Set         software.SetID
	Type        deployment.Type
	ForcedAt    time.Time
	Weight      *int
	StartAt     *time.Time
	Groups      []GroupPlan // nil: Amount equal ones
	Amount      *int        // nil: one
	Dynamic     bool
	Template    *Template
	Consent     *bool // nil: as the tenant's flow
	Conditions

	// NeedsNoApproval says that who asks may approve rollouts.
	NeedsNoApproval bool
}

// A GroupPlan is what a deployment group is made from.
type GroupPlan struct {
	Name        string
	Description *string
	Filter      *string
	Percentage  *float32 // of all targets that match; nil: 100
	Consent     *bool    // nil: as the rollout
	Conditions
}

// defaultThreshold is the percentage where none is given.
const defaultThreshold = "50"

// Create makes a rollout, whose groups are filled in the background. A rollout
// without targets is refused, unless it is dynamic and has no static groups; so
// is one whose groups leave targets over.
func (s *Service) Create(ctx context.Context, p Plan) (*Rollout, error) {
	me := caller.From(ctx)
	settings, err := s.Tenants.Settings(ctx, me.Tenant)
	if err != nil {
		return nil, err
	}
	filter, err := p.filter()
	if err != nil {
		return nil, err
	}
	set, err := s.Store.SetFacts(ctx, me.Tenant, p.Set)
	if err != nil {
		return nil, err
	}
	if err := set.Suits(); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.checkGroups(s.Quotas); err != nil {
		return nil, err
	}
	r := &Rollout{
		Name:            freetext.Trim(p.Name),
		Filter:          *p.Filter,
		Set:             p.Set,
		Status:          Creating,
		Type:            p.Type,
		ForcedAt:        p.ForcedAt,
		Weight:          deployment.DefaultWeight,
		StartAt:         p.StartAt,
		Dynamic:         p.Dynamic,
		NeedsNoApproval: p.NeedsNoApproval,
		Stamps:          caller.Stamp(ctx, s.Now()),
	}
	if p.Description != nil {
		text := freetext.Trim(*p.Description)
		r.Description = &text
	}
	if p.Weight != nil {
		r.Weight = *p.Weight
	}
	if p.Template != nil {
		r.GroupSuffix, r.GroupSize = p.Template.Suffix, p.Template.Size
	}
	groups := p.groups(r, settings.ConfirmationFlow)
	cohort := Cohort{Filter: filter, Moment: moment(settings, s.Now()), Set: p.Set}
	if err := s.size(ctx, r, groups, cohort); err != nil {
		return nil, err
	}
	if p.Dynamic && p.Template != nil {
		groups = append(groups, p.openGroup(r, groups, settings.ConfirmationFlow))
	}
	r.GroupCount = len(groups)
	if err := s.Store.CreateRollout(ctx, me.Tenant, r, groups, settings.ImplicitLock && !set.Unlocked); err != nil {
		return nil, err
	}
	return r, nil
}

// check holds the rollout's own fields to their rules.
func (p *Plan) check() error {
	var v freetext.Violations
	checkName(&v, "create.create.", p.Name)
	v.OptionalText("create.create.description", p.Description, 0, MaxDescription)
	if p.Filter != nil {
		v.Length("targetFilterQuery", *p.Filter, 0, MaxFilter)
	}
	if p.Weight != nil {
		v.Number("weight", int64(*p.Weight), 0, deployment.MaxWeight)
	}
	if p.Template != nil {
		v.Text("dynamicGroupTemplate.nameSuffix", p.Template.Suffix, 0, maxSuffix)
	}
	p.Conditions.check(&v, "")
	if p.Success != nil && p.Success.Expression == nil {
		v.Add("successConditionExp", "must not be null: give the percentage, as \"50\"")
	}
	for i, g := range p.Groups {
		at := "create.groups[" + strconv.Itoa(i) + "]."
		checkName(&v, at, g.Name)
		v.OptionalText(at+"description", g.Description, 0, MaxDescription)
		if g.Filter != nil {
			v.Length(at+"targetFilterQuery", *g.Filter, 1, MaxFilter)
		}
		g.check(&v, at)
	}
	return v.Err()
}

// checkName wants a name as it was sent, and as it is kept without blanks around.
func checkName(v *freetext.Violations, at, name string) {
	v.Text(at+"name", name, 1, MaxName)
	if name != "" {
		v.Length("name", freetext.Trim(name), 1, MaxName)
	}
}

func (c *Conditions) check(v *freetext.Violations, at string) {
	expression := func(field string, e *string) {
		if e != nil {
			v.Length(at+field+"Exp", *e, 0, MaxExpression)
		}
	}
	if c.Success != nil {
		expression("successCondition", c.Success.Expression)
	}
	if c.SuccessAction != nil {
		expression("successAction", c.SuccessAction.Expression)
	}
	if c.Error != nil {
		expression("errorCondition", c.Error.Expression)
	}
	if c.ErrorAction != nil {
		expression("errorAction", c.ErrorAction.Expression)
	}
}

// filter reads the filter, which is kept as it was sent.
func (p *Plan) filter() (query.Node, error) {
	if p.Filter == nil {
		return nil, fault.New(fault.QuerySyntax, "A rollout needs a targetFilterQuery: give name==* for all targets.")
	}
	return query.Parse(*p.Filter, fleet.TargetFields())
}

// checkGroups holds what is said of groups to the rules of management-api 2.13.
func (p *Plan) checkGroups(q tenant.Quotas) error {
	rejected := func(format string, args ...any) error { return fault.New(fault.Rejected, format, args...) }
	tooMany := func(n int) error {
		if tenant.Exceeds(n, q.GroupsPerRollout) {
			return fault.New(fault.Quota, "A rollout has at most %d groups, not %d.", q.GroupsPerRollout, n)
		}
		return nil
	}
	if p.Template != nil && !p.Dynamic {
		return rejected("A dynamicGroupTemplate is for dynamic rollouts: set dynamic to true.")
	}
	if p.Groups == nil {
		n := p.amount()
		switch {
		case n < 0:
			return rejected("amountGroups must not be negative.")
		case n == 0 && (!p.Dynamic || p.Template == nil):
			return rejected("amountGroups may be 0 for a dynamic rollout with a dynamicGroupTemplate alone.")
		}
		return tooMany(n)
	}
	switch {
	case p.Amount != nil:
		return rejected("Give either groups or amountGroups, not both.")
	case p.Dynamic:
		return rejected("A dynamic rollout takes amountGroups, not groups of its own.")
	case len(p.Groups) == 0:
		return rejected("groups must not be empty: give at least one, or amountGroups instead.")
	}
	names := map[string]bool{}
	for _, g := range p.Groups {
		if percent := g.Percentage; percent != nil && (*percent < 1 || *percent > 100) {
			return rejected("targetPercentage of group %q must be from 1 to 100.", g.Name)
		}
		if g.Filter != nil {
			if _, err := query.Parse(*g.Filter, fleet.TargetFields()); err != nil {
				return err
			}
		}
		if names[g.Name] {
			return fault.New(fault.Exists, "Two groups have the name %q.", g.Name)
		}
		names[g.Name] = true
	}
	return tooMany(len(p.Groups))
}

func (p *Plan) amount() int {
	if p.Amount == nil {
		return 1
	}
	return *p.Amount
}

// groups makes the static groups, without their sizes.
func (p *Plan) groups(r *Rollout, flow bool) []Group {
	if p.Groups == nil {
		n := p.amount()
		groups := make([]Group, n)
		for i := range groups {
			groups[i] = p.group(GroupPlan{}, r, flow)
			groups[i].Name = "group-" + strconv.Itoa(i+1)
			text := groups[i].Name
			groups[i].Description = &text
			groups[i].Percentage = 100 / float32(n)
		}
		return groups
	}
	groups := make([]Group, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = p.group(g, r, flow)
	}
	return groups
}

// group makes a group, which inherits what it does not say itself.
func (p *Plan) group(g GroupPlan, r *Rollout, flow bool) Group {
	empty := ""
	out := Group{
		Name: freetext.Trim(g.Name), Status: GroupCreating, Percentage: 100, Consent: flow, Stamps: r.Stamps,
		SuccessThreshold: defaultThreshold, SuccessActionExp: &empty, ErrorActionExp: &empty,
	}
	half := defaultThreshold
	out.ErrorThreshold = &half
	if g.Description != nil {
		text := freetext.Trim(*g.Description)
		out.Description = &text
	}
	if g.Filter != nil {
		out.Filter = *g.Filter
	}
	if g.Percentage != nil {
		out.Percentage = *g.Percentage
	}
	for _, consent := range []*bool{p.Consent, g.Consent} {
		if consent != nil {
			out.Consent = *consent
		}
	}
	out.take(p.Conditions, true)
	out.take(g.Conditions, false)
	return out
}

// take sets what the conditions say. Those of a rollout also say what they leave
// out; those of a group inherit it.
func (g *Group) take(c Conditions, all bool) {
	if c.Success != nil && c.Success.Expression != nil {
		g.SuccessThreshold = *c.Success.Expression
	}
	if c.SuccessAction != nil {
		g.SuccessAction = c.SuccessAction.Action
		if all || c.SuccessAction.Expression != nil {
			g.SuccessActionExp = c.SuccessAction.Expression
		}
	}
	if c.Error != nil && (all || c.Error.Expression != nil) {
		g.ErrorThreshold = c.Error.Expression
	}
	if c.ErrorAction != nil && (all || c.ErrorAction.Expression != nil) {
		g.ErrorActionExp = c.ErrorAction.Expression
	}
}

// openGroup is the first dynamic group of a rollout with a template.
func (p *Plan) openGroup(r *Rollout, static []Group, flow bool) Group {
	like := p.group(GroupPlan{}, r, flow)
	if n := len(static); n > 0 {
		like = static[n-1]
	}
	return dynamicGroup(r, len(static)+1, like, max(p.Template.Size, 1), GroupCreating, r.CreatedAt)
}

// size plans how many targets each group is to have.
func (s *Service) size(ctx context.Context, r *Rollout, groups []Group, c Cohort) error {
	t := caller.From(ctx).Tenant
	total, err := s.Store.CountCohort(ctx, t, c)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return nil // dynamic alone
	}
	if total == 0 {
		return fault.New(fault.Rejected, "No target that may take the distribution set matches the filter of the rollout.")
	}
	r.Total = total
	shares := make([]share, len(groups))
	alike := true
	for i := range groups {
		shares[i] = share{groups[i].Filter, groups[i].Percentage}
		alike = alike && groups[i].Filter == ""
	}
	var sizes []int64
	var rest int64
	if alike {
		sizes, rest = split(shares, total)
	} else if sizes, rest, err = s.sizeFiltered(ctx, groups, shares, c); err != nil {
		return err
	}
	if rest > 0 {
		return errRest(rest)
	}
	for i, n := range sizes {
		if tenant.Exceeds(n, int64(s.Quotas.TargetsPerGroup)) {
			return fault.New(fault.Quota, "Quota exceeded: group %q would have %d targets; a group has at most %d. Make more groups.", groups[i].Name, n, s.Quotas.TargetsPerGroup)
		}
		groups[i].Planned = n
	}
	return nil
}

// sizeFiltered is for groups with filters of their own, which may overlap: who
// is in one decides how many are left for the next.
func (s *Service) sizeFiltered(ctx context.Context, groups []Group, shares []share, c Cohort) ([]int64, int64, error) {
	t := caller.From(ctx).Tenant
	all, err := s.Store.Cohort(ctx, t, c)
	if err != nil {
		return nil, 0, err
	}
	pool := NewPool(all)
	sizes := make([]int64, len(groups))
	for i, percent := range ofRest(shares) {
		if groups[i].Filter == "" {
			sizes[i] = pool.takeAll(percent)
			continue
		}
		narrow := c
		if narrow.Narrow, err = query.Parse(groups[i].Filter, fleet.TargetFields()); err != nil {
			return nil, 0, err
		}
		matching, err := s.Store.Cohort(ctx, t, narrow)
		if err != nil {
			return nil, 0, err
		}
		sizes[i] = pool.take(percent, matching)
	}
	return sizes, pool.rest(), nil
}

// Retry makes a rollout for the targets whose action in a finished one failed.
// needsNoApproval is as in a Plan.
func (s *Service) Retry(ctx context.Context, id ID, needsNoApproval bool) (*Rollout, error) {
	t := caller.From(ctx).Tenant
	old, err := s.Rollout(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case old.Deleted:
		return nil, fault.Missing("Rollout", int64(id))
	case old.Status != Finished:
		return nil, fault.New(fault.Rejected, "Rollout %d is %s; its failed targets can be tried again when it is finished.", id, old.Status)
	}
	settings, err := s.Tenants.Settings(ctx, t)
	if err != nil {
		return nil, err
	}
	set, err := s.Store.SetFacts(ctx, t, old.Set)
	if err != nil {
		return nil, err
	}
	if err := set.Suits(); err != nil {
		return nil, err
	}
	r := &Rollout{
		Name: old.Name + "_retry", Description: old.Description, Filter: fmt.Sprintf("failedrollout==%d", id), RetryOf: id,
		Set: old.Set, Status: Creating, Type: old.Type, ForcedAt: old.ForcedAt, Weight: deployment.DefaultWeight, StartAt: old.StartAt,
		GroupCount: 1, NeedsNoApproval: needsNoApproval, Stamps: caller.Stamp(ctx, s.Now()),
	}
	var v freetext.Violations
	v.Length("name", r.Name, 1, MaxName)
	if err := v.Err(); err != nil {
		return nil, err
	}
	plan := Plan{}
	groups := plan.groups(r, false)
	c := Cohort{RetryOf: id, Set: old.Set, Moment: moment(settings, s.Now())}
	if err := s.size(ctx, r, groups, c); err != nil {
		return nil, err
	}
	if err := s.Store.CreateRollout(ctx, t, r, groups, settings.ImplicitLock && !set.Unlocked); err != nil {
		return nil, err
	}
	return r, nil
}
