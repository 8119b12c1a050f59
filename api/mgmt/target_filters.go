package mgmt

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/rollout"
)

func targetFilterRoutes() []route {
	const base = "/rest/v1/targetfilters"
	const one = base + "/{filterId}"
	read := needs(identity.ReadTarget)
	return []route{
		get(base, read, "List target filters", listBody[targetFilterBody]{}, (*API).listTargetFilters).with(representationParameter()),
		post(base, needs(identity.CreateTarget), "Save a target filter", targetFilterInput{}, targetFilterBody{}, http.StatusCreated, (*API).createTargetFilter),
		get(one, read, "Read a target filter", targetFilterBody{}, (*API).getTargetFilter),
		put(one, needs(identity.UpdateTarget, identity.ReadTarget), "Change a target filter", targetFilterChange{}, targetFilterBody{}, http.StatusOK, (*API).updateTargetFilter),
		del(one, needs(identity.DeleteTarget, identity.ReadTarget), "Delete a target filter and what it assigns", filterCall((*rollout.Service).DeleteTargetFilter)),
		get(one+"/autoAssignDS", read, "Read the distribution set that a target filter assigns", setBody{}, (*API).getAutoAssignedSet).orNothing(),
		post(one+"/autoAssignDS", needs(identity.UpdateTarget, identity.ReadTarget, identity.ReadDistributionSet), "Let a target filter assign a distribution set", filterAssignmentInput{}, targetFilterBody{}, http.StatusOK, (*API).assignByFilter),
		del(one+"/autoAssignDS", needs(identity.UpdateTarget, identity.ReadTarget), "Let a target filter assign nothing more", filterCall((*rollout.Service).UnassignFilter)),
	}
}

// targetFilterBody is a saved filter on the wire (management-api 2.6). Unlike
// other documents it has its members also when they are null.
type targetFilterBody struct {
	ID                        int64   `json:"id"`
	Name                      string  `json:"name"`
	Query                     string  `json:"query"`
	AutoAssignDistributionSet *int64  `json:"autoAssignDistributionSet"`
	AutoAssignActionType      *string `json:"autoAssignActionType" enum:"forced,soft,downloadonly"`
	AutoAssignWeight          *int    `json:"autoAssignWeight"`
	ConfirmationRequired      *bool   `json:"confirmationRequired"` // null unless the filter assigns and the confirmation flow is on
	stampsBody
	Links httpjson.Links `json:"_links"`
}

// A filterView says which links of a filter are shown.
type filterView struct{ assign, set bool }

// newTargetFilterBody makes filters' wire form; what it says of consent depends
// on the tenant's flow.
func (a *API) newTargetFilterBody(r *http.Request, v filterView) (func(*rollout.TargetFilter) targetFilterBody, error) {
	settings, err := a.Tenants.Settings(r.Context(), principal(r.Context()).Tenant)
	if err != nil {
		return nil, err
	}
	return func(f *rollout.TargetFilter) targetFilterBody {
		b := targetFilterBody{ID: int64(f.ID), Name: f.Name, Query: f.Query, stampsBody: newStampsBody(f.Stamps), Links: links(href(r, "/targetfilters/%d", f.ID))}
		if x := f.Linked(); x != nil {
			set, kind := int64(x.Set), forceTypeOf(x.Type)
			b.AutoAssignDistributionSet, b.AutoAssignActionType, b.AutoAssignWeight = &set, &kind, &x.Weight
			if settings.ConfirmationFlow {
				b.ConfirmationRequired = &x.Consent
			}
			if v.set {
				b.Links = append(b.Links, httpjson.Link{Rel: "DS", Href: href(r, "/distributionsets") + "?q=" + url.QueryEscape(fmt.Sprintf("name==%s;version==%s", x.SetName, x.SetVersion)) + "&offset=0&limit=50"})
			}
		}
		if v.assign {
			b.Links = append(b.Links, httpjson.Link{Rel: "autoAssignDS", Href: b.Links[0].Href + "/autoAssignDS"})
		}
		return b
	}, nil
}

// targetFilterInput saves a filter; targetFilterChange changes one, and what is
// absent stays.
type (
	targetFilterInput struct {
		Name  string `json:"name" doc:"required"`
		Query string `json:"query" doc:"required"`
	}
	targetFilterChange struct {
		Name  *string `json:"name"`
		Query *string `json:"query"`
	}
	filterAssignmentInput struct {
		ID                   int64       `json:"id" bind:"required"`
		Type                 *actionType `json:"type"`
		Weight               *int32      `json:"weight"`
		ConfirmationRequired *bool       `json:"confirmationRequired"`
	}
)

func filterID(r *http.Request) (rollout.FilterID, error) {
	return pathID[rollout.FilterID](r, "filterId")
}

func filterCall(call func(*rollout.Service, context.Context, rollout.FilterID) error) handler {
	return callOn("filterId", call)
}

func (a *API) listTargetFilters(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, rollout.TargetFilterFields())
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.TargetFilters(r.Context(), l)
	if err != nil {
		return err
	}
	return a.writeTargetFilters(w, r, page, total, filterView{set: readFull(r)})
}

func (a *API) listTargetFiltersOfSet(w http.ResponseWriter, r *http.Request) error {
	id, l, err := listBelowSet(r)
	if err != nil {
		return err
	}
	page, total, err := a.Rollout.TargetFiltersOf(r.Context(), id, l)
	if err != nil {
		return err
	}
	return a.writeTargetFilters(w, r, page, total, filterView{})
}

func (a *API) writeTargetFilters(w http.ResponseWriter, r *http.Request, page []rollout.TargetFilter, total int, v filterView) error {
	body, err := a.newTargetFilterBody(r, v)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, body)
}

func (a *API) writeTargetFilter(w http.ResponseWriter, r *http.Request, status int, f *rollout.TargetFilter, v filterView) error {
	body, err := a.newTargetFilterBody(r, v)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, status, body(f))
}

func (a *API) createTargetFilter(w http.ResponseWriter, r *http.Request) error {
	var in targetFilterInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	f, err := a.Rollout.CreateTargetFilter(r.Context(), in.Name, in.Query)
	if err != nil {
		return err
	}
	return a.writeTargetFilter(w, r, http.StatusCreated, f, filterView{assign: true})
}

func (a *API) getTargetFilter(w http.ResponseWriter, r *http.Request) error {
	id, err := filterID(r)
	if err != nil {
		return err
	}
	f, err := a.Rollout.TargetFilter(r.Context(), id)
	if err != nil {
		return err
	}
	return a.writeTargetFilter(w, r, http.StatusOK, f, filterView{assign: true, set: true})
}

func (a *API) updateTargetFilter(w http.ResponseWriter, r *http.Request) error {
	id, err := filterID(r)
	if err != nil {
		return err
	}
	var in targetFilterChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	f, err := a.Rollout.UpdateTargetFilter(r.Context(), id, in.Name, in.Query)
	if err != nil {
		return err
	}
	return a.writeTargetFilter(w, r, http.StatusOK, f, filterView{assign: true})
}

func (a *API) getAutoAssignedSet(w http.ResponseWriter, r *http.Request) error {
	id, err := filterID(r)
	if err != nil {
		return err
	}
	f, err := a.Rollout.TargetFilter(r.Context(), id)
	if err != nil {
		return err
	}
	x := f.Linked()
	if x == nil {
		httpjson.NoContent(w, r)
		return nil
	}
	set, err := a.Software.Set(r.Context(), x.Set)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetBody(r, set))
}

func (a *API) assignByFilter(w http.ResponseWriter, r *http.Request) error {
	id, err := filterID(r)
	if err != nil {
		return err
	}
	var in filterAssignmentInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	f, err := a.Rollout.AssignByFilter(r.Context(), id, newRule(in.ID, in.Type, in.Weight, in.ConfirmationRequired))
	if err != nil {
		return err
	}
	return a.writeTargetFilter(w, r, http.StatusOK, f, filterView{assign: true})
}
