package mgmt

import (
	"net/http"
	"slices"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/identity"
)

// A route is one operation of the API. The table of them is what requests are
// dispatched by, what permissions are checked by, and what the OpenAPI document
// is made from.
type route struct {
	method, path string
	needs        []identity.Permission // all of them; none: any operator
	summary      string                // for the OpenAPI document, in a few words
	params       []openapi.Parameter   // of the query
	in, out      any                   // wire types of the bodies, as values; nil: none
	status       int                   // of success
	produces     []string              // nil: negotiated by nothing
	consumes     []string
	bodyOptional bool // may come without body and Content-Type
	bytes        bool // answers with a file
	mayBeNone    bool // answers 204 where there is no document
	handle       func(a *API, w http.ResponseWriter, r *http.Request) error
}

func needs(p ...identity.Permission) []identity.Permission { return p }

// get is a route that answers with a document.
func get(path string, needs []identity.Permission, summary string, out any, h func(*API, http.ResponseWriter, *http.Request) error) route {
	r := route{method: http.MethodGet, path: path, needs: needs, summary: summary, out: out, status: http.StatusOK, produces: halTypes(), handle: h}
	if _, paged := out.(interface{ paged() }); paged {
		r.params = listParameters()
	}
	return r
}

// with adds parameters of the query, which a list has some of by itself.
func (rt route) with(p ...openapi.Parameter) route {
	rt.params = append(rt.params, p...)
	return rt
}

// without drops parameters that a list ignores.
func (rt route) without(names ...string) route {
	rt.params = slices.DeleteFunc(rt.params, func(p openapi.Parameter) bool { return slices.Contains(names, p.Name) })
	return rt
}

// orNothing answers 204 where there is no document.
func (rt route) orNothing() route {
	rt.mayBeNone = true
	return rt
}

// body adds a document that is taken whatever the Content-Type; without one it
// counts as absent.
func (rt route) body(in any) route {
	rt.in, rt.bodyOptional = in, true
	return rt
}

// post is a route that takes a document; out is nil when nothing comes back.
func post(path string, needs []identity.Permission, summary string, in, out any, status int, h func(*API, http.ResponseWriter, *http.Request) error) route {
	r := route{method: http.MethodPost, path: path, needs: needs, summary: summary, in: in, out: out, status: status, handle: h}
	if in != nil {
		r.consumes = jsonTypes()
	}
	if out != nil {
		r.produces = halTypes()
	}
	return r
}

// put is post with the other verb.
func put(path string, needs []identity.Permission, summary string, in, out any, status int, h func(*API, http.ResponseWriter, *http.Request) error) route {
	r := post(path, needs, summary, in, out, status, h)
	r.method = http.MethodPut
	return r
}

// del is a route that removes something and answers 204.
func del(path string, needs []identity.Permission, summary string, h func(*API, http.ResponseWriter, *http.Request) error) route {
	return route{method: http.MethodDelete, path: path, needs: needs, summary: summary, status: http.StatusNoContent, handle: h}
}

func halTypes() []string  { return []string{httpjson.HAL, httpjson.JSON} }
func jsonTypes() []string { return []string{httpjson.JSON, httpjson.HAL} }

// routes is the whole API. Each resource lists its own in its file.
func routes() []route {
	var all []route
	for _, list := range [][]route{
		softwareModuleTypeRoutes(),
		softwareModuleRoutes(),
		artifactRoutes(),
		distributionSetTypeRoutes(),
		distributionSetRoutes(),
		distributionSetTagRoutes(),
		assignmentRoutes(),
		actionRoutes(),
		rolloutRoutes(),
		autoAssignmentRoutes(),
		targetFilterRoutes(),
		targetRoutes(),
		targetTypeRoutes(),
		targetTagRoutes(),
		targetGroupRoutes(),
		configRoutes(),
		quotaRoutes(),
		userInfoRoutes(),
		eventRoutes(),
	} {
		all = append(all, list...)
	}
	return all
}
