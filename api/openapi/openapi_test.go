package openapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/otaria/otaria/api/ddi"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/api/openapi"
)

func documents() map[string]func(string) openapi.API {
	return map[string]func(string) openapi.API{"management": mgmt.Document, "ddi": ddi.Document}
}

func TestDocumentsAreValid(t *testing.T) {
	t.Parallel()
	for name, describe := range documents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := openapi.New(describe("v1"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := openapi.New(describe("v1"))
			if err != nil || string(again) != string(text) {
				t.Errorf("not the same the second time: %v", err)
			}
			doc, err := libopenapi.NewDocument(text)
			if err != nil {
				t.Fatal(err)
			}
			v, errs := validator.NewValidator(doc)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if ok, problems := v.ValidateDocument(); !ok {
				for _, p := range problems {
					t.Error(p)
					for _, s := range p.SchemaValidationErrors {
						t.Errorf("  %s at %s", s.Reason, s.FieldPath)
					}
				}
			}
		})
	}
}

// Every operation has what generators of clients need: a name of its own, a
// summary and a tag; every schema is used.
func TestOperationsAreComplete(t *testing.T) {
	t.Parallel()
	for name, describe := range documents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := openapi.New(describe("v1"))
			if err != nil {
				t.Fatal(err)
			}
			var d struct {
				Paths map[string]map[string]struct {
					OperationID, Summary string
					Tags                 []string
				}
				Components struct{ Schemas map[string]any }
			}
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			for path, item := range d.Paths {
				for method, o := range item {
					if o.Summary == "" || len(o.Tags) != 1 || o.OperationID == "" || ids[o.OperationID] {
						t.Errorf("%s %s: %+v", method, path, o)
					}
					ids[o.OperationID] = true
				}
			}
			if len(d.Components.Schemas) == 0 {
				t.Error("no schemas")
			}
			for schema := range d.Components.Schemas {
				if !strings.Contains(string(text), `"#/components/schemas/`+schema+`"`) {
					t.Errorf("the schema %s is used nowhere", schema)
				}
			}
		})
	}
}

// readers are the functions that take the name of a parameter of the query.
var readers = regexp.MustCompile(`(?:\w*Param|Params|readBool|Query\(\)\.Get|values\.Get)\([^"()]*"(\w+)"`)

// What handlers read from the query is documented, and nothing else is.
func TestParametersAreThoseThatAreRead(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"management": "../mgmt", "ddi": "../ddi"} {
		read := map[string]bool{}
		if name == "management" { // query.ParseList reads these, and an upload those
			for _, p := range []string{"offset", "limit", "sort", "q", "filename", "md5sum", "sha1sum", "sha256sum"} {
				read[p] = true
			}
		}
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			source, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range readers.FindAllSubmatch(source, -1) {
				read[string(m[1])] = true
			}
		}
		documented := map[string]bool{}
		for _, o := range documents()[name]("v1").Operations {
			for _, p := range o.Parameters {
				documented[p.Name] = true
			}
		}
		if diff := cmp.Diff(read, documented); diff != "" {
			t.Errorf("%s: parameters read (-) and documented (+):\n%s", name, diff)
		}
	}
}

type level string

func (level) Literals() []string { return []string{"low", "high"} }

type stamps struct {
	CreatedAt int64 `json:"createdAt"`
}

type nodeBody struct {
	ID       int64              `json:"id"`
	Name     string             `json:"name,omitempty"`
	Parent   *nodeBody          `json:"parent"`
	Note     *string            `json:"note,omitempty"`
	Missing  *int               `json:"missing"`
	Children []nodeBody         `json:"children"`
	Texts    map[string]*string `json:"texts"`
	Any      any                `json:"any"`
	Hidden   string             `json:"-"`
	stamps
	Links httpjson.Links `json:"_links"`
}

type nodeInput struct {
	Name  string         `json:"name" bind:"required"`
	Level *level         `json:"level"`
	Time  int32          `json:"time" bind:"primitive"`
	Code  *int32         `json:"code"`
	Value httpjson.Value `json:"value"`
}

type page[T any] struct {
	Content []T `json:"content"`
}

type failure struct {
	Code string `json:"code"`
}

func example() openapi.API {
	return openapi.API{
		Title: "T", Version: "1", Base: "/api", Error: failure{}, Errors: map[int][]string{http.StatusConflict: {"taken"}, http.StatusGone: nil},
		Operations: []openapi.Operation{
			{Method: http.MethodGet, Path: "/api/nodes", ID: "listNodes", Out: page[nodeBody]{}, Status: http.StatusOK},
			{Method: http.MethodPost, Path: "/api/nodes", ID: "make", In: []nodeInput{}, Out: nodeBody{}, Status: http.StatusCreated},
			{Method: http.MethodPut, Path: "/api/nodes/{nodeId}", ID: "make", In: nodeInput{}, Status: http.StatusNoContent},
		},
	}
}

// The whole of what reflection makes of wire types.
func TestSchemas(t *testing.T) {
	t.Parallel()
	text, err := openapi.New(example())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	const want = `{
		"NodePage": {"type": "object", "required": ["content"], "properties": {
			"content": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}}},
		"Node": {"type": "object", "required": ["id", "parent", "missing", "children", "texts", "any", "createdAt", "_links"], "properties": {
			"id": {"type": "integer", "format": "int64"},
			"name": {"type": "string"},
			"parent": {"anyOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}]},
			"note": {"type": "string"},
			"missing": {"type": ["integer", "null"]},
			"children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
			"texts": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
			"any": {},
			"createdAt": {"type": "integer", "format": "int64"},
			"_links": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/HalLink"}}}},
		"NodeInput": {"type": "object", "required": ["name"], "properties": {
			"name": {"type": "string"},
			"level": {"anyOf": [{"type": "string", "enum": ["low", "high"]}, {"type": "null"}]},
			"time": {"type": "integer", "format": "int32"},
			"code": {"type": ["integer", "null"], "format": "int32"},
			"value": {}}},
		"HalLink": {"type": "object", "required": ["href"], "properties": {"href": {"type": "string"}, "name": {"type": "string"}}},
		"Failure": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
		"FrameworkError": {"type": "object", "required": ["timestamp", "status", "error"], "properties": {
			"timestamp": {"type": "string"}, "status": {"type": "integer", "format": "int32"}, "error": {"type": "string"}}}
	}`
	var expected map[string]any
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got.Components.Schemas); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
}

func TestNamesThatClashAreRefused(t *testing.T) {
	t.Parallel()
	type failureBody struct{}
	a := example()
	a.Operations = append(a.Operations, openapi.Operation{Method: http.MethodGet, Path: "/api/other", Out: failureBody{}, Status: http.StatusOK})
	if _, err := openapi.New(a); err == nil || !strings.Contains(err.Error(), "Failure") {
		t.Errorf("two types of one name: %v", err)
	}
	a = example()
	a.Operations[0].Out = json.Number("1")
	if _, err := openapi.New(a); err != nil {
		t.Errorf("a named text: %v", err)
	}
	a.Operations[0].Out = func() {}
	if _, err := openapi.New(a); err == nil || !strings.Contains(err.Error(), "GET /api/nodes") {
		t.Errorf("a function as a body: %v", err)
	}
}

func TestServed(t *testing.T) {
	t.Parallel()
	made := 0
	h := openapi.Handler(func() openapi.API { made++; return example() }, slog.New(slog.DiscardHandler))
	ask := func(method string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/openapi/x.json", nil)
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if made != 0 {
		t.Error("made before anybody asked")
	}
	first := ask(http.MethodGet)
	if first.Code != http.StatusOK || first.Header().Get("Content-Type") != "application/json" || !json.Valid(first.Body.Bytes()) {
		t.Errorf("%d %v", first.Code, first.Header())
	}
	if again := ask(http.MethodGet, "If-None-Match", first.Header().Get("Etag")); again.Code != http.StatusNotModified {
		t.Errorf("with its ETag: %d", again.Code)
	}
	if post := ask(http.MethodPost); post.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", post.Code)
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
	broken := openapi.Handler(func() openapi.API { return openapi.API{Error: func() {}} }, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	broken.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("a document that cannot be made: %d", w.Code)
	}
}
