package mgmt

import (
	"context"
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

func targetRoutes() []route {
	const base = "/rest/v1/targets"
	const one = base + "/{targetId}"
	const sets = "/rest/v1/distributionsets/{setId}"
	read, write := needs(identity.ReadTarget), needs(identity.UpdateTarget)
	metadatum := get(one+"/metadata/{key}", read, "Read one entry of the metadata of a target", targetMetadatumBody{}, (*API).getTargetMetadatum)
	metadatum.produces = jsonTypes()
	return []route{
		get(base, read, "List targets", listBody[targetBody]{}, (*API).listTargets),
		post(base, needs(identity.CreateTarget, identity.ReadTarget), "Create targets", []targetInput{}, []targetBody{}, http.StatusCreated, (*API).createTargets),
		get(one, read, "Read a target", targetBody{}, (*API).getTarget),
		put(one, needs(identity.UpdateTarget, identity.ReadTarget), "Change a target", targetChange{}, targetBody{}, http.StatusOK, (*API).updateTarget),
		del(one, needs(identity.DeleteTarget), "Delete a target and its actions", (*API).deleteTarget),
		post(one+"/targettype", write, "Give a target a type", idInput{}, nil, http.StatusNoContent, (*API).setTargetType),
		del(one+"/targettype", write, "Take the type from a target", (*API).unsetTargetType),
		get(one+"/attributes", read, "Read what a device says of itself", map[string]string{}, (*API).getTargetAttributes).orNothing(),
		get(one+"/tags", read, "List the tags of a target", []targetTagBody{}, (*API).listTagsOfTarget),
		get(one+"/assignedDS", read, "Read the distribution set that is assigned to a target", setBody{}, setOf(func(t *fleet.Target) software.SetID { return t.AssignedSet })).orNothing(),
		get(one+"/installedDS", read, "Read the distribution set that is installed on a target", setBody{}, setOf(func(t *fleet.Target) software.SetID { return t.InstalledSet })).orNothing(),
		post(one+"/metadata", write, "Add metadata to a target", []targetMetadatumInput{}, nil, http.StatusCreated, (*API).createTargetMetadata),
		get(one+"/metadata", read, "List the metadata of a target", listBody[targetMetadatumBody]{}, (*API).listTargetMetadata).without("offset", "limit", "sort", "q"),
		metadatum,
		put(one+"/metadata/{key}", write, "Add or replace one entry of the metadata of a target", targetMetadatumChange{}, nil, http.StatusNoContent, (*API).putTargetMetadatum),
		del(one+"/metadata/{key}", write, "Delete one entry of the metadata of a target", (*API).deleteTargetMetadatum),
		get(sets+"/assignedTargets", needs(identity.ReadTarget, identity.ReadDistributionSet), "List the targets that a distribution set is assigned to", listBody[targetBody]{}, (*API).listAssignedTargets),
		get(sets+"/installedTargets", needs(identity.ReadTarget, identity.ReadDistributionSet), "List the targets that a distribution set is installed on", listBody[targetBody]{}, (*API).listInstalledTargets),
	}
}

// targetBody is a target on the wire (management-api 2.2).
type targetBody struct {
	ControllerID            string          `json:"controllerId"`
	Name                    string          `json:"name"`
	Description             *string         `json:"description,omitempty"`
	Group                   *string         `json:"group,omitempty"`
	UpdateStatus            string          `json:"updateStatus" enum:"unknown,in_sync,pending,error,registered"`
	LastControllerRequestAt *int64          `json:"lastControllerRequestAt,omitempty"`
	InstalledAt             *int64          `json:"installedAt,omitempty"`
	Address                 *string         `json:"address,omitempty"`
	IPAddress               string          `json:"ipAddress,omitempty"` // the host of the address
	PollStatus              *pollStatusBody `json:"pollStatus,omitempty"`
	SecurityToken           string          `json:"securityToken,omitempty"` // only for holders of READ_TARGET_SECURITY_TOKEN
	RequestAttributes       bool            `json:"requestAttributes"`
	TargetType              *int64          `json:"targetType,omitempty"`
	TargetTypeName          string          `json:"targetTypeName,omitempty"`
	AutoConfirmActive       *bool           `json:"autoConfirmActive,omitempty"` // only while the confirmation flow is on
	stampsBody
	Links httpjson.Links `json:"_links"`
}

// pollStatusBody says when a device polled, and when it should next.
type pollStatusBody struct {
	LastRequestAt         int64 `json:"lastRequestAt"`
	NextExpectedRequestAt int64 `json:"nextExpectedRequestAt"`
	Overdue               bool  `json:"overdue"`
}

// newTargetBody returns what makes the wire form of targets for this caller.
func (a *API) newTargetBody(r *http.Request) (func(*fleet.Target) targetBody, error) {
	settings, err := a.Tenants.Settings(r.Context(), caller.From(r.Context()).Tenant)
	if err != nil {
		return nil, err
	}
	showToken := may(r, identity.ReadTargetSecurityToken)
	return func(t *fleet.Target) targetBody {
		b := targetBody{
			ControllerID: string(t.ControllerID), Name: t.Name, Description: t.Description, Group: t.Group, UpdateStatus: t.Status.String(),
			Address: t.Address, IPAddress: t.Host(), RequestAttributes: t.RequestAttributes, TargetTypeName: t.TypeName,
			stampsBody: newStampsBody(t.Stamps), Links: links(href(r, "/targets/%s", segment(string(t.ControllerID)))),
		}
		if !t.InstalledAt.IsZero() {
			at := t.InstalledAt.UnixMilli()
			b.InstalledAt = &at
		}
		if p := t.Poll; p != nil {
			at := p.Last.UnixMilli()
			b.LastControllerRequestAt, b.PollStatus = &at, &pollStatusBody{at, p.Next.UnixMilli(), p.Overdue}
		}
		if showToken {
			b.SecurityToken = t.Token
		}
		if t.Type != 0 {
			id := int64(t.Type)
			b.TargetType = &id
		}
		if settings.ConfirmationFlow {
			active := t.AutoConfirm != nil
			b.AutoConfirmActive = &active
		}
		return b
	}, nil
}

// writeTargets answers with a page of targets.
func (a *API) writeTargets(w http.ResponseWriter, r *http.Request, page []fleet.Target, total int) error {
	body, err := a.newTargetBody(r)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, body)
}

// writeTarget answers with the view of one target, which leads on.
func (a *API) writeTarget(w http.ResponseWriter, r *http.Request, t *fleet.Target) error {
	body, err := a.newTargetBody(r)
	if err != nil {
		return err
	}
	b := body(t)
	self := b.Links[0].Href
	b.Links = append(b.Links,
		httpjson.Link{Rel: "assignedDS", Href: self + "/assignedDS"},
		httpjson.Link{Rel: "installedDS", Href: self + "/installedDS"},
		httpjson.Link{Rel: "attributes", Href: self + "/attributes"},
		httpjson.Link{Rel: "actions", Href: self + "/actions?offset=0&limit=50&sort=id%3ADESC"},
		httpjson.Link{Rel: "metadata", Href: self + "/metadata"})
	if t.Type != 0 {
		b.Links = append(b.Links, httpjson.Link{Rel: "targetType", Href: href(r, "/targettypes/%d", t.Type)})
	}
	if b.AutoConfirmActive != nil {
		b.Links = append(b.Links, httpjson.Link{Rel: "autoConfirm", Href: self + "/autoConfirm"})
	}
	return httpjson.Write(w, r, http.StatusOK, b)
}

// targetInput creates a target.
type targetInput struct {
	ControllerID  string  `json:"controllerId" doc:"required"`
	Name          *string `json:"name"`
	Description   *string `json:"description"`
	SecurityToken *string `json:"securityToken"`
	Address       *string `json:"address"`
	TargetType    *int64  `json:"targetType"`
	Group         *string `json:"group"`
	// A user of the contract may send it; every new target is asked for attributes.
	RequestAttributes *bool `json:"requestAttributes"`
}

// targetChange changes a target; what is absent stays.
type targetChange struct {
	Name              *string `json:"name"`
	Description       *string `json:"description"`
	SecurityToken     *string `json:"securityToken"`
	Address           *string `json:"address"`
	TargetType        *int64  `json:"targetType"` // -1: none
	RequestAttributes *bool   `json:"requestAttributes"`
}

func (a *API) listTargets(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, fleet.TargetFields())
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.Targets(r.Context(), l)
	if err != nil {
		return err
	}
	return a.writeTargets(w, r, page, total)
}

func (a *API) createTargets(w http.ResponseWriter, r *http.Request) error {
	var in []targetInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]fleet.NewTarget, len(in))
	for i, t := range in {
		list[i] = fleet.NewTarget{ControllerID: t.ControllerID, Name: t.Name, Description: t.Description, Token: t.SecurityToken, Address: t.Address, Type: (*fleet.TargetTypeID)(t.TargetType), Group: t.Group}
	}
	created, err := a.Fleet.CreateTargets(r.Context(), list)
	if err != nil {
		return err
	}
	body, err := a.newTargetBody(r)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(created, body))
}

func (a *API) getTarget(w http.ResponseWriter, r *http.Request) error {
	t, err := a.Fleet.Target(r.Context(), targetOf(r))
	if err != nil {
		return err
	}
	return a.writeTarget(w, r, t)
}

func (a *API) updateTarget(w http.ResponseWriter, r *http.Request) error {
	var in targetChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if in.RequestAttributes != nil && !*in.RequestAttributes {
		httpjson.Empty(w, http.StatusBadRequest) // a device decides when it has answered; the contract's answer has no body
		return nil
	}
	t, err := a.Fleet.UpdateTarget(r.Context(), targetOf(r), fleet.TargetChange{
		Name: in.Name, Description: in.Description, Token: in.SecurityToken, Address: in.Address, Type: (*fleet.TargetTypeID)(in.TargetType), RequestAttributes: in.RequestAttributes,
	})
	if err != nil {
		return err
	}
	return a.writeTarget(w, r, t)
}

func (a *API) deleteTarget(w http.ResponseWriter, r *http.Request) error {
	if err := a.Fleet.DeleteTarget(r.Context(), targetOf(r)); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) setTargetType(w http.ResponseWriter, r *http.Request) error {
	var in idInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	switch {
	case in.ID == nil:
		return fault.New(fault.Invalid, "assignType.targetTypeId must not be null.")
	case *in.ID == int64(fleet.NoType): // which takes the type away in PUT alone
		return fault.Missing("TargetType", *in.ID)
	}
	if err := a.Fleet.SetType(r.Context(), targetOf(r), fleet.TargetTypeID(*in.ID)); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) unsetTargetType(w http.ResponseWriter, r *http.Request) error {
	if err := a.Fleet.SetType(r.Context(), targetOf(r), fleet.NoType); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) getTargetAttributes(w http.ResponseWriter, r *http.Request) error {
	values, err := a.Fleet.Attributes(r.Context(), targetOf(r))
	if err != nil {
		return err
	}
	if len(values) == 0 {
		httpjson.NoContent(w, r)
		return nil
	}
	return httpjson.Write(w, r, http.StatusOK, values)
}

// setOf answers with one of the sets of a target; 204 when there is none, and
// when there is no such target (a surprise of the contract).
func setOf(choose func(*fleet.Target) software.SetID) func(*API, http.ResponseWriter, *http.Request) error {
	return func(a *API, w http.ResponseWriter, r *http.Request) error {
		t, err := a.Fleet.Target(r.Context(), targetOf(r))
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if t == nil || choose(t) == 0 {
			httpjson.NoContent(w, r)
			return nil
		}
		s, err := a.Software.Set(r.Context(), choose(t))
		if err != nil {
			return err
		}
		return httpjson.Write(w, r, http.StatusOK, singleSetBody(r, s))
	}
}

// listTargetsOfSet lists targets below a set, by whose fields the list is sorted.
func (a *API) listTargetsOfSet(w http.ResponseWriter, r *http.Request, list func(context.Context, software.SetID, query.List) ([]fleet.Target, int, error)) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	l, err := query.ParseSubList(r.URL.Query(), fleet.TargetFields(), software.SetFields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := list(r.Context(), id, l)
	if err != nil {
		return err
	}
	return a.writeTargets(w, r, page, total)
}

func (a *API) listAssignedTargets(w http.ResponseWriter, r *http.Request) error {
	return a.listTargetsOfSet(w, r, a.Fleet.AssignedTargets)
}

func (a *API) listInstalledTargets(w http.ResponseWriter, r *http.Request) error {
	return a.listTargetsOfSet(w, r, a.Fleet.InstalledTargets)
}

// targetMetadatumBody is one entry of a target's metadata on the wire.
type targetMetadatumBody struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func newTargetMetadatumBody(m *fleet.Metadatum) targetMetadatumBody { return targetMetadatumBody(*m) }

type targetMetadatumInput struct {
	Key   *string `json:"key" doc:"required"`
	Value *string `json:"value" doc:"required"`
}

// targetMetadatumChange has no key: the path names it.
type targetMetadatumChange struct {
	Value *string `json:"value"`
}

func (a *API) createTargetMetadata(w http.ResponseWriter, r *http.Request) error {
	var in []targetMetadatumInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]fleet.Metadatum, len(in))
	for i, m := range in {
		switch {
		case m.Key == nil:
			return errNoMetadataKey()
		case m.Value == nil:
			return errNoMetadataValue()
		}
		list[i] = fleet.Metadatum{Key: *m.Key, Value: *m.Value}
	}
	if err := a.Fleet.CreateMetadata(r.Context(), targetOf(r), list); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusCreated)
	return nil
}

func (a *API) listTargetMetadata(w http.ResponseWriter, r *http.Request) error {
	list, err := a.Fleet.Metadata(r.Context(), targetOf(r))
	if err != nil {
		return err
	}
	return writeList(w, r, list, len(list), newTargetMetadatumBody)
}

func (a *API) getTargetMetadatum(w http.ResponseWriter, r *http.Request) error {
	m, err := a.Fleet.Metadatum(r.Context(), targetOf(r), r.PathValue("key"))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newTargetMetadatumBody(m))
}

func (a *API) putTargetMetadatum(w http.ResponseWriter, r *http.Request) error {
	var in targetMetadatumChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if in.Value == nil {
		return fault.New(fault.Invalid, "createMetadata.value must not be null.")
	}
	if err := a.Fleet.PutMetadatum(r.Context(), targetOf(r), fleet.Metadatum{Key: r.PathValue("key"), Value: *in.Value}); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) deleteTargetMetadatum(w http.ResponseWriter, r *http.Request) error {
	if err := a.Fleet.DeleteMetadatum(r.Context(), targetOf(r), r.PathValue("key")); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
