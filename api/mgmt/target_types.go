package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func targetTypeRoutes() []route {
	const base = "/rest/v1/targettypes"
	const one = base + "/{typeId}"
	const compatible = one + "/compatibledistributionsettypes"
	extend := needs(identity.UpdateTargetType, identity.ReadDistributionSetType)
	return []route{
		get(base, needs(identity.ReadTargetType), "List target types", listBody[targetTypeBody]{}, (*API).listTargetTypes),
		post(base, needs(identity.CreateTargetType), "Create target types", []targetTypeInput{}, []targetTypeBody{}, http.StatusCreated, (*API).createTargetTypes),
		get(one, needs(identity.ReadTargetType), "Read a target type", targetTypeBody{}, (*API).getTargetType),
		put(one, needs(identity.UpdateTargetType), "Change a target type", targetTypeChange{}, targetTypeBody{}, http.StatusOK, (*API).updateTargetType),
		del(one, needs(identity.DeleteTargetType), "Delete a target type", (*API).deleteTargetType),
		get(compatible, needs(identity.ReadTargetType), "List the distribution set types that targets of a type accept", []setTypeBody{}, (*API).listCompatibleSetTypes),
		post(compatible, extend, "Let targets of a type accept distribution set types", []idInput{}, nil, http.StatusNoContent, (*API).addCompatibleSetTypes),
		del(compatible+"/{setTypeId}", extend, "Let targets of a type accept a distribution set type no more", (*API).removeCompatibleSetType),
	}
}

// targetTypeBody is a target type on the wire (management-api 2.4).
type targetTypeBody struct {
	ID          int64   `json:"id"`
	Key         string  `json:"key"`
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	Colour      *string `json:"colour,omitempty"`
	Deleted     bool    `json:"deleted"` // never: a deleted one is gone
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newTargetTypeBody(r *http.Request) func(*fleet.Type) targetTypeBody {
	return func(t *fleet.Type) targetTypeBody {
		return targetTypeBody{int64(t.ID), t.Key, t.Name, t.Description, t.Colour, false, newStampsBody(t.Stamps), links(href(r, "/targettypes/%d", t.ID))}
	}
}

// singleTargetTypeBody is the view of one type, which leads on.
func singleTargetTypeBody(r *http.Request, t *fleet.Type) targetTypeBody {
	b := newTargetTypeBody(r)(t)
	b.Links = append(b.Links, httpjson.Link{Rel: "compatibledistributionsettypes", Href: b.Links[0].Href + "/compatibledistributionsettypes"})
	return b
}

// targetTypeInput creates a target type.
type targetTypeInput struct {
	Key         *string   `json:"key"`
	Name        *string   `json:"name"`
	Description *string   `json:"description"`
	Colour      *string   `json:"colour"`
	Compatible  []idInput `json:"compatibledistributionsettypes"`
}

// targetTypeChange changes a target type; what is absent stays.
type targetTypeChange struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Colour      *string `json:"colour"`
}

func (a *API) listTargetTypes(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, fleet.TypeFields())
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.Types(r.Context(), l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newTargetTypeBody(r))
}

func (a *API) createTargetTypes(w http.ResponseWriter, r *http.Request) error {
	var in []targetTypeInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]fleet.NewType, len(in))
	for i, t := range in {
		if len(t.Compatible) > 0 {
			if err := a.require(r, identity.ReadDistributionSetType); err != nil {
				return err
			}
		}
		list[i] = fleet.NewType{Key: t.Key, Name: t.Name, Description: t.Description, Colour: t.Colour, SetTypes: idsOf[software.SetTypeID](t.Compatible)}
	}
	created, err := a.Fleet.CreateTypes(r.Context(), list)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(created, newTargetTypeBody(r)))
}

func (a *API) getTargetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	t, err := a.Fleet.Type(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleTargetTypeBody(r, t))
}

func (a *API) updateTargetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	var in targetTypeChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	t, err := a.Fleet.UpdateType(r.Context(), id, fleet.TypeChange(in))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleTargetTypeBody(r, t))
}

func (a *API) deleteTargetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	if err := a.Fleet.DeleteType(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listCompatibleSetTypes(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	t, err := a.Fleet.Type(r.Context(), id)
	if err != nil {
		return err
	}
	list := make([]software.SetType, 0, len(t.SetTypes))
	for _, id := range t.SetTypes {
		typ, err := a.Software.SetType(r.Context(), id)
		if fault.Is(err, fault.NotFound) {
			continue // it was deleted just now
		}
		if err != nil {
			return err
		}
		list = append(list, *typ)
	}
	return httpjson.Write(w, r, http.StatusOK, bodies(list, newSetTypeBody(r)))
}

func (a *API) addCompatibleSetTypes(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	var in []idInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if err := a.Fleet.AddSetTypes(r.Context(), id, idsOf[software.SetTypeID](in)); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) removeCompatibleSetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TargetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	setType, err := pathID[software.SetTypeID](r, "setTypeId")
	if err != nil {
		return err
	}
	if _, err := a.Fleet.Type(r.Context(), id); err != nil {
		return err
	}
	if _, err := a.Software.SetType(r.Context(), setType); err != nil {
		return err
	}
	if err := a.Fleet.RemoveSetType(r.Context(), id, setType); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
