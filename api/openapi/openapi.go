package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
)

// An API is what a document tells about.
type API struct {
	Title, Description, Version string

	// Base is what all paths begin with. The segment after it tags an operation;
	// an operation on Base itself has the tag Root.
	Base, Root string

	// Wildcards describes those of the paths. Of others, one that ends in Id is a
	// whole number and the rest are texts.
	Wildcards []Parameter

	// Security holds the ways to prove who asks; one of them is enough. The order
	// is kept.
	Security []Security

	// Error is the wire type of the body of an error, and Errors are the statuses
	// that errors have, each with the codes that its body may hold. A status
	// without codes has no body, but for those that the framework answers.
	Error  any
	Errors map[int][]string

	Operations []Operation
}

// A Security is one way to prove who asks.
type Security struct {
	Name        string
	Type        string // http, apiKey or mutualTLS
	Scheme      string // of http
	In, Header  string // of apiKey: where the key stands, and under which name
	Description string
}

// An Operation is one route.
type Operation struct {
	Method, Path string
	ID           string // if empty, or wanted by several: made of method and path
	Summary      string
	Permissions  []string // all of them are needed
	Parameters   []Parameter

	In           any // wire type of the request's body, as a value; nil: none
	Consumes     []string
	BodyOptional bool

	Out       any // wire type of the answer's body, as a value; nil: none
	Produces  []string
	Status    int  // of success
	MayBeNone bool // answers 204 where there is no Out
	Bytes     bool // answers with a file, or a range of it
}

// A Parameter stands in the query, or in the path if it is a wildcard.
type Parameter struct {
	Name, Description string

	Type     any      // a value of the type; nil: text
	Enum     []string // literals
	Default  any
	Min, Max any
	Repeated bool
	Required bool // those of the path always are
}

// File is the type of a member of a form that holds a file.
type File struct{}

// Version is the version of the specification that documents follow.
const Version = "3.1.1"

// New returns the document of an API as JSON. It is the same for the same API.
// An error means that a wire type cannot be described or two have one name.
func New(a API) ([]byte, error) {
	d := builder{api: &a, schemas: schemas{owners: map[string]owner{}, all: map[string]object{}}, ids: map[string]int{}, tags: map[string]bool{}}
	for i := range a.Operations {
		d.ids[a.Operations[i].ID]++
	}
	paths := map[string]object{}
	var problem error
	for out := range 2 { // answers first: a type of both directions keeps its name there
		for i := range a.Operations {
			o := &a.Operations[i]
			item := paths[documentPath(o.Path)]
			if item == nil {
				item = object{}
				paths[documentPath(o.Path)] = item
			}
			var err error
			if out == 0 {
				item[strings.ToLower(o.Method)], err = d.operation(o)
			} else {
				err = d.request(o, item[strings.ToLower(o.Method)].(object))
			}
			if err != nil && problem == nil {
				problem = fmt.Errorf("%s %s: %w", o.Method, o.Path, err)
			}
		}
	}
	if problem != nil {
		return nil, problem
	}
	responses, err := d.errorResponses()
	if err != nil {
		return nil, err
	}
	var security []object
	schemes := object{}
	for _, s := range a.Security {
		security = append(security, object{s.Name: []string{}})
		schemes[s.Name] = s.scheme()
	}
	tags := make([]object, 0, len(d.tags))
	for _, name := range slices.Sorted(maps.Keys(d.tags)) {
		tags = append(tags, object{"name": name})
	}
	// Members in the order in which people read the document.
	document := struct {
		OpenAPI    string            `json:"openapi"`
		Info       object            `json:"info"`
		Servers    []object          `json:"servers"`
		Security   []object          `json:"security"`
		Tags       []object          `json:"tags"`
		Paths      map[string]object `json:"paths"`
		Components object            `json:"components"`
	}{
		Version,
		object{"title": a.Title, "description": a.Description, "version": a.Version, "license": object{"name": "Apache 2.0", "identifier": "Apache-2.0"}},
		[]object{{"url": "/", "description": "The server that this document was read from."}},
		security, tags, paths,
		object{"securitySchemes": schemes, "schemas": d.schemas.all, "responses": responses, "headers": headers()},
	}
	text, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	return append(text, '\n'), nil
}

// object is a JSON object.
type object = map[string]any

func (s *Security) scheme() object {
	o := object{"type": s.Type, "description": s.Description}
	switch s.Type {
	case "http":
		o["scheme"] = s.Scheme
	case "apiKey":
		o["in"], o["name"] = s.In, s.Header
	}
	return o
}

// A builder gathers what the operations need.
type builder struct {
	api     *API
	schemas schemas
	ids     map[string]int // how many operations want it
	tags    map[string]bool
}

// documentPath turns a pattern of net/http's ServeMux into a path template.
func documentPath(pattern string) string {
	return strings.NewReplacer("...}", "}", "{$}", "").Replace(pattern)
}

// wildcards returns the names of those of a pattern.
func wildcards(pattern string) []string {
	var names []string
	for s := range strings.SplitSeq(documentPath(pattern), "/") {
		if len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' {
			names = append(names, s[1:len(s)-1])
		}
	}
	return names
}

// operation describes all of it but the request's body.
func (d *builder) operation(o *Operation) (object, error) {
	id := o.ID
	if id == "" || d.ids[id] > 1 {
		id = pathID(o.Method, strings.TrimPrefix(o.Path, d.api.Base))
	}
	tag, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(o.Path, d.api.Base), "/"), "/")
	if tag == "" {
		tag = d.api.Root
	}
	d.tags[tag] = true
	out := object{"operationId": id, "summary": o.Summary, "tags": []string{tag}}
	if len(o.Permissions) > 0 {
		out["x-permissions"] = o.Permissions
	}
	var parameters []object
	for _, name := range wildcards(o.Path) {
		p, err := d.wildcard(name)
		if err != nil {
			return nil, err
		}
		parameters = append(parameters, p)
	}
	for i := range o.Parameters {
		p, err := d.parameter(&o.Parameters[i], "query")
		if err != nil {
			return nil, err
		}
		parameters = append(parameters, p)
	}
	if o.Bytes {
		parameters = append(parameters, object{"name": "Range", "in": "header", "description": "Parts of the file, as in RFC 9110.", "schema": object{"type": "string"}})
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	responses, err := d.responses(o)
	if err != nil {
		return nil, err
	}
	out["responses"] = responses
	return out, nil
}

// request describes the request's body.
func (d *builder) request(o *Operation, out object) error {
	if o.In == nil {
		return nil
	}
	content, err := d.content(o.In, true, o.Consumes)
	if err != nil {
		return err
	}
	out["requestBody"] = object{"required": !o.BodyOptional, "content": content}
	return nil
}

// pathID makes an operation id of method and path.
func pathID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for word := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune("/{}.$-_", r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// NameOf returns the name of a method or function, to use it as the ID of an
// operation; "" of a function without a name.
func NameOf(function any) string {
	f := runtime.FuncForPC(reflect.ValueOf(function).Pointer())
	if f == nil {
		return ""
	}
	name := strings.TrimSuffix(f.Name()[strings.LastIndexByte(f.Name(), '.')+1:], "-fm")
	if strings.HasPrefix(name, "func") || name == "" || name[0] >= '0' && name[0] <= '9' {
		return ""
	}
	return name
}

func (d *builder) wildcard(name string) (object, error) {
	p := Parameter{Name: name}
	if strings.HasSuffix(name, "Id") {
		p.Type = int64(0)
	}
	for _, w := range d.api.Wildcards {
		if w.Name == name {
			p = w
		}
	}
	out, err := d.parameter(&p, "path")
	if err == nil {
		out["required"] = true
	}
	return out, err
}

func (d *builder) parameter(p *Parameter, in string) (object, error) {
	schema := object{"type": "string"}
	if p.Type != nil {
		s, err := d.schemas.of(reflect.TypeOf(p.Type), true)
		if err != nil {
			return nil, err
		}
		schema = s
	}
	for name, value := range map[string]any{"default": p.Default, "minimum": p.Min, "maximum": p.Max} {
		if value != nil {
			schema[name] = value
		}
	}
	if p.Enum != nil {
		schema["enum"] = p.Enum
	}
	if p.Repeated {
		schema = object{"type": "array", "items": schema}
	}
	out := object{"name": p.Name, "in": in, "schema": schema}
	if p.Required {
		out["required"] = true
	}
	if p.Description != "" {
		out["description"] = p.Description
	}
	return out, nil
}

// content describes a body in each of the media types.
func (d *builder) content(body any, in bool, types []string) (object, error) {
	schema, err := d.schemas.of(reflect.TypeOf(body), in)
	if err != nil {
		return nil, err
	}
	if len(types) == 0 {
		types = []string{httpjson.JSON}
	}
	content := object{}
	for _, t := range types {
		content[t] = object{"schema": schema}
	}
	return content, nil
}

func (d *builder) responses(o *Operation) (object, error) {
	all := object{"default": object{"$ref": "#/components/responses/Other"}}
	success := object{"description": cmp.Or(http.StatusText(o.Status), "Success")}
	switch {
	case o.Bytes:
		octets := object{"application/octet-stream": object{"schema": object{"type": "string", "format": "binary"}}}
		success["content"] = octets
		all["206"] = object{"description": "The parts that Range names", "content": object{"application/octet-stream": octets["application/octet-stream"], "multipart/byteranges": octets["application/octet-stream"]}}
		all["416"] = object{"description": "Range names nothing of the file"}
	case o.Out != nil:
		content, err := d.content(o.Out, false, o.Produces)
		if err != nil {
			return nil, err
		}
		success["content"] = content
	}
	if o.MayBeNone {
		all["204"] = object{"description": "There is none"}
	}
	if o.Method == http.MethodGet {
		success["headers"] = object{"ETag": object{"$ref": "#/components/headers/ETag"}}
		all["304"] = object{"description": "What If-None-Match names is still current"}
	}
	all[strconv.Itoa(o.Status)] = success
	for status := range d.api.statuses() {
		if d.mayAnswer(o, status) {
			all[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + responseName(status)}
		}
	}
	return all, nil
}

// mayAnswer reports whether the operation can end in this error. What it leaves
// out is told by the response for all other errors.
func (d *builder) mayAnswer(o *Operation, status int) bool {
	writes := o.Method != http.MethodGet
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable:
		return true
	case http.StatusNotFound:
		return writes || len(wildcards(strings.TrimPrefix(o.Path, d.api.Base))) > 0 || o.Path == d.api.Base
	case http.StatusNotAcceptable:
		return len(o.Produces) > 0
	case http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
		return o.In != nil
	case http.StatusConflict, http.StatusLocked, http.StatusTooManyRequests:
		return writes
	case http.StatusGone:
		return writes || o.Bytes
	case http.StatusPreconditionFailed:
		return o.Bytes
	}
	return false
}

// framework are the statuses that httpjson answers by itself, with a body of its
// own. Its mux knows them all; authentication and faults of the server use it too.
func framework() []int {
	return []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusUnsupportedMediaType, http.StatusInternalServerError,
	}
}

// statuses are those of all errors, with the codes of their bodies.
func (a *API) statuses() map[int][]string {
	all := map[int][]string{}
	for _, s := range framework() {
		all[s] = nil
	}
	maps.Copy(all, a.Errors)
	return all
}

func responseName(status int) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(status))
}

// errorResponses describes each status of an error once, for all operations.
func (d *builder) errorResponses() (object, error) {
	body, err := d.schemas.of(reflect.TypeOf(d.api.Error), false)
	if err != nil {
		return nil, err
	}
	own, err := d.schemas.of(reflect.TypeFor[frameworkError](), false)
	if err != nil {
		return nil, err
	}
	either := object{"anyOf": []object{body, own}}
	all := object{"Other": object{
		"description": "Any other error",
		"content":     object{httpjson.JSON: object{"schema": either}},
	}}
	for status, codes := range d.api.statuses() {
		used := false
		for i := range d.api.Operations {
			used = used || d.mayAnswer(&d.api.Operations[i], status)
		}
		if !used {
			continue
		}
		r := object{"description": http.StatusText(status)}
		schema := either
		switch byFramework := slices.Contains(framework(), status); {
		case len(codes) > 0:
			r["description"] = http.StatusText(status) + ". The errorCode is one of: " + strings.Join(slices.Sorted(slices.Values(codes)), ", ") + "."
			if !byFramework {
				schema = body
			}
		case byFramework:
			schema = own
		default:
			schema = nil
		}
		if schema != nil {
			r["content"] = object{httpjson.JSON: object{"schema": schema}}
		}
		switch status {
		case http.StatusServiceUnavailable:
			r["headers"] = object{"Retry-After": object{"$ref": "#/components/headers/Retry-After"}}
		case http.StatusUnauthorized:
			r["description"] = "The credentials are missing, wrong, or not admitted."
		}
		all[responseName(status)] = r
	}
	return all, nil
}

// frameworkError is the body that httpjson.WriteFramework writes.
type frameworkError struct {
	Timestamp string `json:"timestamp"`
	Status    int32  `json:"status"`
	Error     string `json:"error"`
}

func headers() object {
	return object{
		"ETag":        object{"description": "Names this answer; send it in If-None-Match to hear 304 while nothing changed.", "schema": object{"type": "string"}},
		"Retry-After": object{"description": "Seconds to wait before asking again.", "schema": object{"type": "integer", "minimum": 0}},
	}
}
