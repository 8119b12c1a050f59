package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func softwareModuleRoutes() []route {
	const base = "/rest/v1/softwaremodules"
	const one = base + "/{moduleId}"
	return []route{
		get(base, needs(identity.ReadSoftwareModule), "List software modules", listBody[moduleBody]{}, (*API).listModules).with(deletedParameter()),
		post(base, needs(identity.CreateSoftwareModule), "Create software modules", []moduleInput{}, []moduleBody{}, http.StatusCreated, (*API).createModules),
		get(one, needs(identity.ReadSoftwareModule), "Read a software module", moduleBody{}, (*API).getModule),
		put(one, needs(identity.UpdateSoftwareModule), "Change a software module", moduleChange{}, moduleBody{}, http.StatusOK, (*API).updateModule),
		// READ decides first: a caller without it must not learn what exists.
		del(one, needs(identity.DeleteSoftwareModule, identity.ReadSoftwareModule), "Delete a software module", (*API).deleteModule),
		get(one+"/metadata", needs(identity.ReadSoftwareModule), "List the metadata of a software module", listBody[moduleMetadatumBody]{}, (*API).listModuleMetadata).without("offset", "limit", "sort", "q"),
		post(one+"/metadata", needs(identity.UpdateSoftwareModule), "Add or replace metadata of a software module", []moduleMetadatumInput{}, nil, http.StatusCreated, (*API).createModuleMetadata),
		get(one+"/metadata/{key}", needs(identity.ReadSoftwareModule), "Read one entry of the metadata of a software module", moduleMetadatumBody{}, (*API).getModuleMetadatum),
		put(one+"/metadata/{key}", needs(identity.UpdateSoftwareModule), "Add or replace one entry of the metadata of a software module", moduleMetadatumChange{}, nil, http.StatusNoContent, (*API).putModuleMetadatum),
		del(one+"/metadata/{key}", needs(identity.UpdateSoftwareModule), "Delete one entry of the metadata of a software module", (*API).deleteModuleMetadatum),
	}
}

// moduleBody is a software module on the wire (management-api 2.11).
type moduleBody struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	Version     string  `json:"version"`
	Type        string  `json:"type"` // key
	TypeName    string  `json:"typeName"`
	Description *string `json:"description,omitempty"`
	Vendor      *string `json:"vendor,omitempty"`
	Encrypted   bool    `json:"encrypted"`
	Locked      bool    `json:"locked"`
	Deleted     bool    `json:"deleted"`
	Complete    bool    `json:"complete"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newModuleBody(r *http.Request) func(*software.Module) moduleBody {
	return func(m *software.Module) moduleBody {
		return moduleBody{
			int64(m.ID), m.Name, m.Version, m.Type.Key, m.Type.Name, m.Description, m.Vendor, m.Encrypted, m.Locked, m.Deleted, m.Complete(),
			newStampsBody(m.Stamps), links(href(r, "/softwaremodules/%d", m.ID)),
		}
	}
}

// singleModuleBody is the view of one module, which leads on.
func singleModuleBody(r *http.Request, m *software.Module) moduleBody {
	b := newModuleBody(r)(m)
	self := b.Links[0].Href
	b.Links = append(b.Links,
		httpjson.Link{Rel: "artifacts", Href: self + "/artifacts"},
		httpjson.Link{Rel: "type", Href: href(r, "/softwaremoduletypes/%d", m.Type.ID)},
		httpjson.Link{Rel: "metadata", Href: self + "/metadata"})
	return b
}

// moduleInput creates a module.
type moduleInput struct {
	Type        string  `json:"type" doc:"required"`
	Name        string  `json:"name" doc:"required"`
	Version     string  `json:"version" doc:"required"`
	Description *string `json:"description"`
	Vendor      *string `json:"vendor"`
	Encrypted   bool    `json:"encrypted" bind:"primitive"`
}

// moduleChange changes a module; what is absent stays.
type moduleChange struct {
	Description *string `json:"description"`
	Vendor      *string `json:"vendor"`
	Locked      *bool   `json:"locked"`
}

func (a *API) listModules(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, software.ModuleFields())
	if err != nil {
		return err
	}
	d, err := readDeleted(r)
	if err != nil {
		return err
	}
	page, total, err := a.Software.Modules(r.Context(), l, d)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newModuleBody(r))
}

func (a *API) createModules(w http.ResponseWriter, r *http.Request) error {
	var in []moduleInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.NewModule, len(in))
	for i, m := range in {
		list[i] = software.NewModule{TypeKey: m.Type, Name: m.Name, Version: m.Version, Description: m.Description, Vendor: m.Vendor, Encrypted: m.Encrypted}
	}
	created, err := a.Software.CreateModules(r.Context(), list)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(created, newModuleBody(r)))
}

func (a *API) getModule(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	m, err := a.Software.Module(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleModuleBody(r, m))
}

func (a *API) updateModule(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	var in moduleChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	m, err := a.Software.UpdateModule(r.Context(), id, software.ModuleChange(in))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleModuleBody(r, m))
}

func (a *API) deleteModule(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteModule(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

// moduleMetadatumBody is one entry of a module's metadata on the wire.
type moduleMetadatumBody struct {
	Key           string  `json:"key"`
	Value         *string `json:"value,omitempty"`
	TargetVisible bool    `json:"targetVisible"`
}

func newModuleMetadatumBody(m *software.ModuleMetadatum) moduleMetadatumBody {
	return moduleMetadatumBody{m.Key, m.Value, m.TargetVisible}
}

type moduleMetadatumInput struct {
	Key           *string `json:"key" doc:"required"`
	Value         *string `json:"value" doc:"required"`
	TargetVisible bool    `json:"targetVisible" bind:"primitive"`
}

// moduleMetadatumChange has no key: the path names it.
type moduleMetadatumChange struct {
	Value         *string `json:"value"`
	TargetVisible bool    `json:"targetVisible"`
}

func (a *API) listModuleMetadata(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	list, err := a.Software.ModuleMetadata(r.Context(), id)
	if err != nil {
		return err
	}
	return writeList(w, r, list, len(list), newModuleMetadatumBody)
}

func (a *API) createModuleMetadata(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	var in []moduleMetadatumInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.ModuleMetadatum, len(in))
	for i, m := range in {
		if m.Key == nil {
			return errNoMetadataKey()
		}
		list[i] = software.ModuleMetadatum{Key: *m.Key, Value: m.Value, TargetVisible: m.TargetVisible}
	}
	if err := a.Software.SaveModuleMetadata(r.Context(), id, list); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusCreated)
	return nil
}

// errNoMetadataKey answers an entry of metadata that has no key.
func errNoMetadataKey() error {
	return fault.New(fault.IntegrityViolation, "Every entry of metadata needs a key.")
}

func (a *API) getModuleMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	m, err := a.Software.ModuleMetadatum(r.Context(), id, r.PathValue("key"))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newModuleMetadatumBody(m))
}

func (a *API) putModuleMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	var in moduleMetadatumChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	entry := software.ModuleMetadatum{Key: r.PathValue("key"), Value: in.Value, TargetVisible: in.TargetVisible}
	if err := a.Software.SaveModuleMetadata(r.Context(), id, []software.ModuleMetadatum{entry}); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) deleteModuleMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteModuleMetadatum(r.Context(), id, r.PathValue("key")); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
