package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func distributionSetTypeRoutes() []route {
	const base = "/rest/v1/distributionsettypes"
	const one = base + "/{typeId}"
	all := []route{
		get(base, needs(identity.ReadDistributionSetType), "List distribution set types", listBody[setTypeBody]{}, (*API).listSetTypes).with(deletedParameter()),
		post(base, needs(identity.CreateDistributionSetType), "Create distribution set types", []setTypeInput{}, []setTypeBody{}, http.StatusCreated, (*API).createSetTypes),
		get(one, needs(identity.ReadDistributionSetType), "Read a distribution set type", setTypeBody{}, (*API).getSetType),
		put(one, needs(identity.UpdateDistributionSetType), "Change a distribution set type", typeChange{}, setTypeBody{}, http.StatusOK, (*API).updateSetType),
		del(one, needs(identity.DeleteDistributionSetType), "Delete a distribution set type", (*API).deleteSetType),
	}
	for _, mandatory := range []bool{true, false} {
		list, word := one+"/optionalmoduletypes", "optional"
		if mandatory {
			list, word = one+"/mandatorymoduletypes", "mandatory"
		}
		in := func(h func(*API, http.ResponseWriter, *http.Request, bool) error) func(*API, http.ResponseWriter, *http.Request) error {
			return func(a *API, w http.ResponseWriter, r *http.Request) error { return h(a, w, r, mandatory) }
		}
		all = append(all,
			get(list, needs(identity.ReadDistributionSetType), "List the "+word+" module types of a distribution set type", []moduleTypeBody{}, in((*API).listSetTypeModules)),
			post(list, needs(identity.UpdateDistributionSetType), "Add to the "+word+" module types of a distribution set type", idInput{}, nil, http.StatusNoContent, in((*API).addSetTypeModule)),
			get(list+"/{moduleTypeId}", needs(identity.ReadDistributionSetType, identity.ReadSoftwareModuleType), "Read one of the "+word+" module types of a distribution set type", moduleTypeBody{}, in((*API).getSetTypeModule)),
			del(list+"/{moduleTypeId}", needs(identity.UpdateDistributionSetType), "Remove a module type from a distribution set type", (*API).removeSetTypeModule))
	}
	return all
}

// setTypeBody is a distribution set type on the wire (management-api 2.9).
type setTypeBody struct {
	ID          int64   `json:"id"`
	Key         string  `json:"key"`
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	Colour      *string `json:"colour,omitempty"`
	Deleted     bool    `json:"deleted"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newSetTypeBody(r *http.Request) func(*software.SetType) setTypeBody {
	return func(t *software.SetType) setTypeBody {
		return setTypeBody{int64(t.ID), t.Key, t.Name, t.Description, t.Colour, t.Deleted, newStampsBody(t.Stamps), links(href(r, "/distributionsettypes/%d", t.ID))}
	}
}

// singleSetTypeBody is the view of one type, which leads on.
func singleSetTypeBody(r *http.Request, t *software.SetType) setTypeBody {
	b := newSetTypeBody(r)(t)
	self := b.Links[0].Href
	b.Links = append(b.Links,
		httpjson.Link{Rel: "mandatorymodules", Href: self + "/mandatorymoduletypes"},
		httpjson.Link{Rel: "optionalmodules", Href: self + "/optionalmoduletypes"})
	return b
}

// setTypeInput creates a set type.
type setTypeInput struct {
	Key              string    `json:"key" doc:"required"`
	Name             string    `json:"name" doc:"required"`
	Description      *string   `json:"description"`
	Colour           *string   `json:"colour"`
	MandatoryModules []idInput `json:"mandatorymodules"`
	OptionalModules  []idInput `json:"optionalmodules"`
}

// typeChange changes a type of modules or of sets; what is absent stays.
type typeChange struct {
	Description *string `json:"description"`
	Colour      *string `json:"colour"`
}

// idInput names an entity in a body. Without id it names none, which is told
// as one that is not there.
type idInput struct {
	ID *int64 `json:"id" doc:"required"`
}

func idsOf[ID ~int64](in []idInput) []*ID {
	ids := make([]*ID, len(in))
	for i, x := range in {
		if x.ID != nil {
			id := ID(*x.ID)
			ids[i] = &id
		}
	}
	return ids
}

func (a *API) listSetTypes(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, software.SetTypeFields())
	if err != nil {
		return err
	}
	d, err := readDeleted(r)
	if err != nil {
		return err
	}
	page, total, err := a.Software.SetTypes(r.Context(), l, d)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newSetTypeBody(r))
}

func (a *API) createSetTypes(w http.ResponseWriter, r *http.Request) error {
	var in []setTypeInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.NewSetType, len(in))
	for i, t := range in {
		list[i] = software.NewSetType{
			Key: t.Key, Name: t.Name, Description: t.Description, Colour: t.Colour,
			Mandatory: idsOf[software.ModuleTypeID](t.MandatoryModules), Optional: idsOf[software.ModuleTypeID](t.OptionalModules),
		}
		if len(t.MandatoryModules)+len(t.OptionalModules) > 0 {
			if err := a.require(r, identity.ReadSoftwareModuleType); err != nil {
				return err
			}
		}
	}
	created, err := a.Software.CreateSetTypes(r.Context(), list)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(created, newSetTypeBody(r)))
}

func (a *API) getSetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	t, err := a.Software.SetType(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetTypeBody(r, t))
}

func (a *API) updateSetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	var in typeChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	t, err := a.Software.UpdateSetType(r.Context(), id, in.Description, in.Colour)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetTypeBody(r, t))
}

func (a *API) deleteSetType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteSetType(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listSetTypeModules(w http.ResponseWriter, r *http.Request, mandatory bool) error {
	id, err := pathID[software.SetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	list, err := a.Software.SetTypeModules(r.Context(), id, mandatory)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, bodies(list, newModuleTypeBody(r)))
}

func (a *API) getSetTypeModule(w http.ResponseWriter, r *http.Request, mandatory bool) error {
	id, module, err := setTypeModulePath(r)
	if err != nil {
		return err
	}
	t, err := a.Software.SetTypeModule(r.Context(), id, mandatory, module)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newModuleTypeBody(r)(t))
}

func (a *API) addSetTypeModule(w http.ResponseWriter, r *http.Request, mandatory bool) error {
	id, err := pathID[software.SetTypeID](r, "typeId")
	if err != nil {
		return err
	}
	var in idInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if err := a.Software.AddSetTypeModule(r.Context(), id, mandatory, idsOf[software.ModuleTypeID]([]idInput{in})[0]); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) removeSetTypeModule(w http.ResponseWriter, r *http.Request) error {
	id, module, err := setTypeModulePath(r)
	if err != nil {
		return err
	}
	if err := a.Software.RemoveSetTypeModule(r.Context(), id, module); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func setTypeModulePath(r *http.Request) (id software.SetTypeID, module software.ModuleTypeID, err error) {
	if id, err = pathID[software.SetTypeID](r, "typeId"); err != nil {
		return 0, 0, err
	}
	module, err = pathID[software.ModuleTypeID](r, "moduleTypeId")
	return id, module, err
}
