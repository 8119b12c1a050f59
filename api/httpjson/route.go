package httpjson

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/otaria/otaria/fault"
)

// A Route is one method on one path.
type Route struct {
	Method string // never HEAD or OPTIONS: they follow from the others
	Path   string // a path pattern of net/http's ServeMux, without method and host

	// Produces names the types of the answer, the default first. An Accept that
	// admits none of them is 406 before the handler runs. Empty: nothing is
	// negotiated, the route runs whatever Accept says.
	Produces []string

	// Consumes names the types of the body. A missing or foreign Content-Type is
	// 415, with or without a body. Empty: any type goes, and none.
	Consumes []string

	// BodyOptional lets a request through that has neither body nor
	// Content-Type, in spite of Consumes.
	BodyOptional bool

	// Handle answers, or returns an error before it wrote anything.
	Handle func(w http.ResponseWriter, r *http.Request) error
}

// Options say what is not the same for both APIs.
type Options struct {
	// OnError answers a request whose handler returned err: the edge's table
	// from kinds of fault to status and body.
	OnError func(w http.ResponseWriter, r *http.Request, err error)

	// RepeatCharset writes a charset=UTF-8 of the Accept header into the
	// Content-Type of the answer (management API).
	RepeatCharset bool

	// CheckMultipart turns a multipart form without boundary into a
	// fault.UploadMalformed on every route (management API).
	CheckMultipart bool
}

// NewMux returns a handler that serves the routes and nothing else. It answers
// by itself, with a framework body: 404 for an unknown path (a trailing slash
// is one), 405 for a method that the path lacks, 400 for a method that HTTP
// lacks, 415 and 406; in this order. HEAD is served by GET's handler, OPTIONS
// by the mux. It never redirects: a path that ServeMux would clean is 400.
//
// Where two patterns match a path and the more specific one lacks the method,
// the other one serves it: GET of confirmationBase/activateAutoConfirm is a GET
// of confirmationBase/{actionId}.
//
// NewMux panics if two routes conflict, as ServeMux does.
func NewMux(routes []Route, o Options) http.Handler {
	if o.OnError == nil {
		o.OnError = func(w http.ResponseWriter, r *http.Request, _ error) {
			WriteFramework(w, r, http.StatusInternalServerError)
		}
	}
	resources := map[string]*resource{}
	var paths []string
	for _, route := range routes {
		res := resources[route.Path]
		if res == nil {
			res = &resource{options: &o, methods: map[string]*endpoint{}}
			resources[route.Path] = res
			paths = append(paths, route.Path)
		}
		if res.methods[route.Method] != nil {
			panic("httpjson: two routes for " + route.Method + " " + route.Path)
		}
		res.methods[route.Method] = newEndpoint(route)
	}
	mux := http.NewServeMux()
	for _, p := range paths {
		res := resources[p]
		for _, general := range paths {
			bindings, ok := generalizes(general, p)
			if !ok {
				continue
			}
			for method, e := range resources[general].methods {
				if res.methods[method] == nil && len(e.bindings) == 0 {
					inherited := *e
					inherited.bindings = bindings
					res.methods[method] = &inherited
				}
			}
		}
	}
	for _, p := range paths {
		resources[p].allow()
		mux.Handle(p, resources[p])
	}
	if resources["/"] == nil {
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { WriteFramework(w, r, http.StatusNotFound) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownMethod(r.Method) || !isClean(r.URL.EscapedPath()) {
			WriteFramework(w, r, http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// knownMethod reports whether HTTP knows the method. CONNECT is for proxies.
func knownMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// isClean reports whether ServeMux would leave the path alone.
func isClean(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return true
	}
	trimmed := strings.TrimSuffix(p, "/")
	return path.Clean(p) == trimmed || p == "/"
}

// A binding gives a wildcard of a general pattern its value on the path of a
// more specific one.
type binding struct {
	name    string // the wildcard of the general pattern
	literal string // its value, if the specific pattern has a literal there
	from    string // else the wildcard of the specific pattern to copy from
}

// generalizes reports whether every path that specific matches is also matched
// by general, another pattern, segment by segment.
func generalizes(general, specific string) ([]binding, bool) {
	gs, ss := strings.Split(general, "/"), strings.Split(specific, "/")
	if general == specific || len(gs) != len(ss) {
		return nil, false
	}
	var bindings []binding
	for i, g := range gs {
		name, wild := wildcard(g)
		from, fromWild := wildcard(ss[i])
		switch {
		case wild && fromWild:
			bindings = append(bindings, binding{name: name, from: from})
		case wild && ss[i] != "":
			bindings = append(bindings, binding{name: name, literal: ss[i]})
		case g != ss[i]:
			return nil, false
		}
	}
	return bindings, true
}

// wildcard returns the name of a pattern segment like {id}.
func wildcard(segment string) (string, bool) {
	if len(segment) < 3 || segment[0] != '{' || segment[len(segment)-1] != '}' ||
		segment == "{$}" || strings.HasSuffix(segment, "...}") {
		return "", false
	}
	return segment[1 : len(segment)-1], true
}

// An endpoint is a route, ready to serve.
type endpoint struct {
	Route

	contentTypes [][]string // header values, one for each of Produces
	consumes     []string   // header value that names Consumes
	produces     []string   // header value that names Produces
	bindings     []binding
}

func newEndpoint(r Route) *endpoint {
	e := &endpoint{Route: r}
	for _, t := range r.Produces {
		e.contentTypes = append(e.contentTypes, []string{t})
	}
	e.consumes = []string{strings.Join(r.Consumes, ", ")}
	e.produces = []string{strings.Join(r.Produces, ", ")}
	return e
}

// A resource is all that one path can do.
type resource struct {
	options           *Options
	methods           map[string]*endpoint
	allowed, complete []string // header values of Allow: declared methods, and with HEAD and OPTIONS
}

// allow makes the values of Allow, in alphabetical order.
func (res *resource) allow() {
	var declared, all []string
	for m := range res.methods {
		declared, all = append(declared, m), append(all, m)
	}
	if res.methods[http.MethodGet] != nil {
		all = append(all, http.MethodHead)
	}
	all = append(all, http.MethodOptions)
	slices.Sort(declared)
	slices.Sort(all)
	res.allowed, res.complete = []string{strings.Join(declared, ", ")}, []string{strings.Join(all, ", ")}
}

func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	switch method {
	case http.MethodHead:
		method = http.MethodGet
	case http.MethodOptions:
		w.Header()["Allow"] = res.complete
		Empty(w, http.StatusOK)
		return
	}
	e := res.methods[method]
	if e == nil {
		w.Header()["Allow"] = res.allowed
		WriteFramework(w, r, http.StatusMethodNotAllowed)
		return
	}
	for _, b := range e.bindings {
		if b.from != "" {
			r.SetPathValue(b.name, r.PathValue(b.from))
		} else {
			r.SetPathValue(b.name, b.literal)
		}
	}
	if err := res.serve(e, w, r); err != nil {
		res.options.OnError(w, r, err)
	}
}

func (res *resource) serve(e *endpoint, w http.ResponseWriter, r *http.Request) error {
	contentType := r.Header.Get("Content-Type")
	if res.options.CheckMultipart && !hasBoundary(contentType) {
		return fault.New(fault.UploadMalformed, "The multipart form cannot be read: its Content-Type names no boundary.")
	}
	if len(e.Consumes) > 0 && !consumable(contentType, e.Consumes) && (!e.BodyOptional || contentType != "" || hasBody(r)) {
		w.Header()["Accept"] = e.consumes
		WriteFramework(w, r, http.StatusUnsupportedMediaType)
		return nil
	}
	if len(e.Produces) > 0 {
		i, charset := negotiate(r.Header["Accept"], e.Produces)
		if i < 0 {
			w.Header()["Accept"] = e.produces
			WriteFramework(w, r, http.StatusNotAcceptable)
			return nil
		}
		w.Header()["Content-Type"] = e.contentTypes[i]
		if res.options.RepeatCharset && strings.EqualFold(charset, "utf-8") && e.Produces[i] != CBOR {
			w.Header().Set("Content-Type", e.Produces[i]+";charset="+charset)
		}
	}
	return e.Handle(w, r)
}

// hasBody reports whether the request comes with a body, as far as its head tells.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// hasBoundary is false for a multipart form that cannot be taken apart.
func hasBoundary(contentType string) bool {
	const form = "multipart/form-data"
	if len(contentType) < len(form) || !strings.EqualFold(contentType[:len(form)], form) {
		return true
	}
	_, params, _ := cutUnquoted(contentType, ';')
	for params != "" {
		var param string
		param, params, _ = cutUnquoted(params, ';')
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "boundary") && unquote(strings.TrimSpace(value)) != "" {
			return true
		}
	}
	return false
}
