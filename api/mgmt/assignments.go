package mgmt

import (
	"net/http"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func assignmentRoutes() []route {
	return []route{
		post("/rest/v1/targets/{targetId}/assignedDS", needs(identity.UpdateTarget, identity.ReadDistributionSet), "Assign a distribution set to a target", []setAssignmentInput{}, assignedBody{}, http.StatusOK, (*API).assignTarget).with(offlineParameter()),
	}
}

// assignmentInput is one wish of an assignment, beside who or what it is about
// (management-api 2.2, assignment request item).
type assignmentInput struct {
	Type                 *actionType  `json:"type"`
	Forcetime            int64        `json:"forcetime" bind:"primitive"`
	Weight               *int32       `json:"weight"`
	ConfirmationRequired *bool        `json:"confirmationRequired"`
	MaintenanceWindow    *windowInput `json:"maintenanceWindow"`
}

// windowInput is a maintenance window as it is asked for (1.16).
type windowInput struct {
	Schedule *string `json:"schedule"`
	Duration *string `json:"duration"`
	Timezone *string `json:"timezone"`
}

// actionType is a type of action on the wire.
type actionType string

// Literals implements httpjson.Enum, in the order of the positions that 1.3 names.
func (actionType) Literals() []string {
	return []string{"soft", "forced", "timeforced", "downloadonly"}
}

// domain returns the type as the domain has it.
func (t actionType) domain() deployment.Type {
	switch t {
	case "soft":
		return deployment.Soft
	case "timeforced":
		return deployment.TimeForced
	case "downloadonly":
		return deployment.DownloadOnly
	}
	return deployment.Forced
}

// order returns what is asked for, without target and set.
func (in *assignmentInput) order() deployment.Order {
	o := deployment.Order{Type: deployment.Forced, Weight: deployment.DefaultWeight}
	if in.Type != nil {
		o.Type = in.Type.domain()
	}
	if in.Forcetime != 0 {
		o.ForcedAt = time.UnixMilli(in.Forcetime)
	}
	if in.Weight != nil {
		o.Weight = int(*in.Weight)
	}
	if in.ConfirmationRequired != nil {
		o.Consent = deployment.ConsentGiven
		if *in.ConfirmationRequired {
			o.Consent = deployment.ConsentAsked
		}
	}
	if w := in.MaintenanceWindow; w != nil {
		o.Window = deployment.Window{Schedule: text(w.Schedule), Duration: text(w.Duration), Timezone: text(w.Timezone)}
	}
	return o
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// assignedBody is the outcome of an assignment.
type assignedBody struct {
	AlreadyAssigned int              `json:"alreadyAssigned"`
	Assigned        int              `json:"assigned"`
	Total           int              `json:"total"`
	AssignedActions []actionLinkBody `json:"assignedActions"`
}

// actionLinkBody leads to an action.
type actionLinkBody struct {
	ID    int64          `json:"id"`
	Links httpjson.Links `json:"_links"`
}

func newAssignedBody(r *http.Request, a *deployment.Assigned) assignedBody {
	return assignedBody{
		AlreadyAssigned: a.Already, Assigned: len(a.New), Total: a.Already + len(a.New),
		AssignedActions: bodies(a.New, func(n *deployment.NewAction) actionLinkBody {
			return actionLinkBody{int64(n.ID), links(href(r, "/targets/%s/actions/%d", segment(string(n.Target)), n.ID))}
		}),
	}
}

// targetAssignmentInput assigns to a target.
type targetAssignmentInput struct {
	ID string `json:"id" bind:"required"` // controllerId
	assignmentInput
}

func (in *targetAssignmentInput) order() deployment.Order {
	o := in.assignmentInput.order()
	o.Target = fleet.ControllerID(in.ID)
	return o
}

// setAssignmentInput assigns a set.
type setAssignmentInput struct {
	ID int64 `json:"id" bind:"required"`
	assignmentInput
}

func (in *setAssignmentInput) order() deployment.Order {
	o := in.assignmentInput.order()
	o.Set = software.SetID(in.ID)
	return o
}

func (a *API) assignTarget(w http.ResponseWriter, r *http.Request) error {
	offline, err := readBool(r, "offline")
	if err != nil {
		return err
	}
	if !offline { // looking the target up needs its READ beside
		if err := a.require(r, identity.ReadTarget); err != nil {
			return err
		}
	}
	var in []setAssignmentInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	orders := make([]deployment.Order, len(in))
	for i := range in {
		orders[i] = in[i].order()
	}
	done, err := a.Deployment.AssignTarget(r.Context(), targetOf(r), orders, offline)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newAssignedBody(r, done))
}
