package mgmt

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
)

func actionRoutes() []route {
	const all = "/rest/v1/actions"
	const target = "/rest/v1/targets/{targetId}"
	const one = target + "/actions/{actionId}"
	read := needs(identity.ReadTarget)
	write := needs(identity.UpdateTarget, identity.ReadTarget)
	activate := post(target+"/autoConfirm/activate", needs(identity.UpdateTarget), "Let a target consent to all updates", autoConfirmInput{}, nil, http.StatusNoContent, (*API).activateAutoConfirm)
	activate.bodyOptional = true
	return []route{
		get(all, read, "List the actions of all targets", listBody[actionBody]{}, (*API).listActions).with(representationParameter()),
		get(all+"/{actionId}", read, "Read an action", actionBody{}, (*API).getAction),
		del(all+"/{actionId}", needs(identity.UpdateTarget), "Delete a closed action from the history", (*API).deleteAction),
		del(all, needs(identity.UpdateTarget), "Delete closed actions by their ids, or those that match q", (*API).deleteActions).body([]int64{}).with(filterParameter()),

		get(target+"/actions", read, "List the actions of a target", listBody[actionBody]{}, (*API).listTargetActions),
		del(target+"/actions", needs(identity.UpdateTarget), "Delete closed actions of a target by their ids, or all but the newest", (*API).deleteTargetActions).body([]int64{}).with(openapi.Parameter{Name: "keepLast", Description: "How many of the newest actions to keep.", Type: int32(0), Min: 0}),
		get(one, read, "Read an action of a target", actionBody{}, (*API).getTargetAction),
		del(one, write, "Cancel an action, or force quit it", (*API).cancelAction).with(flag("force", "Close an action that is being canceled without the device.")),
		put(one, write, "Make an action forced", actionChange{}, actionBody{}, http.StatusOK, (*API).forceAction),
		put(one+"/confirmation", write, "Consent to an action in the device's place, or deny it", confirmationInput{}, nil, http.StatusNoContent, (*API).confirmAction),
		get(one+"/status", read, "List the history of an action", listBody[entryBody]{}, (*API).listEntries).without("q"),

		get(target+"/autoConfirm", read, "Read whether a target consents to all updates", autoConfirmBody{}, (*API).getAutoConfirm),
		activate,
		post(target+"/autoConfirm/deactivate", needs(identity.UpdateTarget), "Let a target be asked for consent again", nil, nil, http.StatusNoContent, (*API).deactivateAutoConfirm),
	}
}

// actionBody is an action on the wire (management-api 2.2).
type actionBody struct {
	ID                int64       `json:"id"`
	Type              string      `json:"type" enum:"update,cancel"`
	Active            bool        `json:"active"`
	Status            string      `json:"status" enum:"finished,error,warning,running,canceled,canceling,retrieved,download,scheduled,cancel_rejected,downloaded,wait_for_confirmation"`
	ForceType         string      `json:"forceType" enum:"forced,soft,timeforced,downloadonly"`
	ForceTime         *int64      `json:"forceTime,omitempty"` // of timeforced alone
	Weight            int         `json:"weight"`
	MaintenanceWindow *windowBody `json:"maintenanceWindow,omitempty"`
	Rollout           int64       `json:"rollout,omitempty"`
	RolloutName       string      `json:"rolloutName,omitempty"`
	LastStatusCode    *int        `json:"lastStatusCode,omitempty"`
	ExternalRef       *string     `json:"externalRef,omitempty"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

// windowBody is a maintenance window on the wire.
type windowBody struct {
	Schedule    string `json:"schedule"`
	Duration    string `json:"duration"`
	Timezone    string `json:"timezone"`
	NextStartAt int64  `json:"nextStartAt"` // of the window that is open or comes next; 0: none
}

// forceTypeOf returns a type of action as the wire has it.
func forceTypeOf(t deployment.Type) string {
	switch t {
	case deployment.Forced:
		return "forced"
	case deployment.Soft:
		return "soft"
	case deployment.TimeForced:
		return "timeforced"
	case deployment.DownloadOnly:
		return "downloadonly"
	}
	return "forced"
}

// newActionBody is the view of an action in a list.
func (a *API) newActionBody(r *http.Request) func(*deployment.Action) actionBody {
	now := a.Deployment.Now()
	return func(x *deployment.Action) actionBody {
		b := actionBody{
			ID: int64(x.ID), Type: "update", Active: x.Active, Status: x.Status.String(), ForceType: forceTypeOf(x.Type), Weight: x.Weight,
			Rollout: x.Rollout, RolloutName: x.RolloutName, LastStatusCode: x.LastCode, ExternalRef: x.ExternalRef,
			stampsBody: newStampsBody(x.Stamps), Links: links(href(r, "/targets/%s/actions/%d", segment(string(x.ControllerID)), x.ID)),
		}
		if x.Canceling() {
			b.Type = "cancel"
		}
		if x.Type == deployment.TimeForced {
			at := int64(0)
			if !x.ForcedAt.IsZero() {
				at = x.ForcedAt.UnixMilli()
			}
			b.ForceTime = &at
		}
		if !x.Window.IsZero() {
			b.MaintenanceWindow = &windowBody{Schedule: x.Window.Schedule, Duration: x.Window.Duration, Timezone: x.Window.Timezone}
			if at, ok := x.Window.Next(now); ok {
				b.MaintenanceWindow.NextStartAt = at.UnixMilli()
			}
		}
		return b
	}
}

// fullActionBody is the view of one action, which leads on.
func (a *API) fullActionBody(r *http.Request) func(*deployment.Action) actionBody {
	compact := a.newActionBody(r)
	return func(x *deployment.Action) actionBody {
		b := compact(x)
		self := b.Links[0].Href
		b.Links = append(b.Links,
			httpjson.Link{Rel: "target", Href: href(r, "/targets/%s", segment(string(x.ControllerID))), Name: x.TargetName},
			httpjson.Link{Rel: "distributionset", Href: href(r, "/distributionsets/%d", x.Set), Name: x.SetName + ":" + x.SetVersion},
			httpjson.Link{Rel: "status", Href: self + "/status?offset=0&limit=50&sort=id%3ADESC"})
		if x.Rollout != 0 {
			b.Links = append(b.Links, httpjson.Link{Rel: "rollout", Href: href(r, "/rollouts/%d", x.Rollout), Name: x.RolloutName})
		}
		if x.Canceling() {
			b.Links = append(b.Links, httpjson.Link{Rel: "canceledaction", Href: self})
		}
		return b
	}
}

// segment escapes a text as one segment of a path: all but letters, digits and -._~.
func segment(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// entryBody is an entry of an action's history on the wire.
type entryBody struct {
	ID         int64    `json:"id"`
	Type       string   `json:"type" enum:"finished,error,warning,running,canceled,canceling,retrieved,download,scheduled,cancel_rejected,downloaded,wait_for_confirmation"`
	Messages   []string `json:"messages"`
	ReportedAt int64    `json:"reportedAt"`
	Timestamp  int64    `json:"timestamp"`
	Code       *int     `json:"code,omitempty"`
}

func newEntryBody(e *deployment.Entry) entryBody {
	messages := e.Messages
	if messages == nil {
		messages = []string{}
	}
	return entryBody{e.ID, e.Status.String(), messages, e.ReportedAt.UnixMilli(), e.OccurredAt.UnixMilli(), e.Code}
}

// actionChange changes an action. Only one change is possible.
type actionChange struct {
	ForceType *actionType `json:"forceType"`
}

// confirmationInput answers a request for consent.
type confirmationInput struct {
	Confirmation confirmation `json:"confirmation" bind:"required"`
	Code         *int32       `json:"code"`
	Details      []*string    `json:"details"`
}

type confirmation string

const confirmed confirmation = "confirmed"

// Literals implements httpjson.Enum.
func (confirmation) Literals() []string { return []string{string(confirmed), "denied"} }

// autoConfirmBody tells whether a target consents in advance.
type autoConfirmBody struct {
	Active      bool           `json:"active"`
	Initiator   string         `json:"initiator,omitempty"`
	Remark      string         `json:"remark,omitempty"`
	ActivatedAt int64          `json:"activatedAt,omitempty"`
	Links       httpjson.Links `json:"_links"`
}

// autoConfirmInput says in whose name, and why, a target consents in advance.
type autoConfirmInput struct {
	Initiator string `json:"initiator"`
	Remark    string `json:"remark"`
}

func targetOf(r *http.Request) fleet.ControllerID { return fleet.ControllerID(r.PathValue("targetId")) }

// readNewestFirst reads the parameters of a list that begins with what is newest.
func readNewestFirst(r *http.Request, f *query.Fields) (query.List, error) {
	return query.ParseList(parameters(r), f, query.Order{Field: "id", Desc: true})
}

func (a *API) listActions(w http.ResponseWriter, r *http.Request) error {
	l, err := readNewestFirst(r, deployment.ActionFields())
	if err != nil {
		return err
	}
	page, total, err := a.Deployment.Actions(r.Context(), l)
	if err != nil {
		return err
	}
	body := a.newActionBody(r)
	if readFull(r) {
		body = a.fullActionBody(r)
	}
	return writeList(w, r, page, total, body)
}

func (a *API) listTargetActions(w http.ResponseWriter, r *http.Request) error {
	l, err := readNewestFirst(r, deployment.ActionFields())
	if err != nil {
		return err
	}
	page, total, err := a.Deployment.TargetActions(r.Context(), targetOf(r), l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, a.newActionBody(r))
}

func (a *API) getAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	x, err := a.Deployment.Action(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, a.fullActionBody(r)(x))
}

func (a *API) getTargetAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	x, err := a.Deployment.TargetAction(r.Context(), targetOf(r), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, a.fullActionBody(r)(x))
}

func (a *API) deleteAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	return done(w, r, a.Deployment.DeleteAction(r.Context(), id))
}

// done answers a call without a body of its own.
func done(w http.ResponseWriter, r *http.Request, err error) error {
	if err == nil {
		httpjson.NoContent(w, r)
	}
	return err
}

// readActionIDs reads the list of ids in the body of a DELETE, if there is one.
func readActionIDs(w http.ResponseWriter, r *http.Request) ([]deployment.ActionID, error) {
	if !httpjson.Typed(r, jsonTypes()...) {
		return nil, nil
	}
	var ids []deployment.ActionID
	_, err := httpjson.ReadOptional(w, r, &ids, maxBody)
	return ids, err
}

func (a *API) deleteActions(w http.ResponseWriter, r *http.Request) error {
	ids, err := readActionIDs(w, r)
	if err != nil {
		return err
	}
	q, _ := httpjson.Param(r, "q")
	if (len(ids) > 0) == (q != "") {
		return fault.New(fault.Unreadable, "Say which actions to delete: either by a list of ids in the body, or by q.")
	}
	if q == "" {
		return done(w, r, a.Deployment.DeleteActions(r.Context(), ids))
	}
	filter, err := query.Parse(q, deployment.ActionFields())
	if err != nil {
		return err
	}
	return done(w, r, a.Deployment.DeleteMatching(r.Context(), filter))
}

func (a *API) deleteTargetActions(w http.ResponseWriter, r *http.Request) error {
	ids, err := readActionIDs(w, r)
	if err != nil {
		return err
	}
	keep, err := httpjson.Int32Param(r, "keepLast", -1)
	if err != nil {
		return err
	}
	text, _ := httpjson.Param(r, "keepLast")
	switch {
	case (len(ids) > 0) == (text != ""):
		return fault.New(fault.Unreadable, "Say which actions to delete: either by a list of ids in the body, or by keepLast.")
	case text == "":
		return done(w, r, a.Deployment.DeleteTargetActions(r.Context(), targetOf(r), ids))
	case keep < 0:
		return fault.New(fault.Unreadable, "keepLast=%d is negative; give the number of actions to keep.", keep)
	}
	return done(w, r, a.Deployment.DeleteOldest(r.Context(), targetOf(r), int(keep)))
}

func (a *API) cancelAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	force, err := readBool(r, "force")
	if err != nil {
		return err
	}
	if force {
		return done(w, r, a.Deployment.ForceQuit(r.Context(), targetOf(r), id))
	}
	return done(w, r, a.Deployment.Cancel(r.Context(), targetOf(r), id))
}

func (a *API) forceAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	var in actionChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if _, err := a.Deployment.TargetAction(r.Context(), targetOf(r), id); err != nil {
		return err
	}
	if in.ForceType == nil || in.ForceType.domain() != deployment.Forced {
		return fault.New(fault.Rejected, "An action can only be switched to forced: send forceType \"forced\".")
	}
	x, err := a.Deployment.Force(r.Context(), targetOf(r), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, a.fullActionBody(r)(x))
}

func (a *API) confirmAction(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	var in confirmationInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	answer := deployment.Answer{Confirmed: in.Confirmation == confirmed}
	if in.Code != nil {
		code := int(*in.Code)
		answer.Code = &code
	}
	for _, d := range in.Details {
		if d != nil {
			answer.Details = append(answer.Details, *d)
		}
	}
	return done(w, r, a.Deployment.AnswerFor(r.Context(), targetOf(r), id, answer))
}

func (a *API) listEntries(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[deployment.ActionID](r, "actionId")
	if err != nil {
		return err
	}
	values := parameters(r)
	values.Del("q") // has no meaning here
	l, err := query.ParseList(values, deployment.StatusFields(), query.Order{Field: "id", Desc: true})
	if err != nil {
		return err
	}
	page, total, err := a.Deployment.History(r.Context(), targetOf(r), id, l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newEntryBody)
}

func (a *API) getAutoConfirm(w http.ResponseWriter, r *http.Request) error {
	ac, err := a.Deployment.AutoConfirm(r.Context(), targetOf(r))
	if err != nil {
		return err
	}
	self := href(r, "/targets/%s/autoConfirm", segment(r.PathValue("targetId")))
	body := autoConfirmBody{Links: httpjson.Links{{Rel: "activate", Href: self + "/activate"}}}
	if ac != nil {
		body = autoConfirmBody{true, ac.Initiator, ac.Remark, ac.ActivatedAt.UnixMilli(), httpjson.Links{{Rel: "deactivate", Href: self + "/deactivate"}}}
	}
	return httpjson.Write(w, r, http.StatusOK, body)
}

func (a *API) activateAutoConfirm(w http.ResponseWriter, r *http.Request) error {
	var in autoConfirmInput
	if _, err := httpjson.ReadOptional(w, r, &in, maxBody); err != nil {
		return err
	}
	return done(w, r, a.Deployment.ActivateAutoConfirm(r.Context(), targetOf(r), in.Initiator, in.Remark))
}

func (a *API) deactivateAutoConfirm(w http.ResponseWriter, r *http.Request) error {
	return done(w, r, a.Deployment.DeactivateAutoConfirm(r.Context(), targetOf(r)))
}
