package mgmt

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
)

func rolloutRoutes() []route {
	const base = "/rest/v1/rollouts"
	const one = base + "/{rolloutId}"
	const group = one + "/deploygroups/{groupId}"
	read, handle, change, decide := needs(identity.ReadRollout), needs(identity.HandleRollout), needs(identity.UpdateRollout), needs(identity.ApproveRollout)
	create := needs(identity.CreateRollout, identity.ReadTarget, identity.ReadDistributionSet)
	remark := openapi.Parameter{Name: "remark", Description: "Why, for whoever reads the rollout later."}
	return []route{
		get(base, read, "List rollouts", listBody[rolloutBody]{}, (*API).listRollouts).with(representationParameter(), deletedParameter()),
		post(base, create, "Create a rollout", rolloutInput{}, rolloutBody{}, http.StatusCreated, (*API).createRollout),
		get(one, read, "Read a rollout", rolloutBody{}, (*API).getRollout),
		put(one, change, "Rename or describe a rollout", rolloutChange{}, rolloutBody{}, http.StatusOK, (*API).updateRollout),
		del(one, needs(identity.DeleteRollout), "End and delete a rollout", rolloutCall((*rollout.Service).Delete)),
		post(one+"/approve", decide, "Let a rollout be started", nil, nil, http.StatusNoContent, rolloutDecision((*rollout.Service).Approve)).with(remark),
		post(one+"/deny", decide, "Keep a rollout from being started", nil, nil, http.StatusNoContent, rolloutDecision((*rollout.Service).Deny)).with(remark),
		post(one+"/start", handle, "Start a rollout", nil, nil, http.StatusNoContent, rolloutCall((*rollout.Service).Start)),
		post(one+"/pause", handle, "Keep a rollout from starting groups", nil, nil, http.StatusNoContent, rolloutCall((*rollout.Service).Pause)),
		post(one+"/resume", handle, "Let a paused rollout go on", nil, nil, http.StatusNoContent, rolloutCall((*rollout.Service).Resume)),
		post(one+"/stop", change, "End a rollout and ask devices to give up", nil, nil, http.StatusNoContent, rolloutCall((*rollout.Service).Stop)),
		post(one+"/triggerNextGroup", change, "Start the next group of a rollout at once", nil, nil, http.StatusNoContent, rolloutCall((*rollout.Service).TriggerNextGroup)),
		post(one+"/retry", slices.Concat(read, create), "Roll out again to the targets that failed", nil, rolloutBody{}, http.StatusCreated, (*API).retryRollout),
		get(one+"/deploygroups", read, "List the groups of a rollout", listBody[rolloutGroupBody]{}, (*API).listRolloutGroups).with(representationParameter()),
		get(group, read, "Read a group of a rollout", rolloutGroupBody{}, (*API).getRolloutGroup),
		get(group+"/targets", needs(identity.ReadRollout, identity.ReadTarget), "List the targets of a group of a rollout", listBody[targetBody]{}, (*API).listRolloutGroupTargets),
	}
}

// rolloutBody is a rollout on the wire (management-api 2.13). What stands behind
// the stamps is for the full view.
type rolloutBody struct {
	ID                int64   `json:"id"`
	Name              string  `json:"name"`
	Description       *string `json:"description,omitempty"`
	TargetFilterQuery string  `json:"targetFilterQuery"`
	DistributionSetID int64   `json:"distributionSetId"`
	Status            string  `json:"status" enum:"creating,ready,paused,starting,stopped,running,finished,deleting,deleted,waiting_for_approval,approval_denied,stopping"`
	TotalTargets      int64   `json:"totalTargets"`
	Type              string  `json:"type" enum:"forced,soft,timeforced,downloadonly"`
	Forcetime         int64   `json:"forcetime"` // 0: none
	Weight            int     `json:"weight"`
	Dynamic           bool    `json:"dynamic"`
	Deleted           bool    `json:"deleted"`
	stampsBody
	TotalTargetsPerStatus *progressBody  `json:"totalTargetsPerStatus,omitempty"`
	TotalGroups           *int           `json:"totalGroups,omitempty"`
	StartAt               *int64         `json:"startAt,omitempty"`
	ApproveDecidedBy      *string        `json:"approveDecidedBy,omitempty"`
	ApprovalRemark        *string        `json:"approvalRemark,omitempty"`
	WaitingFor            string         `json:"waitingFor,omitempty"` // why it does not go on, in words; ours
	Links                 httpjson.Links `json:"_links"`
}

// progressBody counts the targets of a rollout or a group by how they are doing
// (update-domain 4.8).
type progressBody struct {
	Notstarted int64 `json:"notstarted"`
	Scheduled  int64 `json:"scheduled"`
	Running    int64 `json:"running"`
	Finished   int64 `json:"finished"`
	Error      int64 `json:"error"`
	Cancelled  int64 `json:"cancelled"`
}

func newProgressBody(p rollout.Progress) *progressBody {
	return &progressBody{Notstarted: p.NotStarted, Scheduled: p.Scheduled, Running: p.Running, Finished: p.Finished, Error: p.Error, Cancelled: p.Cancelled}
}

// newRolloutBody is the view of a rollout in a list.
func newRolloutBody(r *http.Request) func(*rollout.Rollout) rolloutBody {
	return func(x *rollout.Rollout) rolloutBody {
		b := rolloutBody{
			ID: int64(x.ID), Name: x.Name, Description: x.Description, TargetFilterQuery: x.Filter, DistributionSetID: int64(x.Set), Status: x.Status.String(),
			TotalTargets: x.Total, Type: forceTypeOf(x.Type), Weight: x.Weight, Dynamic: x.Dynamic, Deleted: x.Deleted,
			stampsBody: newStampsBody(x.Stamps), Links: links(href(r, "/rollouts/%d", x.ID)),
		}
		if !x.ForcedAt.IsZero() {
			b.Forcetime = x.ForcedAt.UnixMilli()
		}
		return b
	}
}

// fullRolloutBody is the view of one rollout, which leads on.
func fullRolloutBody(r *http.Request, x *rollout.Rollout, p rollout.Progress) rolloutBody {
	b := newRolloutBody(r)(x)
	b.TotalTargetsPerStatus, b.TotalGroups = newProgressBody(p), &x.GroupCount
	b.ApproveDecidedBy, b.ApprovalRemark, b.WaitingFor = x.ApprovalBy, x.ApprovalRemark, x.Waiting
	if x.StartAt != nil {
		at := x.StartAt.UnixMilli()
		b.StartAt = &at
	}
	self := b.Links[0].Href
	for _, verb := range []string{"start", "pause", "resume", "triggerNextGroup", "approve", "deny"} {
		b.Links = append(b.Links, httpjson.Link{Rel: verb, Href: self + "/" + verb})
	}
	b.Links = append(b.Links,
		httpjson.Link{Rel: "groups", Href: self + "/deploygroups?offset=0&limit=50"},
		httpjson.Link{Rel: "distributionset", Href: href(r, "/distributionsets/%d", x.Set), Name: x.SetName + ":" + x.SetVersion})
	return b
}

// writeUncounted answers with a rollout that was made or changed: the contract
// shows all of its targets as not started there.
func writeUncounted(w http.ResponseWriter, r *http.Request, status int, x *rollout.Rollout) error {
	return httpjson.Write(w, r, status, fullRolloutBody(r, x, rollout.Progress{NotStarted: x.Total}))
}

// rolloutGroupBody is a deployment group on the wire.
type rolloutGroupBody struct {
	ID                int64             `json:"id"`
	Name              string            `json:"name"`
	Description       *string           `json:"description,omitempty"`
	Status            string            `json:"status" enum:"ready,scheduled,finished,error,running,creating"`
	Dynamic           bool              `json:"dynamic"`
	TotalTargets      int64             `json:"totalTargets"`
	TargetPercentage  float32           `json:"targetPercentage"` // of a dynamic group: how many targets it takes
	TargetFilterQuery string            `json:"targetFilterQuery"`
	SuccessCondition  conditionBody     `json:"successCondition"`
	SuccessAction     successActionBody `json:"successAction"`
	ErrorCondition    conditionBody     `json:"errorCondition"`
	ErrorAction       errorActionBody   `json:"errorAction"`
	// ConfirmationRequired is there only while the confirmation flow is on.
	ConfirmationRequired *bool `json:"confirmationRequired,omitempty"`
	stampsBody
	TotalTargetsPerStatus *progressBody  `json:"totalTargetsPerStatus,omitempty"` // in the full view
	Links                 httpjson.Links `json:"_links"`
}

type conditionBody struct {
	Condition  string  `json:"condition" enum:"THRESHOLD"`
	Expression *string `json:"expression,omitempty"` // percent
}

type successActionBody struct {
	Action     string  `json:"action" enum:"NEXTGROUP,PAUSE"`
	Expression *string `json:"expression,omitempty"`
}

type errorActionBody struct {
	Action     string  `json:"action" enum:"PAUSE"`
	Expression *string `json:"expression,omitempty"`
}

const (
	threshold     = "THRESHOLD"
	nextGroup     = "NEXTGROUP"
	pauseRollouts = "PAUSE"
)

// newRolloutGroupBody returns what makes the wire form of groups in a list.
func (a *API) newRolloutGroupBody(r *http.Request) (func(*rollout.Group) rolloutGroupBody, error) {
	settings, err := a.Tenants.Settings(r.Context(), caller.From(r.Context()).Tenant)
	if err != nil {
		return nil, err
	}
	return func(g *rollout.Group) rolloutGroupBody {
		b := rolloutGroupBody{
			ID: int64(g.ID), Name: g.Name, Description: g.Description, Status: g.Status.String(), Dynamic: g.Dynamic, TotalTargets: g.Total,
			TargetPercentage: g.Percentage, TargetFilterQuery: g.Filter,
			SuccessCondition: conditionBody{threshold, &g.SuccessThreshold}, SuccessAction: successActionBody{nextGroup, g.SuccessActionExp},
			ErrorCondition: conditionBody{threshold, g.ErrorThreshold}, ErrorAction: errorActionBody{pauseRollouts, g.ErrorActionExp},
			stampsBody: newStampsBody(g.Stamps), Links: links(href(r, "/rollouts/%d/deploygroups/%d", g.Rollout, g.ID)),
		}
		if g.SuccessAction == rollout.PauseAfterSuccess {
			b.SuccessAction.Action = pauseRollouts
		}
		if settings.ConfirmationFlow {
			b.ConfirmationRequired = &g.Consent
		}
		return b
	}, nil
}

// fullRolloutGroupBody returns what makes the full view of the groups of one
// rollout.
func (a *API) fullRolloutGroupBody(r *http.Request, x *rollout.Rollout, list []rollout.Group) (func(*rollout.Group) rolloutGroupBody, error) {
	body, err := a.newRolloutGroupBody(r)
	if err != nil {
		return nil, err
	}
	progress, err := a.Rollout.GroupProgress(r.Context(), x, list)
	if err != nil {
		return nil, err
	}
	return func(g *rollout.Group) rolloutGroupBody {
		b := body(g)
		b.TotalTargetsPerStatus = newProgressBody(progress[g.ID])
		return b
	}, nil
}

// rolloutInput creates a rollout.
type rolloutInput struct {
	Name                 string             `json:"name" doc:"required"`
	Description          *string            `json:"description"`
	TargetFilterQuery    *string            `json:"targetFilterQuery" doc:"required"`
	DistributionSetID    int64              `json:"distributionSetId" bind:"primitive" doc:"required"`
	Type                 *actionType        `json:"type"`
	Forcetime            *int64             `json:"forcetime"`
	Weight               *int32             `json:"weight"`
	StartAt              *int64             `json:"startAt"` // absent, or the greatest number: when somebody starts it
	AmountGroups         *int32             `json:"amountGroups"`
	Dynamic              bool               `json:"dynamic" bind:"primitive"`
	DynamicGroupTemplate *groupTemplate     `json:"dynamicGroupTemplate"`
	Groups               *[]deploymentGroup `json:"groups"`
	ConfirmationRequired *bool              `json:"confirmationRequired"`
	conditionsInput
}

// groupTemplate says what the groups of a dynamic rollout are like.
type groupTemplate struct {
	NameSuffix  string `json:"nameSuffix"`
	TargetCount int64  `json:"targetCount" bind:"required"`
}

// deploymentGroup is a group of a rollout that is created.
type deploymentGroup struct {
	Name                 string   `json:"name" doc:"required"`
	Description          *string  `json:"description"`
	TargetFilterQuery    *string  `json:"targetFilterQuery"`
	TargetPercentage     *float32 `json:"targetPercentage"`
	ConfirmationRequired *bool    `json:"confirmationRequired"`
	conditionsInput
}

// conditionsInput says what a rollout or a group does on success and on failure.
type conditionsInput struct {
	SuccessCondition *conditionInput     `json:"successCondition"`
	SuccessAction    *successActionInput `json:"successAction"`
	ErrorCondition   *conditionInput     `json:"errorCondition"`
	ErrorAction      *errorActionInput   `json:"errorAction"`
}

type conditionInput struct {
	Condition  groupCondition `json:"condition" bind:"required"`
	Expression *string        `json:"expression"` // percent
}

type successActionInput struct {
	Action     successAction `json:"action" bind:"required"`
	Expression *string       `json:"expression"`
}

type errorActionInput struct {
	Action     errorAction `json:"action" bind:"required"`
	Expression *string     `json:"expression"`
}

type (
	groupCondition string
	successAction  string
	errorAction    string
)

// Literals implements httpjson.Enum.
func (groupCondition) Literals() []string { return []string{threshold} }

// Literals implements httpjson.Enum.
func (successAction) Literals() []string { return []string{nextGroup, pauseRollouts} }

// Literals implements httpjson.Enum.
func (errorAction) Literals() []string { return []string{pauseRollouts} }

func (in *conditionsInput) domain() rollout.Conditions {
	var c rollout.Conditions
	if x := in.SuccessCondition; x != nil {
		c.Success = &rollout.Condition{Expression: x.Expression}
	}
	if x := in.SuccessAction; x != nil {
		c.SuccessAction = &rollout.OnSuccess{Action: rollout.NextGroup, Expression: x.Expression}
		if x.Action == pauseRollouts {
			c.SuccessAction.Action = rollout.PauseAfterSuccess
		}
	}
	if x := in.ErrorCondition; x != nil {
		c.Error = &rollout.Condition{Expression: x.Expression}
	}
	if x := in.ErrorAction; x != nil {
		c.ErrorAction = &rollout.OnError{Expression: x.Expression}
	}
	return c
}

// scheduled reports whether the rollout is to start by itself: the greatest time
// there is counts as never.
func scheduled(startAt *int64) bool { return startAt != nil && *startAt != math.MaxInt64 }

func (in *rolloutInput) plan() rollout.Plan {
	p := rollout.Plan{
		Name: in.Name, Description: in.Description, Filter: in.TargetFilterQuery, Set: software.SetID(in.DistributionSetID),
		Dynamic: in.Dynamic, Consent: in.ConfirmationRequired, Conditions: in.domain(),
	}
	kind := actionType("forced")
	if in.Type != nil {
		kind = *in.Type
	}
	p.Type = kind.domain()
	if in.Forcetime != nil && *in.Forcetime != 0 {
		p.ForcedAt = time.UnixMilli(*in.Forcetime)
	}
	if in.Weight != nil {
		weight := int(*in.Weight)
		p.Weight = &weight
	}
	if in.StartAt != nil {
		at := time.UnixMilli(*in.StartAt)
		p.StartAt = &at
	}
	if in.AmountGroups != nil {
		n := int(*in.AmountGroups)
		p.Amount = &n
	}
	if t := in.DynamicGroupTemplate; t != nil {
		p.Template = &rollout.Template{Suffix: t.NameSuffix, Size: t.TargetCount}
	}
	if in.Groups != nil {
		p.Groups = bodies(*in.Groups, func(g *deploymentGroup) rollout.GroupPlan {
			return rollout.GroupPlan{
				Name: g.Name, Description: g.Description, Filter: g.TargetFilterQuery, Percentage: g.TargetPercentage, Consent: g.ConfirmationRequired, Conditions: g.domain(),
			}
		})
	}
	return p
}

// rolloutChange changes a rollout; what is absent stays, and so does all else.
type rolloutChange struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
}

func rolloutID(r *http.Request) (rollout.ID, error) { return pathID[rollout.ID](r, "rolloutId") }

func (a *API) listRollouts(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, rollout.Fields())
	if err != nil {
		return err
	}
	d, err := readDeleted(r)
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.Rollouts(r.Context(), d, l)
	if err != nil {
		return err
	}
	if !readFull(r) {
		return writeList(w, r, page, total, newRolloutBody(r))
	}
	progress, err := a.Rollout.Progress(r.Context(), page)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, func(x *rollout.Rollout) rolloutBody { return fullRolloutBody(r, x, progress[x.ID]) })
}

func (a *API) createRollout(w http.ResponseWriter, r *http.Request) error {
	var in rolloutInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if scheduled(in.StartAt) {
		if err := a.require(r, identity.HandleRollout); err != nil {
			return err
		}
	}
	plan := in.plan()
	plan.NeedsNoApproval = needsNoApproval(r)
	x, err := a.Rollout.Create(r.Context(), plan)
	if err != nil {
		return err
	}
	return writeUncounted(w, r, http.StatusCreated, x)
}

// needsNoApproval reports whether the caller's rollouts start without approval:
// who may approve by what was granted directly. What a role implies does not
// count (update-domain 4.6).
func needsNoApproval(r *http.Request) bool {
	return slices.Contains(principal(r.Context()).Authorities, string(identity.ApproveRollout))
}

func (a *API) getRollout(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	x, err := a.Rollout.Rollout(r.Context(), id)
	if err != nil {
		return err
	}
	progress, err := a.Rollout.Progress(r.Context(), []rollout.Rollout{*x})
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, fullRolloutBody(r, x, progress[id]))
}

func (a *API) updateRollout(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	var in rolloutChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	x, err := a.Rollout.Update(r.Context(), id, in.Name, in.Description)
	if err != nil {
		return err
	}
	return writeUncounted(w, r, http.StatusOK, x)
}

func rolloutCall(call func(*rollout.Service, context.Context, rollout.ID) error) handler {
	return callOn("rolloutId", call)
}

func rolloutDecision(decide func(*rollout.Service, context.Context, rollout.ID, *string) error) handler {
	return decideOn("rolloutId", decide)
}

// handler serves a route.
type handler = func(*API, http.ResponseWriter, *http.Request) error

// callOn is the handler of a call, on what the path names, that answers nothing.
func callOn[ID ~int64](param string, call func(*rollout.Service, context.Context, ID) error) handler {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		id, err := pathID[ID](r, param)
		if err != nil {
			return err
		}
		return done(w, r, call(a.Rollout, r.Context(), id))
	}
}

// decideOn is callOn of an approval or a denial, with its remark.
func decideOn[ID ~int64](param string, decide func(*rollout.Service, context.Context, ID, *string) error) handler {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		id, err := pathID[ID](r, param)
		if err != nil {
			return err
		}
		return done(w, r, decide(a.Rollout, r.Context(), id, readRemark(r)))
	}
}

// readRemark reads the remark on an approval; several are one.
func readRemark(r *http.Request) *string {
	all := httpjson.Params(r, "remark")
	if all == nil {
		return nil
	}
	remark := strings.Join(all, ",")
	return &remark
}

func (a *API) retryRollout(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	old, err := a.Rollout.Rollout(r.Context(), id)
	if err != nil {
		return err
	}
	if old.StartAt != nil { // the new one starts by itself, too
		if at := old.StartAt.UnixMilli(); scheduled(&at) {
			if err := a.require(r, identity.HandleRollout); err != nil {
				return err
			}
		}
	}
	x, err := a.Rollout.Retry(r.Context(), id, needsNoApproval(r))
	if err != nil {
		return err
	}
	return writeUncounted(w, r, http.StatusCreated, x)
}

func (a *API) listRolloutGroups(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	l, err := query.ParseSubList(parameters(r), rollout.GroupFields(), rollout.Fields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.Groups(r.Context(), id, l)
	if err != nil {
		return err
	}
	if !readFull(r) {
		body, err := a.newRolloutGroupBody(r)
		if err != nil {
			return err
		}
		return writeList(w, r, page, total, body)
	}
	x, err := a.Rollout.Rollout(r.Context(), id)
	if err != nil {
		return err
	}
	body, err := a.fullRolloutGroupBody(r, x, page)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, body)
}

func (a *API) getRolloutGroup(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	group, err := pathID[rollout.GroupID](r, "groupId")
	if err != nil {
		return err
	}
	x, err := a.Rollout.Rollout(r.Context(), id)
	if err != nil {
		return err
	}
	g, err := a.Rollout.Group(r.Context(), id, group)
	if err != nil {
		return err
	}
	body, err := a.fullRolloutGroupBody(r, x, []rollout.Group{*g})
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, body(g))
}

func (a *API) listRolloutGroupTargets(w http.ResponseWriter, r *http.Request) error {
	id, err := rolloutID(r)
	if err != nil {
		return err
	}
	group, err := pathID[rollout.GroupID](r, "groupId")
	if err != nil {
		return err
	}
	l, err := query.ParseSubList(parameters(r), fleet.TargetFields(), rollout.Fields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.TargetsBy(r.Context(), l, func(ctx context.Context, l query.List) ([]fleet.Target, int, error) {
		return a.Rollout.GroupTargets(ctx, id, group, l)
	})
	if err != nil {
		return err
	}
	return a.writeTargets(w, r, page, total)
}
