package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func softwareModuleTypeRoutes() []route {
	const base = "/rest/v1/softwaremoduletypes"
	return []route{
		get(base, needs(identity.ReadSoftwareModuleType), "List software module types", listBody[moduleTypeBody]{}, (*API).listModuleTypes).with(deletedParameter()),
		post(base, needs(identity.CreateSoftwareModuleType), "Create software module types", []moduleTypeInput{}, []moduleTypeBody{}, http.StatusCreated, (*API).createModuleTypes),
		get(base+"/{typeId}", needs(identity.ReadSoftwareModuleType), "Read a software module type", moduleTypeBody{}, (*API).getModuleType),
		put(base+"/{typeId}", needs(identity.UpdateSoftwareModuleType), "Change a software module type", typeChange{}, moduleTypeBody{}, http.StatusOK, (*API).updateModuleType),
		del(base+"/{typeId}", needs(identity.DeleteSoftwareModuleType), "Delete a software module type", (*API).deleteModuleType),
	}
}

// moduleTypeBody is a software module type on the wire (management-api 2.12).
type moduleTypeBody struct {
	ID             int64   `json:"id"`
	Key            string  `json:"key"`
	Name           string  `json:"name"`
	Description    *string `json:"description,omitempty"`
	Colour         *string `json:"colour,omitempty"`
	MinArtifacts   int     `json:"minArtifacts"`
	MaxAssignments int     `json:"maxAssignments"`
	Deleted        bool    `json:"deleted"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newModuleTypeBody(r *http.Request) func(*software.ModuleType) moduleTypeBody {
	return func(t *software.ModuleType) moduleTypeBody {
		return moduleTypeBody{
			int64(t.ID), t.Key, t.Name, t.Description, t.Colour, t.MinArtifacts, t.MaxAssignments, t.Deleted,
			newStampsBody(t.Stamps), links(href(r, "/softwaremoduletypes/%d", t.ID)),
		}
	}
}

// moduleTypeInput creates a type.
type moduleTypeInput struct {
	Key            string  `json:"key" doc:"required"`
	Name           string  `json:"name" doc:"required"`
	Description    *string `json:"description"`
	Colour         *string `json:"colour"`
	MinArtifacts   int32   `json:"minArtifacts" bind:"primitive"`
	MaxAssignments int32   `json:"maxAssignments" bind:"primitive" doc:"required"`
}

func (a *API) listModuleTypes(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, software.ModuleTypeFields())
	if err != nil {
		return err
	}
	d, err := readDeleted(r)
	if err != nil {
		return err
	}
	page, total, err := a.Software.ModuleTypes(r.Context(), l, d)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newModuleTypeBody(r))
}

func (a *API) createModuleTypes(w http.ResponseWriter, r *http.Request) error {
	var in []moduleTypeInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	types := make([]software.ModuleType, len(in))
	for i, t := range in {
		types[i] = software.ModuleType{Key: t.Key, Name: t.Name, Description: t.Description, Colour: t.Colour, MinArtifacts: int(t.MinArtifacts), MaxAssignments: int(t.MaxAssignments)}
	}
	if err := a.Software.CreateModuleTypes(r.Context(), types); err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(types, newModuleTypeBody(r)))
}

func (a *API) getModuleType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleTypeID](r, "typeId")
	if err != nil {
		return err
	}
	t, err := a.Software.ModuleType(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newModuleTypeBody(r)(t))
}

func (a *API) updateModuleType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleTypeID](r, "typeId")
	if err != nil {
		return err
	}
	var in typeChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	t, err := a.Software.UpdateModuleType(r.Context(), id, in.Description, in.Colour)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newModuleTypeBody(r)(t))
}

func (a *API) deleteModuleType(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleTypeID](r, "typeId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteModuleType(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
