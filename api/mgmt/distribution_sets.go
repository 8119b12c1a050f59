package mgmt

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
)

func distributionSetRoutes() []route {
	const base = "/rest/v1/distributionsets"
	const one = base + "/{setId}"
	change := put(one, needs(identity.UpdateDistributionSet), "Change a distribution set", setChange{}, setBody{}, http.StatusOK, (*API).updateSet)
	change.produces = jsonTypes()
	metadatum := get(one+"/metadata/{key}", needs(identity.ReadDistributionSet), "Read one entry of the metadata of a distribution set", setMetadatumBody{}, (*API).getSetMetadatum)
	metadatum.produces = jsonTypes()
	return []route{
		get(base, needs(identity.ReadDistributionSet), "List distribution sets", listBody[setBody]{}, (*API).listSets).with(deletedParameter()),
		post(base, needs(identity.CreateDistributionSet), "Create distribution sets", []setInput{}, []setBody{}, http.StatusCreated, (*API).createSets),
		get(one, needs(identity.ReadDistributionSet), "Read a distribution set", setBody{}, (*API).getSet),
		change,
		del(one, needs(identity.DeleteDistributionSet), "Delete a distribution set", (*API).deleteSet),
		get(one+"/assignedSM", needs(identity.ReadSoftwareModule), "List the software modules of a distribution set", listBody[moduleBody]{}, (*API).listSetModules).without("q"),
		post(one+"/assignedSM", needs(identity.UpdateDistributionSet), "Add software modules to a distribution set", []idInput{}, nil, http.StatusNoContent, (*API).addSetModules),
		del(one+"/assignedSM/{moduleId}", needs(identity.UpdateDistributionSet), "Remove a software module from a distribution set", (*API).removeSetModule),
		get(one+"/metadata", needs(identity.ReadDistributionSet), "List the metadata of a distribution set", listBody[setMetadatumBody]{}, (*API).listSetMetadata).without("offset", "limit", "sort", "q"),
		post(one+"/metadata", needs(identity.UpdateDistributionSet), "Add or replace metadata of a distribution set", []setMetadatumInput{}, nil, http.StatusCreated, (*API).createSetMetadata),
		metadatum,
		put(one+"/metadata/{key}", needs(identity.UpdateDistributionSet), "Add or replace one entry of the metadata of a distribution set", setMetadatumChange{}, nil, http.StatusNoContent, (*API).putSetMetadatum),
		del(one+"/metadata/{key}", needs(identity.UpdateDistributionSet), "Delete one entry of the metadata of a distribution set", (*API).deleteSetMetadatum),
		post(one+"/assignedTargets", needs(identity.UpdateTarget, identity.ReadDistributionSet), "Assign a distribution set to targets", []targetAssignmentInput{}, assignedBody{}, http.StatusOK, (*API).assignSet).with(offlineParameter()),
		get(one+"/statistics", needs(identity.ReadDistributionSet), "Count what uses a distribution set", setStatisticsBody{}, (*API).setStatistics),
		get(one+"/statistics/actions", needs(identity.ReadDistributionSet), "Count the actions of a distribution set by status", setStatisticsBody{}, (*API).setActionStatistics),
		get(one+"/statistics/rollouts", needs(identity.ReadDistributionSet), "Count the rollouts of a distribution set by status", setStatisticsBody{}, (*API).setRolloutStatistics),
		get(one+"/statistics/autoassignments", needs(identity.ReadDistributionSet), "Count the auto-assignments of a distribution set", setStatisticsBody{}, (*API).setAutoAssignmentStatistics),
		post(one+"/invalidate", needs(identity.UpdateDistributionSet, identity.ReadDistributionSet), "Invalidate a distribution set for ever", invalidation{}, nil, http.StatusNoContent, (*API).invalidateSet),
	}
}

// setBody is a distribution set on the wire (management-api 2.8).
type setBody struct {
	ID                    int64        `json:"id"`
	Name                  string       `json:"name"`
	Version               string       `json:"version"`
	Description           *string      `json:"description,omitempty"`
	Type                  string       `json:"type"` // key
	TypeName              string       `json:"typeName"`
	RequiredMigrationStep bool         `json:"requiredMigrationStep"`
	Complete              bool         `json:"complete"`
	Valid                 bool         `json:"valid"`
	Locked                bool         `json:"locked"`
	Deleted               bool         `json:"deleted"`
	Modules               []moduleBody `json:"modules"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newSetBody(r *http.Request) func(*software.Set) setBody {
	return func(s *software.Set) setBody {
		return setBody{
			int64(s.ID), s.Name, s.Version, s.Description, s.Type.Key, s.Type.Name, s.RequiredMigrationStep, s.Complete(), s.Valid, s.Locked, s.Deleted,
			bodies(s.Modules, newModuleBody(r)), newStampsBody(s.Stamps), links(href(r, "/distributionsets/%d", s.ID)),
		}
	}
}

// singleSetBody is the view of one set, which leads on.
func singleSetBody(r *http.Request, s *software.Set) setBody {
	b := newSetBody(r)(s)
	self := b.Links[0].Href
	b.Links = append(b.Links,
		httpjson.Link{Rel: "modules", Href: self + "/assignedSM?offset=0&limit=50"},
		httpjson.Link{Rel: "type", Href: href(r, "/distributionsettypes/%d", s.Type.ID)},
		httpjson.Link{Rel: "metadata", Href: self + "/metadata"})
	return b
}

// setInput creates a set.
type setInput struct {
	Name                  string    `json:"name" doc:"required"`
	Version               string    `json:"version" doc:"required"`
	Description           *string   `json:"description"`
	Type                  *string   `json:"type"` // key; absent: the tenant's default
	RequiredMigrationStep bool      `json:"requiredMigrationStep"`
	Modules               []idInput `json:"modules"`
}

// setChange changes a set; what is absent stays.
type setChange struct {
	Name                  *string `json:"name"`
	Version               *string `json:"version"`
	Description           *string `json:"description"`
	Locked                *bool   `json:"locked"`
	RequiredMigrationStep *bool   `json:"requiredMigrationStep"`
}

func (a *API) listSets(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, software.SetListFields())
	if err != nil {
		return err
	}
	d, err := readDeleted(r)
	if err != nil {
		return err
	}
	page, total, err := a.Software.Sets(r.Context(), l, d)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newSetBody(r))
}

func (a *API) createSets(w http.ResponseWriter, r *http.Request) error {
	// The entity's READ is needed beside, or that of the settings (2.8).
	if !may(r, identity.ReadConfiguration) {
		if err := a.require(r, identity.ReadDistributionSet); err != nil {
			return err
		}
	}
	var in []setInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.NewSet, len(in))
	for i, s := range in {
		list[i] = software.NewSet{
			TypeKey: s.Type, Name: s.Name, Version: s.Version, Description: s.Description,
			RequiredMigrationStep: s.RequiredMigrationStep, Modules: idsOf[software.ModuleID](s.Modules),
		}
		if len(s.Modules) > 0 {
			if err := a.require(r, identity.ReadSoftwareModule); err != nil {
				return err
			}
		}
	}
	created, err := a.Software.CreateSets(r.Context(), list)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(created, newSetBody(r)))
}

func (a *API) getSet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	s, err := a.Software.Set(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetBody(r, s))
}

func (a *API) updateSet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	var in setChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	s, err := a.Software.UpdateSet(r.Context(), id, software.SetChange(in))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetBody(r, s))
}

func (a *API) deleteSet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteSet(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listSetModules(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	values := url.Values{} // q is ignored here
	for name, v := range r.URL.Query() {
		if name != "q" {
			values[name] = v
		}
	}
	l, err := query.ParseSubList(values, software.ModuleFields(), software.SetFields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Software.SetModules(r.Context(), id, l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newModuleBody(r))
}

func (a *API) addSetModules(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	var in []idInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if err := a.Software.AddModules(r.Context(), id, idsOf[software.ModuleID](in)); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) removeSetModule(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	module, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	if err := a.Software.RemoveModule(r.Context(), id, module); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

// setMetadatumBody is one entry of a set's metadata on the wire.
type setMetadatumBody struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func newSetMetadatumBody(m *software.Metadatum) setMetadatumBody { return setMetadatumBody(*m) }

type setMetadatumInput struct {
	Key   *string `json:"key" doc:"required"`
	Value *string `json:"value" doc:"required"`
}

// setMetadatumChange has no key: the path names it.
type setMetadatumChange struct {
	Value *string `json:"value"`
}

// errNoMetadataValue answers an entry of a set's metadata that has no value.
func errNoMetadataValue() error {
	return fault.New(fault.IntegrityViolation, "Every entry of metadata needs a value; it may be empty.")
}

func (a *API) listSetMetadata(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	list, err := a.Software.SetMetadata(r.Context(), id)
	if err != nil {
		return err
	}
	return writeList(w, r, list, len(list), newSetMetadatumBody)
}

func (a *API) createSetMetadata(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	var in []setMetadatumInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.Metadatum, len(in))
	for i, m := range in {
		switch {
		case m.Key == nil:
			return errNoMetadataKey()
		case m.Value == nil:
			return errNoMetadataValue()
		}
		list[i] = software.Metadatum{Key: *m.Key, Value: *m.Value}
	}
	if err := a.Software.SaveSetMetadata(r.Context(), id, list); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusCreated)
	return nil
}

func (a *API) getSetMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	m, err := a.Software.SetMetadatum(r.Context(), id, r.PathValue("key"))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newSetMetadatumBody(m))
}

func (a *API) putSetMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	var in setMetadatumChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if in.Value == nil {
		return errNoMetadataValue()
	}
	if err := a.Software.SaveSetMetadata(r.Context(), id, []software.Metadatum{{Key: r.PathValue("key"), Value: *in.Value}}); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) deleteSetMetadatum(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteSetMetadatum(r.Context(), id, r.PathValue("key")); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

// invalidation says what becomes of the actions of an invalidated set.
type invalidation struct {
	ActionCancelationType cancelation `json:"actionCancelationType" bind:"required"`
}

type cancelation string

const (
	cancelSoft  cancelation = "soft"
	cancelForce cancelation = "force"
	cancelNone  cancelation = "none"
)

// Literals implements httpjson.Enum.
func (cancelation) Literals() []string {
	return []string{string(cancelSoft), string(cancelForce), string(cancelNone)}
}

func (c cancelation) domain() rollout.Cancelation {
	switch c {
	case cancelSoft:
		return rollout.CancelSoft
	case cancelForce:
		return rollout.CancelForce
	case cancelNone:
	}
	return rollout.CancelNothing
}

func (a *API) invalidateSet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	var in invalidation
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if in.ActionCancelationType != cancelNone {
		if err := a.require(r, identity.UpdateRollout, identity.UpdateTarget); err != nil {
			return err
		}
	}
	return done(w, r, a.Rollout.InvalidateSet(r.Context(), id, in.ActionCancelationType.domain()))
}

func (a *API) assignSet(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return err
	}
	offline, err := readBool(r, "offline")
	if err != nil {
		return err
	}
	var in []targetAssignmentInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	orders := make([]deployment.Order, len(in))
	for i := range in {
		orders[i] = in[i].order()
	}
	done, err := a.Deployment.AssignSet(r.Context(), id, orders, offline)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newAssignedBody(r, done))
}

// setStatisticsBody counts what uses a set: by status in upper case, and in all
// (management-api 2.8).
type setStatisticsBody struct {
	Actions              map[string]int `json:"actions,omitempty"`
	Rollouts             map[string]int `json:"rollouts,omitempty"`
	TotalAutoAssignments *int           `json:"totalAutoAssignments,omitempty"`
}

// setStatistics always has all parts; the partial views leave out what is empty.
func (a *API) setStatistics(w http.ResponseWriter, r *http.Request) error {
	id, err := a.statisticsOf(r)
	if err != nil {
		return err
	}
	actions, err := a.countActions(r, id)
	if err != nil {
		return err
	}
	rollouts, err := a.countRollouts(r, id)
	if err != nil {
		return err
	}
	rules, err := a.Rollout.CountAutoAssignments(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, setStatisticsBody{Actions: actions, Rollouts: rollouts, TotalAutoAssignments: &rules})
}

func (a *API) setActionStatistics(w http.ResponseWriter, r *http.Request) error {
	id, err := a.statisticsOf(r)
	if err != nil {
		return err
	}
	actions, err := a.countActions(r, id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, setStatisticsBody{Actions: unlessEmpty(actions)})
}

func (a *API) setRolloutStatistics(w http.ResponseWriter, r *http.Request) error {
	id, err := a.statisticsOf(r)
	if err != nil {
		return err
	}
	rollouts, err := a.countRollouts(r, id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, setStatisticsBody{Rollouts: unlessEmpty(rollouts)})
}

func (a *API) setAutoAssignmentStatistics(w http.ResponseWriter, r *http.Request) error {
	id, err := a.statisticsOf(r)
	if err != nil {
		return err
	}
	var b setStatisticsBody
	n, err := a.Rollout.CountAutoAssignments(r.Context(), id)
	if n > 0 {
		b.TotalAutoAssignments = &n
	}
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, b)
}

// statisticsOf returns the set that statistics are asked of, if it exists.
func (a *API) statisticsOf(r *http.Request) (software.SetID, error) {
	id, err := pathID[software.SetID](r, "setId")
	if err != nil {
		return 0, err
	}
	_, err = a.Software.Set(r.Context(), id)
	return id, err
}

func (a *API) countActions(r *http.Request, id software.SetID) (map[string]int, error) {
	byStatus, err := a.Deployment.CountActions(r.Context(), id)
	return counted(byStatus), err
}

func (a *API) countRollouts(r *http.Request, id software.SetID) (map[string]int, error) {
	byStatus, err := a.Rollout.CountRollouts(r.Context(), id)
	return counted(byStatus), err
}

// counted returns counts as statistics have them: by status in upper case, and
// in all.
func counted[S interface {
	comparable
	String() string
}](byStatus map[S]int) map[string]int {
	counts := map[string]int{"total": 0}
	for status, n := range byStatus {
		counts[strings.ToUpper(status.String())] = n
		counts["total"] += n
	}
	return counts
}

func unlessEmpty(counts map[string]int) map[string]int {
	if counts["total"] == 0 {
		return nil
	}
	return counts
}
