package mgmt

import (
	"net/http"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
)

func targetGroupRoutes() []route {
	const base = "/rest/v1/targetgroups"
	const one = base + "/{group}"
	read, write := needs(identity.ReadTarget), needs(identity.UpdateTarget)
	// Those that take q have no body, and so no type of one.
	where := func(method, path, summary string, h func(*API, http.ResponseWriter, *http.Request) error) route {
		return route{method: method, path: path, needs: write, summary: summary, status: http.StatusNoContent, handle: h}
	}
	group := openapi.Parameter{Name: "group", Description: "The name of the group.", Required: true}
	match := filterParameter()
	match.Required = true
	return []route{
		get(base, read, "List the groups that targets are in", []string{}, (*API).listGroups),
		where(http.MethodPut, base, "Put the targets that match into a group", (*API).setGroupWhere).with(group, match),
		where(http.MethodDelete, base, "Take the targets that match out of their groups", (*API).clearGroupWhere).with(match),
		get(base+"/assigned", read, "List the targets of a group", listBody[targetBody]{}, (*API).listGroupTargets).with(group, flag("subgroups", "Also those of the groups below it.")),
		put(base+"/assigned", write, "Put targets into a group", []string{}, nil, http.StatusNoContent, (*API).setGroup).with(group),
		del(base+"/assigned", write, "Take targets out of their groups", (*API).clearGroup).body([]string{}),
		get(one+"/assigned", read, "List the targets of a group", listBody[targetBody]{}, (*API).listNamedGroupTargets),
		put(one+"/assigned", write, "Put targets into a group", []string{}, nil, http.StatusNoContent, (*API).setNamedGroup),
		where(http.MethodPut, one, "Put the targets that match into a group", (*API).setNamedGroupWhere).with(match),
	}
}

// withParam calls h with a query parameter that must be there. Without it the
// request reaches no rule: its answer is the framework's (management-api 2.5).
func withParam(w http.ResponseWriter, r *http.Request, name string, h func(string) error) error {
	value, ok := httpjson.Param(r, name)
	if !ok {
		httpjson.WriteFramework(w, r, http.StatusBadRequest)
		return nil
	}
	return h(value)
}

func (a *API) listGroups(w http.ResponseWriter, r *http.Request) error {
	groups, err := a.Fleet.Groups(r.Context())
	if err != nil {
		return err
	}
	if groups == nil {
		groups = []string{}
	}
	return httpjson.Write(w, r, http.StatusOK, groups)
}

func (a *API) setGroupWhere(w http.ResponseWriter, r *http.Request) error {
	return withParam(w, r, "group", func(group string) error { return a.putGroupWhere(w, r, group) })
}

func (a *API) setNamedGroupWhere(w http.ResponseWriter, r *http.Request) error {
	return a.putGroupWhere(w, r, r.PathValue("group"))
}

func (a *API) putGroupWhere(w http.ResponseWriter, r *http.Request, group string) error {
	return withParam(w, r, "q", func(q string) error {
		if err := a.Fleet.SetGroupWhere(r.Context(), &group, q); err != nil {
			return err
		}
		httpjson.NoContent(w, r)
		return nil
	})
}

func (a *API) clearGroupWhere(w http.ResponseWriter, r *http.Request) error {
	q, ok := httpjson.Param(r, "q")
	if !ok {
		return fault.New(fault.Invalid, "assignTargetGroupWithRsql.rsql must not be null.")
	}
	if err := a.Fleet.SetGroupWhere(r.Context(), nil, q); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) listGroupTargets(w http.ResponseWriter, r *http.Request) error {
	return withParam(w, r, "group", func(group string) error {
		below, err := boolParam(r, "subgroups")
		if err != nil {
			return err
		}
		return a.writeGroup(w, r, group, below)
	})
}

func (a *API) listNamedGroupTargets(w http.ResponseWriter, r *http.Request) error {
	return a.writeGroup(w, r, r.PathValue("group"), false)
}

func (a *API) writeGroup(w http.ResponseWriter, r *http.Request, group string, below bool) error {
	l, err := readList(r, fleet.TargetFields())
	if err != nil {
		return err
	}
	page, total, err := a.Fleet.GroupTargets(r.Context(), group, below, l)
	if err != nil {
		return err
	}
	return a.writeTargets(w, r, page, total)
}

// boolParam reads a query parameter that is a boolean, false where it is
// missing or empty.
func boolParam(r *http.Request, name string) (bool, error) {
	text, _ := httpjson.Param(r, name)
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "false", "off", "no", "0":
		return false, nil
	case "true", "on", "yes", "1":
		return true, nil
	}
	return false, fault.New(fault.Unreadable, "%s=%q is neither true nor false.", name, text)
}

func (a *API) setGroup(w http.ResponseWriter, r *http.Request) error {
	return withParam(w, r, "group", func(group string) error { return a.putGroup(w, r, &group) })
}

func (a *API) setNamedGroup(w http.ResponseWriter, r *http.Request) error {
	group := r.PathValue("group")
	return a.putGroup(w, r, &group)
}

func (a *API) clearGroup(w http.ResponseWriter, r *http.Request) error {
	if !httpjson.Typed(r, jsonTypes()...) { // then there is no body
		return a.Fleet.SetGroup(r.Context(), nil, nil)
	}
	return a.putGroup(w, r, nil)
}

func (a *API) putGroup(w http.ResponseWriter, r *http.Request, group *string) error {
	var targets []fleet.ControllerID
	if err := httpjson.Read(w, r, &targets, maxBody); err != nil {
		return err
	}
	if err := a.Fleet.SetGroup(r.Context(), group, targets); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}
