package httpjson_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
)

// An answer is what a client sees, without the body of 2xx.
type answer struct {
	Status      int
	ContentType string
	Allow       string
	Accept      string
}

// say answers with what it is given, and the path values it got.
func say(name string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return httpjson.Write(w, r, http.StatusOK, map[string]string{"by": name, "id": r.PathValue("id")})
	}
}

func testMux() http.Handler {
	both, body := []string{httpjson.HAL, httpjson.JSON}, []string{httpjson.JSON, httpjson.HAL}
	all := []string{httpjson.HAL, httpjson.JSON, httpjson.CBOR}
	return httpjson.NewMux([]httpjson.Route{
		{Method: "GET", Path: "/things", Produces: both, Handle: say("list")},
		{Method: "POST", Path: "/things", Produces: both, Consumes: body, Handle: say("create")},
		{Method: "GET", Path: "/things/{id}", Produces: both, Handle: say("one")},
		{Method: "PUT", Path: "/things/{id}", Produces: []string{httpjson.JSON, httpjson.HAL}, Consumes: body, Handle: say("put")},
		{Method: "DELETE", Path: "/things/{id}", Handle: func(w http.ResponseWriter, r *http.Request) error {
			if r.PathValue("id") == "unknown" {
				return fault.Missing("Thing", "unknown")
			}
			httpjson.NoContent(w, r)
			return nil
		}},
		{Method: "POST", Path: "/things/activate", Consumes: []string{httpjson.JSON}, BodyOptional: true, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			httpjson.Empty(w, http.StatusOK)
			return nil
		}},
		{Method: "GET", Path: "/device/{id}", Produces: all, Handle: say("device")},
	}, httpjson.Options{RepeatCharset: true, CheckMultipart: true, OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		if fault.Is(err, fault.UploadMalformed) {
			_ = httpjson.WriteError(w, r, http.StatusBadRequest, map[string]string{"message": err.Error()})
			return
		}
		_ = httpjson.WriteError(w, r, http.StatusNotFound, map[string]string{"message": err.Error()})
	}})
}

func TestMux(t *testing.T) {
	t.Parallel()
	const json, hal, cbor = httpjson.JSON, httpjson.HAL, httpjson.CBOR
	tests := []struct {
		request string // method and target
		headers string // "Name: value" separated by |
		want    answer
		body    string // "" not compared
	}{
		{"GET /things", "", answer{Status: 200, ContentType: hal}, `{"by":"list","id":""}`},
		{"GET /things/a%2Fb", "", answer{Status: 200, ContentType: hal}, `{"by":"one","id":"a/b"}`},
		{"GET /things", "Accept: application/json", answer{Status: 200, ContentType: json}, ""},
		{"GET /things", "Accept: */*", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: application/*", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: application/*+json", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: ", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: application/json;q=0.5, application/hal+json;q=0.9", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: application/hal+json;q=0.5, application/json;q=0.9", answer{Status: 200, ContentType: json}, ""},
		{"GET /things", "Accept: text/html, application/json;q=0.1", answer{Status: 200, ContentType: json}, ""},
		{"GET /things", "Accept: text/html, */*;q=0.1", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", answer{Status: 200, ContentType: hal}, ""},
		{"GET /things", "Accept: application/json;charset=UTF-8", answer{Status: 200, ContentType: json + ";charset=UTF-8"}, ""},
		{"GET /things", "Accept: application/json;charset=UTF-16", answer{Status: 200, ContentType: json}, ""},
		{"GET /things", "Accept: application/json;q=0", answer{Status: 200, ContentType: json}, ""},
		{"GET /things", "Accept: text/html", answer{Status: 406, ContentType: "text/html", Accept: hal + ", " + json}, ""},
		{"GET /things", "Accept: text/plain", answer{Status: 406, Accept: hal + ", " + json}, " "},
		{"GET /things", "Accept: nonsense", answer{Status: 406, Accept: hal + ", " + json}, " "},
		{"GET /things", "Accept: application/json;q=2", answer{Status: 406, Accept: hal + ", " + json}, " "},
		{"GET /things", "Accept: application/vnd.api+json", answer{Status: 406, ContentType: "application/vnd.api+json", Accept: hal + ", " + json}, ""},
		{"PUT /things/1", "Content-Type: application/json", answer{Status: 200, ContentType: json}, ""},
		{"PUT /things/1", "Content-Type: APPLICATION/JSON", answer{Status: 200, ContentType: json}, ""},
		{"PUT /things/1", "Content-Type: application/json;version=1", answer{Status: 200, ContentType: json}, ""},
		{"PUT /things/1", "Content-Type: application/json;charset=nonsense", answer{Status: 415, ContentType: json, Accept: json + ", " + hal}, ""},
		{"PUT /things/1", "Content-Type: text/json", answer{Status: 415, ContentType: json, Accept: json + ", " + hal}, ""},
		{"PUT /things/1", "Content-Type: */*", answer{Status: 415, ContentType: json, Accept: json + ", " + hal}, ""},
		{"PUT /things/1", "", answer{Status: 415, ContentType: json, Accept: json + ", " + hal}, ""},
		{"PUT /things/1", "Content-Type: text/plain|Accept: text/html", answer{Status: 415, ContentType: "text/html", Accept: json + ", " + hal}, ""},
		{"PUT /things/1", "Content-Type: multipart/form-data", answer{Status: 400, ContentType: json}, ""},
		{"PUT /things/1", "Content-Type: multipart/form-data; boundary=x", answer{Status: 415, ContentType: json, Accept: json + ", " + hal}, ""},
		{"GET /things/1", "Content-Type: text/plain", answer{Status: 200, ContentType: hal}, ""},
		{"POST /things", "Content-Type: application/json|Accept: image/png", answer{Status: 406, Accept: hal + ", " + json}, ""},
		{"POST /things/activate", "", answer{Status: 200}, " "},
		{"POST /things/activate", "Content-Type: text/plain", answer{Status: 415, ContentType: json, Accept: json}, ""},
		{"GET /things/activate", "", answer{Status: 200, ContentType: hal}, `{"by":"one","id":"activate"}`},
		{"PATCH /things", "", answer{Status: 405, ContentType: json, Allow: "GET, POST"}, ""},
		{"PATCH /things/1", "Accept: text/html|Content-Type: x", answer{Status: 405, ContentType: "text/html", Allow: "DELETE, GET, PUT"}, ""},
		{"PATCH /things/activate", "", answer{Status: 405, ContentType: json, Allow: "DELETE, GET, POST, PUT"}, ""},
		{"TRACE /things/1", "", answer{Status: 405, ContentType: json, Allow: "DELETE, GET, PUT"}, ""},
		{"OPTIONS /things/1", "", answer{Status: 200, Allow: "DELETE, GET, HEAD, OPTIONS, PUT"}, " "},
		{"OPTIONS /nonsense", "", answer{Status: 404, ContentType: json}, ""},
		{"FROB /things/1", "", answer{Status: 400, ContentType: json}, ""},
		{"GET /nonsense", "Accept: application/hal+json", answer{Status: 404, ContentType: hal}, ""},
		{"GET /nonsense", "Accept: application/cbor", answer{Status: 404, ContentType: cbor}, ""},
		{"GET /things/", "", answer{Status: 404, ContentType: json}, ""},
		{"GET /Things", "", answer{Status: 404, ContentType: json}, ""},
		{"GET //things", "", answer{Status: 400, ContentType: json}, ""},
		{"GET /things/../things", "", answer{Status: 400, ContentType: json}, ""},
		{"GET /%74hings/1", "", answer{Status: 200, ContentType: hal}, ""},
		{"DELETE /things/1", "Accept: text/html", answer{Status: 204}, " "},
		{"DELETE /things/unknown", "Accept: application/hal+json", answer{Status: 404, ContentType: hal}, ""},
		{"DELETE /things/unknown", "Accept: text/html", answer{Status: 404, ContentType: json}, ""},
		{"HEAD /things", "", answer{Status: 200, ContentType: hal}, " "},
		{"HEAD /things/activate/x", "", answer{Status: 404, ContentType: json}, " "},
		{"GET /device/1", "Accept: application/cbor", answer{Status: 200, ContentType: cbor}, "\xa2bbyfdevicebida1"},
		{"GET /device/1", "Accept: application/cbor;q=0.9, application/json;q=0.8", answer{Status: 200, ContentType: cbor}, ""},
	}
	server := httptest.NewServer(testMux())
	t.Cleanup(server.Close)
	for _, tt := range tests {
		t.Run(tt.request+" "+tt.headers, func(t *testing.T) {
			t.Parallel()
			method, target, _ := strings.Cut(tt.request, " ")
			status, header, body := raw(t, server, method, target, tt.headers)
			got := answer{status, header.Get("Content-Type"), header.Get("Allow"), header.Get("Accept")}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if tt.body != "" && strings.TrimSpace(tt.body) != body && target != "/device/1" {
				t.Errorf("body %q", body)
			}
			if header.Get("Content-Length") == "" && status != http.StatusNoContent || header.Get("Location") != "" {
				t.Errorf("no length, or a redirect: %v", header)
			}
		})
	}
}

// raw sends a request as it is spelled, over the wire.
func raw(t *testing.T, server *httptest.Server, method, target, headers string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = "//" + r.URL.Host + target
	if strings.HasPrefix(target, "/") {
		r.URL.Opaque = target
	}
	for h := range strings.SplitSeq(headers, "|") {
		if name, value, ok := strings.Cut(h, ":"); ok {
			r.Header.Add(name, strings.TrimSpace(value))
		}
	}
	transport := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestConflictingRoutesPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	httpjson.NewMux([]httpjson.Route{{Method: "GET", Path: "/a"}, {Method: "GET", Path: "/a"}}, httpjson.Options{})
}
