package mgmt

import (
	"context"
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

func distributionSetTagRoutes() []route {
	const base = "/rest/v1/distributionsettags"
	const one = base + "/{tagId}"
	assign := needs(identity.UpdateDistributionSet, identity.ReadDistributionSet)
	return []route{
		get(base, needs(identity.ReadDistributionSet), "List distribution set tags", listBody[setTagBody]{}, (*API).listSetTags),
		post(base, needs(identity.CreateDistributionSet), "Create distribution set tags", []setTagInput{}, []setTagBody{}, http.StatusCreated, (*API).createSetTags),
		get(one, needs(identity.ReadDistributionSet), "Read a distribution set tag", setTagBody{}, (*API).getSetTag),
		put(one, needs(identity.UpdateDistributionSet), "Change a distribution set tag", setTagChange{}, setTagBody{}, http.StatusOK, (*API).updateSetTag),
		del(one, needs(identity.DeleteDistributionSet, identity.ReadDistributionSet), "Delete a distribution set tag", (*API).deleteSetTag),
		get(one+"/assigned", needs(identity.ReadDistributionSet), "List the distribution sets with a tag", listBody[setBody]{}, (*API).listTaggedSets),
		post(one+"/assigned", assign, "Give distribution sets a tag", []int64{}, nil, http.StatusNoContent, (*API).tagSets),
		del(one+"/assigned", assign, "Take a tag from distribution sets", (*API).untagSets).body([]int64{}),
		{method: http.MethodPost, path: one + "/assigned/{setId}", needs: assign, summary: "Give a distribution set a tag", status: http.StatusNoContent, handle: (*API).tagSet},
		del(one+"/assigned/{setId}", assign, "Take a tag from a distribution set", (*API).untagSet),
	}
}

// setTagBody is a tag of distribution sets on the wire (management-api 2.10).
type setTagBody struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	Colour      *string `json:"colour,omitempty"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newSetTagBody(r *http.Request) func(*software.Tag) setTagBody {
	return func(t *software.Tag) setTagBody {
		return setTagBody{int64(t.ID), t.Name, t.Description, t.Colour, newStampsBody(t.Stamps), links(href(r, "/distributionsettags/%d", t.ID))}
	}
}

// singleSetTagBody is the view of one tag, which leads on.
func singleSetTagBody(r *http.Request, t *software.Tag) setTagBody {
	b := newSetTagBody(r)(t)
	b.Links = append(b.Links, httpjson.Link{Rel: "assignedDistributionSets", Href: b.Links[0].Href + "/assigned?offset=0&limit=50"})
	return b
}

// setTagInput creates a tag; setTagChange changes one, and what is absent stays.
type (
	setTagInput struct {
		Name        string  `json:"name" doc:"required"`
		Description *string `json:"description"`
		Colour      *string `json:"colour"`
	}
	setTagChange struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
		Colour      *string `json:"colour"`
	}
)

func (a *API) listSetTags(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, software.SetTagFields())
	if err != nil {
		return err
	}
	page, total, err := a.Software.Tags(r.Context(), l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newSetTagBody(r))
}

func (a *API) createSetTags(w http.ResponseWriter, r *http.Request) error {
	var in []setTagInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	list := make([]software.Tag, len(in))
	for i, t := range in {
		list[i] = software.Tag{Name: t.Name, Description: t.Description, Colour: t.Colour}
	}
	if err := a.Software.CreateTags(r.Context(), list); err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(list, newSetTagBody(r)))
}

func (a *API) getSetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.TagID](r, "tagId")
	if err != nil {
		return err
	}
	t, err := a.Software.Tag(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetTagBody(r, t))
}

func (a *API) updateSetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.TagID](r, "tagId")
	if err != nil {
		return err
	}
	var in setTagChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	t, err := a.Software.UpdateTag(r.Context(), id, software.TagChange(in))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleSetTagBody(r, t))
}

func (a *API) deleteSetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.TagID](r, "tagId")
	if err != nil {
		return err
	}
	if err := a.Software.DeleteTag(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listTaggedSets(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.TagID](r, "tagId")
	if err != nil {
		return err
	}
	l, err := query.ParseSubList(r.URL.Query(), software.SetFields(), software.SetTagFields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Software.TaggedSets(r.Context(), id, l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newSetBody(r))
}

func (a *API) tagSets(w http.ResponseWriter, r *http.Request) error {
	return a.changeTagging(w, r, a.Software.TagSets, readSetIDs)
}

func (a *API) untagSets(w http.ResponseWriter, r *http.Request) error {
	return a.changeTagging(w, r, a.Software.UntagSets, func(w http.ResponseWriter, r *http.Request) ([]software.SetID, error) {
		if !httpjson.Typed(r, jsonTypes()...) {
			return nil, fault.New(fault.Unreadable, "A list of ids is needed as a JSON body, with its Content-Type.")
		}
		return readSetIDs(w, r)
	})
}

func (a *API) tagSet(w http.ResponseWriter, r *http.Request) error {
	return a.changeTagging(w, r, a.Software.TagSets, pathSetID)
}

func (a *API) untagSet(w http.ResponseWriter, r *http.Request) error {
	return a.changeTagging(w, r, a.Software.UntagSets, pathSetID)
}

func (a *API) changeTagging(w http.ResponseWriter, r *http.Request, change func(context.Context, software.TagID, []software.SetID) error, read setIDs) error {
	id, err := pathID[software.TagID](r, "tagId")
	if err != nil {
		return err
	}
	sets, err := read(w, r)
	if err != nil {
		return err
	}
	if err := change(r.Context(), id, sets); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

// setIDs reads which sets a request is about.
type setIDs = func(http.ResponseWriter, *http.Request) ([]software.SetID, error)

func readSetIDs(w http.ResponseWriter, r *http.Request) ([]software.SetID, error) {
	var ids []software.SetID
	err := httpjson.Read(w, r, &ids, maxBody)
	return ids, err
}

func pathSetID(_ http.ResponseWriter, r *http.Request) ([]software.SetID, error) {
	id, err := pathID[software.SetID](r, "setId")
	return []software.SetID{id}, err
}
