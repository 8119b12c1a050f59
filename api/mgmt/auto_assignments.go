package mgmt

import (
	"context"
	"net/http"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
)

func autoAssignmentRoutes() []route {
	const base = "/rest/v1/autoassignments"
	const one = base + "/{autoAssignmentId}"
	const set = "/rest/v1/distributionsets/{setId}"
	read, handle, decide := needs(identity.ReadAutoAssignment), needs(identity.HandleAutoAssignment), needs(identity.ApproveAutoAssignment)
	remark := openapi.Parameter{Name: "remark", Description: "Why, for whoever reads the auto-assignment later."}
	return []route{
		get(base, read, "List auto-assignments", listBody[autoAssignmentBody]{}, (*API).listAutoAssignments),
		post(base, needs(identity.CreateAutoAssignment, identity.UpdateTarget, identity.ReadDistributionSet), "Create an auto-assignment", autoAssignmentInput{}, autoAssignmentBody{}, http.StatusCreated, (*API).createAutoAssignment),
		get(one, read, "Read an auto-assignment", autoAssignmentBody{}, (*API).getAutoAssignment),
		put(one, needs(identity.UpdateAutoAssignment), "Rename or describe an auto-assignment", autoAssignmentChange{}, autoAssignmentBody{}, http.StatusOK, (*API).updateAutoAssignment),
		del(one, needs(identity.DeleteAutoAssignment), "Delete an auto-assignment", autoAssignmentCall((*rollout.Service).DeleteAutoAssignment)),
		post(one+"/approve", decide, "Let an auto-assignment start", nil, nil, http.StatusNoContent, autoAssignmentDecision((*rollout.Service).ApproveAutoAssignment)).with(remark),
		post(one+"/deny", decide, "Keep an auto-assignment from starting", nil, nil, http.StatusNoContent, autoAssignmentDecision((*rollout.Service).DenyAutoAssignment)).with(remark),
		post(one+"/start", handle, "Start an auto-assignment at once", nil, nil, http.StatusNoContent, autoAssignmentCall((*rollout.Service).StartAutoAssignment)),
		post(one+"/pause", handle, "Keep an auto-assignment from assigning", nil, nil, http.StatusNoContent, autoAssignmentCall((*rollout.Service).PauseAutoAssignment)),
		post(one+"/resume", handle, "Let a paused auto-assignment go on", nil, nil, http.StatusNoContent, autoAssignmentCall((*rollout.Service).ResumeAutoAssignment)),
		get(set+"/autoAssignments", needs(identity.ReadAutoAssignment, identity.ReadDistributionSet), "List the auto-assignments of a distribution set", listBody[autoAssignmentBody]{}, (*API).listAutoAssignmentsOfSet),
		get(set+"/autoAssignTargetFilters", needs(identity.ReadAutoAssignment, identity.ReadDistributionSet, identity.ReadTarget), "List the target filters that assign a distribution set", listBody[targetFilterBody]{}, (*API).listTargetFiltersOfSet),
	}
}

// autoAssignmentBody is an auto-assignment on the wire (management-api 2.7); it
// looks alike in every view.
type autoAssignmentBody struct {
	ID                   int64   `json:"id"`
	Name                 string  `json:"name"`
	Description          *string `json:"description,omitempty"`
	TargetFilterQuery    string  `json:"targetFilterQuery"`
	DistributionSetID    int64   `json:"distributionSetId"`
	Status               string  `json:"status" enum:"waiting_for_approval,approval_denied,ready,paused,running"`
	StartAt              *int64  `json:"startAt,omitempty"`
	ActionType           string  `json:"actionType" enum:"forced,soft,downloadonly"`
	Weight               int     `json:"weight"`
	ConfirmationRequired bool    `json:"confirmationRequired"`
	ApprovalDecidedBy    *string `json:"approvalDecidedBy,omitempty"`
	ApprovalRemark       *string `json:"approvalRemark,omitempty"`
	WaitingFor           string  `json:"waitingFor,omitempty"` // why it does not go on, or whom it leaves out, in words; ours
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newAutoAssignmentBody(r *http.Request) func(*rollout.AutoAssignment) autoAssignmentBody {
	return func(a *rollout.AutoAssignment) autoAssignmentBody {
		b := autoAssignmentBody{
			ID: int64(a.ID), Name: a.Name, Description: a.Description, TargetFilterQuery: a.Filter, DistributionSetID: int64(a.Set), Status: a.Status.String(),
			ActionType: forceTypeOf(a.Type), Weight: a.Weight, ConfirmationRequired: a.Consent,
			ApprovalDecidedBy: a.ApprovalBy, ApprovalRemark: a.ApprovalRemark, WaitingFor: a.Waiting,
			stampsBody: newStampsBody(a.Stamps), Links: links(href(r, "/autoassignments/%d", a.ID)),
		}
		if a.StartAt != nil {
			at := a.StartAt.UnixMilli()
			b.StartAt = &at
		}
		for _, verb := range verbsOf(a.Status) {
			b.Links = append(b.Links, httpjson.Link{Rel: verb, Href: b.Links[0].Href + "/" + verb})
		}
		b.Links = append(b.Links, httpjson.Link{Rel: "distributionset", Href: href(r, "/distributionsets/%d", a.Set), Name: a.SetName + ":" + a.SetVersion})
		return b
	}
}

// verbsOf are the calls that a state allows.
func verbsOf(s rollout.AutoAssignmentStatus) []string {
	switch s {
	case rollout.AutoWaitingForApproval:
		return []string{"approve", "deny"}
	case rollout.AutoReady:
		return []string{"start"}
	case rollout.AutoRunning:
		return []string{"pause"}
	case rollout.AutoPaused:
		return []string{"resume"}
	case rollout.AutoDenied:
	}
	return nil
}

// autoAssignmentInput creates an auto-assignment; autoAssignmentChange changes
// one, and what is absent stays.
type (
	autoAssignmentInput struct {
		Name              string  `json:"name" doc:"required"`
		Description       *string `json:"description"`
		TargetFilterQuery string  `json:"targetFilterQuery" doc:"required"`
		DistributionSetID int64   `json:"distributionSetId" bind:"required"`
		StartAt           *int64  `json:"startAt"`
		// timeforced is taken, too, and refused by the domain
		ActionType           *actionType `json:"actionType"`
		Weight               *int32      `json:"weight"`
		ConfirmationRequired *bool       `json:"confirmationRequired"`
	}
	autoAssignmentChange struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
	}
)

// newRule returns what is asked for in both generations of the call.
func newRule(set int64, kind *actionType, weight *int32, consent *bool) rollout.Rule {
	rule := rollout.Rule{Set: software.SetID(set), Consent: consent}
	if kind != nil {
		rule.Type = kind.domain()
	}
	if weight != nil {
		n := int(*weight)
		rule.Weight = &n
	}
	return rule
}

func autoAssignmentID(r *http.Request) (rollout.AutoAssignmentID, error) {
	return pathID[rollout.AutoAssignmentID](r, "autoAssignmentId")
}

func (a *API) listAutoAssignments(w http.ResponseWriter, r *http.Request) error {
	values := parameters(r)
	if values.Get("q") == "" { // an empty filter is none here, unlike elsewhere
		values.Del("q")
	}
	l, err := query.ParseList(values, rollout.AutoAssignmentFields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.AutoAssignments(r.Context(), l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newAutoAssignmentBody(r))
}

// listBelowSet reads what is asked of a list of auto-assignments below a set.
func listBelowSet(r *http.Request) (software.SetID, query.List, error) {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return 0, query.List{}, err
	}
	l, err := query.ParseSubList(parameters(r), rollout.AutoAssignmentFields(), software.SetFields(), query.Order{Field: "id"})
	return id, l, err
}

func (a *API) listAutoAssignmentsOfSet(w http.ResponseWriter, r *http.Request) error {
	id, l, err := listBelowSet(r)
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.AutoAssignmentsOf(r.Context(), id, l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newAutoAssignmentBody(r))
}

func (a *API) createAutoAssignment(w http.ResponseWriter, r *http.Request) error {
	var in autoAssignmentInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	rule := newRule(in.DistributionSetID, in.ActionType, in.Weight, in.ConfirmationRequired)
	rule.Name, rule.Description, rule.Filter = in.Name, in.Description, in.TargetFilterQuery
	if in.StartAt != nil {
		at := time.UnixMilli(*in.StartAt)
		rule.StartAt = &at
	}
	x, err := a.Rollout.CreateAutoAssignment(r.Context(), rule)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, newAutoAssignmentBody(r)(x))
}

func (a *API) getAutoAssignment(w http.ResponseWriter, r *http.Request) error {
	id, err := autoAssignmentID(r)
	if err != nil {
		return err
	}
	x, err := a.Rollout.AutoAssignment(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newAutoAssignmentBody(r)(x))
}

func (a *API) updateAutoAssignment(w http.ResponseWriter, r *http.Request) error {
	id, err := autoAssignmentID(r)
	if err != nil {
		return err
	}
	var in autoAssignmentChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	x, err := a.Rollout.UpdateAutoAssignment(r.Context(), id, in.Name, in.Description)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newAutoAssignmentBody(r)(x))
}

func autoAssignmentCall(call func(*rollout.Service, context.Context, rollout.AutoAssignmentID) error) handler {
	return callOn("autoAssignmentId", call)
}

func autoAssignmentDecision(decide func(*rollout.Service, context.Context, rollout.AutoAssignmentID, *string) error) handler {
	return decideOn("autoAssignmentId", decide)
}
