package mgmt

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/query"
)

func targetTagRoutes() []route {
	const base = "/rest/v1/targettags"
	const one = base + "/{tagId}"
	read, write := needs(identity.ReadTarget), needs(identity.UpdateTarget)
	untag := del(one+"/assigned", write, "Take a tag from targets", (*API).untagTargets).body([]string{}).with(absentParameter())
	untag.consumes, untag.bodyOptional = jsonTypes(), false
	return []route{
		get(base, read, "List target tags", listBody[targetTagBody]{}, (*API).listTargetTags),
		post(base, needs(identity.CreateTarget), "Create target tags", []targetTagInput{}, []targetTagBody{}, http.StatusCreated, (*API).createTargetTags),
		get(one, read, "Read a target tag", targetTagBody{}, (*API).getTargetTag),
		put(one, write, "Change a target tag", targetTagChange{}, targetTagBody{}, http.StatusOK, (*API).updateTargetTag),
		del(one, needs(identity.DeleteTarget, identity.ReadTarget), "Delete a target tag", (*API).deleteTargetTag),
		get(one+"/assigned", read, "List the targets with a tag", listBody[targetBody]{}, (*API).listTaggedTargets),
		post(one+"/assigned", write, "Give targets a tag", []string{}, nil, http.StatusNoContent, (*API).tagTargets).with(absentParameter()),
		untag,
		{method: http.MethodPost, path: one + "/assigned/{targetId}", needs: write, summary: "Give a target a tag", status: http.StatusNoContent, handle: (*API).tagTarget},
		del(one+"/assigned/{targetId}", write, "Take a tag from a target", (*API).untagTarget),
	}
}

// targetTagBody is a tag of targets on the wire (management-api 2.5).
type targetTagBody struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description,omitempty"`
	Colour      *string `json:"colour,omitempty"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

func newTargetTagBody(r *http.Request) func(*fleet.Tag) targetTagBody {
	return func(t *fleet.Tag) targetTagBody {
		return targetTagBody{int64(t.ID), t.Name, t.Description, t.Colour, newStampsBody(t.Stamps), links(href(r, "/targettags/%d", t.ID))}
	}
}

// singleTargetTagBody is the view of one tag, which leads on.
func singleTargetTagBody(r *http.Request, t *fleet.Tag) targetTagBody {
	b := newTargetTagBody(r)(t)
	b.Links = append(b.Links, httpjson.Link{Rel: "assignedTargets", Href: b.Links[0].Href + "/assigned?offset=0&limit=50"})
	return b
}

// targetTagInput creates a tag; targetTagChange changes one, and what is absent stays.
type (
	targetTagInput struct {
		Name        string  `json:"name" doc:"required"`
		Description *string `json:"description"`
		Colour      *string `json:"colour"`
	}
	targetTagChange struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
		Colour      *string `json:"colour"`
	}
)

func (a *API) listTargetTags(w http.ResponseWriter, r *http.Request) error {
	l, err := readList(r, fleet.TagFields())
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.Tags(r.Context(), l)
	if err != nil {
		return err
	}
	return writeList(w, r, page, total, newTargetTagBody(r))
}

func (a *API) createTargetTags(w http.ResponseWriter, r *http.Request) error {
	var in []targetTagInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	tags := make([]fleet.Tag, len(in))
	for i, t := range in {
		tags[i] = fleet.Tag{Name: t.Name, Description: t.Description, Colour: t.Colour}
	}
	if err := a.Fleet.CreateTags(r.Context(), tags); err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, bodies(tags, newTargetTagBody(r)))
}

func (a *API) getTargetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TagID](r, "tagId")
	if err != nil {
		return err
	}
	t, err := a.Fleet.Tag(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleTargetTagBody(r, t))
}

func (a *API) updateTargetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TagID](r, "tagId")
	if err != nil {
		return err
	}
	var in targetTagChange
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	t, err := a.Fleet.UpdateTag(r.Context(), id, fleet.TagChange(in))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, singleTargetTagBody(r, t))
}

func (a *API) deleteTargetTag(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TagID](r, "tagId")
	if err != nil {
		return err
	}
	if err := a.Fleet.DeleteTag(r.Context(), id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listTaggedTargets(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[fleet.TagID](r, "tagId")
	if err != nil {
		return err
	}
	l, err := query.ParseSubList(r.URL.Query(), fleet.TargetFields(), fleet.TagFields(), query.Order{Field: "id"})
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.TaggedTargets(r.Context(), id, l)
	if err != nil {
		return err
	}
	return a.writeTargets(w, r, page, total)
}

func (a *API) listTagsOfTarget(w http.ResponseWriter, r *http.Request) error {
	tags, err := a.Fleet.TagsOf(r.Context(), targetOf(r))
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, bodies(tags, newTargetTagBody(r)))
}

func (a *API) tagTarget(w http.ResponseWriter, r *http.Request) error {
	return changeTargetTag(w, r, func(id fleet.TagID) error { return a.Fleet.TagTarget(r.Context(), id, targetOf(r)) })
}

func (a *API) untagTarget(w http.ResponseWriter, r *http.Request) error {
	return changeTargetTag(w, r, func(id fleet.TagID) error { return a.Fleet.UntagTarget(r.Context(), id, targetOf(r)) })
}

func (a *API) tagTargets(w http.ResponseWriter, r *http.Request) error {
	return changeTargetTag(w, r, func(id fleet.TagID) error {
		targets, absent, err := readTagged(w, r)
		if err != nil {
			return err
		}
		return a.Fleet.TagTargets(r.Context(), id, targets, absent)
	})
}

func (a *API) untagTargets(w http.ResponseWriter, r *http.Request) error {
	return changeTargetTag(w, r, func(id fleet.TagID) error {
		targets, absent, err := readTagged(w, r)
		if err != nil {
			return err
		}
		return a.Fleet.UntagTargets(r.Context(), id, targets, absent)
	})
}

func changeTargetTag(w http.ResponseWriter, r *http.Request, change func(fleet.TagID) error) error {
	id, err := pathID[fleet.TagID](r, "tagId")
	if err != nil {
		return err
	}
	if err := change(id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

// absentParameter says what readTagged does with it.
func absentParameter() openapi.Parameter {
	return openapi.Parameter{
		Name: "onNotFoundPolicy", Description: "What to do when one of the targets does not exist.",
		Enum: []string{"FAIL", "ON_WHAT_FOUND_AND_FAIL", "ON_WHAT_FOUND_AND_SUCCESS"}, Default: "FAIL",
	}
}

// readTagged reads which targets a request is about, and what becomes of it
// when one of them is not there.
func readTagged(w http.ResponseWriter, r *http.Request) (targets []fleet.ControllerID, a fleet.Absent, err error) {
	switch policy, _ := httpjson.Param(r, "onNotFoundPolicy"); policy {
	case "", "FAIL":
	case "ON_WHAT_FOUND_AND_FAIL":
		a = fleet.AbsentFailsAfterwards
	case "ON_WHAT_FOUND_AND_SUCCESS":
		a = fleet.AbsentIsIgnored
	default:
		return nil, 0, fault.New(fault.Unreadable, "onNotFoundPolicy=%q is none of FAIL, ON_WHAT_FOUND_AND_FAIL, ON_WHAT_FOUND_AND_SUCCESS.", policy)
	}
	err = httpjson.Read(w, r, &targets, maxBody)
	return targets, a, err
}
