package httpjson_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
)

type document struct {
	ID    string         `json:"id"`
	Size  int64          `json:"size,omitempty"`
	Text  *string        `json:"text,omitempty"`
	Links httpjson.Links `json:"_links,omitempty" cbor:"links"`
}

func TestLinks(t *testing.T) {
	t.Parallel()
	links := httpjson.Links{{Rel: "self", Href: "http://h/a?x=1&y=<2>"}, {Rel: "type", Href: "http://h/b", Name: "n"}}
	tests := []struct {
		name, accept string
		v            document
		want         string
	}{
		{"HAL", "", document{ID: "1", Links: links}, `{"id":"1","_links":{"self":{"href":"http://h/a?x=1&y=<2>"},"type":{"href":"http://h/b","name":"n"}}}`},
		{"JSON without links", httpjson.JSON, document{ID: "1", Size: 5, Text: new("")}, `{"id":"1","size":5,"text":""}`},
		{
			"CBOR", httpjson.CBOR,
			document{ID: "1", Links: links[1:]},
			"\xa2bida1elinks\x81\xa3creldtypedhrefjhttp://h/bdnamean",
		},
		{"CBOR without links", httpjson.CBOR, document{ID: "1"}, "\xa2bida1elinks\x80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mux := httpjson.NewMux([]httpjson.Route{{
				Method: "GET", Path: "/", Produces: []string{httpjson.HAL, httpjson.JSON, httpjson.CBOR},
				Handle: func(w http.ResponseWriter, r *http.Request) error {
					return httpjson.Write(w, r, http.StatusOK, tt.v)
				},
			}}, httpjson.Options{})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if got := w.Body.String(); got != tt.want {
				t.Errorf("got  %s %q\nwant %s %q", hex.EncodeToString([]byte(got)), got, hex.EncodeToString([]byte(tt.want)), tt.want)
			}
		})
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	const body = `{"by":"list","id":""}`
	const tag = `"0b4f9ca6b96b64ac7f3a1d3ee0e4d4c2d"`
	server := httptest.NewServer(httpjson.SecurityHeaders(testMux()))
	t.Cleanup(server.Close)
	_, header, _ := raw(t, server, "GET", "/things", "")
	real := header.Get("Etag")
	if len(real) != len(tag) || !regexp.MustCompile(`^"0[0-9a-f]{32}"$`).MatchString(real) {
		t.Fatalf("ETag %q", real)
	}
	tests := []struct {
		request, headers string
		want             int
	}{
		{"GET /things", "If-None-Match: " + real, 304},
		{"GET /things", "If-None-Match: W/" + real, 304},
		{"GET /things", `If-None-Match: "x", ` + real, 304},
		{"GET /things", `If-None-Match: "x"|If-None-Match: ` + real, 304},
		{"GET /things", `If-None-Match: "x"`, 200},
		{"GET /things", "If-None-Match: *", 200},
		{"GET /things", "If-None-Match: " + strings.Trim(real, `"`), 200},
		{"GET /things", "If-Match: \"x\"|Range: bytes=0-3|If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT", 200},
		{"HEAD /things", "If-None-Match: " + real, 200},
		{"GET /nonsense", "If-None-Match: *", 404},
	}
	for _, tt := range tests {
		method, target, _ := strings.Cut(tt.request, " ")
		status, header, got := raw(t, server, method, target, tt.headers)
		if status != tt.want {
			t.Errorf("%s %s: %d", tt.request, tt.headers, status)
		}
		switch {
		case status == http.StatusNotModified:
			want := http.Header{"Etag": {real}, "X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"}, "X-Xss-Protection": {"0"}}
			header.Del("Date")
			if diff := cmp.Diff(want, header); diff != "" || got != "" {
				t.Error(tt.headers, diff, got)
			}
		case method == "HEAD":
			if header.Get("Etag") != "" || header.Get("Content-Length") != "21" || got != "" {
				t.Errorf("HEAD: %v %q", header, got)
			}
		case status == http.StatusOK:
			if got != body || header.Get("Etag") != real || header.Get("Content-Length") != "21" {
				t.Errorf("%s: %q %v", tt.headers, got, header)
			}
		case header.Get("Etag") != "":
			t.Errorf("an error has an ETag")
		}
	}
}

func TestHandlerWithoutETag(t *testing.T) {
	t.Parallel()
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	r.Header.Set("If-None-Match", `"0d751713988987e9331980363e24189ce"`)
	w.Header()["Etag"] = nil
	if err := httpjson.Write(w, r, http.StatusOK, []int{}); err != nil || w.Code != http.StatusOK || w.Header().Get("Etag") != "" {
		t.Error(err, w.Code, w.Header())
	}
}

func TestNoContent(t *testing.T) {
	t.Parallel()
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	w.Header().Set("Content-Type", httpjson.HAL)
	httpjson.NoContent(w, r)
	want := http.Header{"Etag": {`"0d41d8cd98f00b204e9800998ecf8427e"`}}
	if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != http.StatusNoContent {
		t.Error(diff, w.Code)
	}
}

// TestUnencodable checks that nothing is written when encoding fails, so that
// the edge can still answer.
func TestUnencodable(t *testing.T) {
	t.Parallel()
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	if err := httpjson.Write(w, r, http.StatusOK, func() {}); err == nil || w.Body.Len() > 0 {
		t.Error(err, w.Body)
	}
	if err := httpjson.WriteError(w, r, http.StatusTeapot, func() {}); err == nil || w.Body.Len() > 0 {
		t.Error(err, w.Body)
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	tests := []struct{ accept, want string }{
		{"", httpjson.JSON},
		{"*/*", httpjson.JSON},
		{"application/*", httpjson.JSON},
		{"application/hal+json", httpjson.HAL},
		{"application/*+json", httpjson.HAL},
		{"application/hal+json;q=0.1, application/json", httpjson.JSON},
		{"application/cbor", httpjson.CBOR},
		{"image/png", httpjson.JSON},
		{"nonsense", httpjson.JSON},
	}
	for _, tt := range tests {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/octet-stream")
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		if err := httpjson.WriteError(w, r, http.StatusConflict, struct{}{}); err != nil || w.Code != http.StatusConflict || w.Header().Get("Content-Type") != tt.want {
			t.Errorf("%s: %v %d %v", tt.accept, err, w.Code, w.Header())
		}
	}
}

func TestFramework(t *testing.T) {
	t.Parallel()
	tests := []struct{ accept, contentType string }{
		{"", httpjson.JSON},
		{"*/*", httpjson.JSON},
		{"application/*", httpjson.JSON},
		{"application/hal+json", httpjson.HAL},
		{"application/Vnd.Api+json", "application/Vnd.Api+json"},
		{"application/*+json", httpjson.HAL},
		{"application/cbor", httpjson.CBOR},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"},
		{"text/*", "text/html"},
		{"text/plain", ""},
		{"image/png, application/xml", ""},
		{"nonsense", ""},
	}
	for _, tt := range tests {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		httpjson.WriteFramework(w, r, http.StatusMethodNotAllowed)
		body := w.Body.String()
		if w.Header().Get("Content-Type") != tt.contentType || w.Code != http.StatusMethodNotAllowed || (body == "") != (tt.contentType == "") {
			t.Errorf("%s: %d %v %q", tt.accept, w.Code, w.Header(), body)
		}
		if strings.HasSuffix(tt.contentType, "json") &&
			!regexp.MustCompile(`^{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","status":405,"error":"Method Not Allowed"}$`).MatchString(body) {
			t.Errorf("%s: %q", tt.accept, body)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := httpjson.SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { httpjson.Empty(w, http.StatusOK) }))
	want := http.Header{
		"Cache-Control": {"no-cache, no-store, max-age=0, must-revalidate"}, "Pragma": {"no-cache"}, "Expires": {"0"},
		"X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"}, "X-Xss-Protection": {"0"}, "Content-Length": {"0"},
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Error(diff)
	}
	want["Strict-Transport-Security"] = []string{"max-age=31536000 ; includeSubDomains"}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://h/", nil))
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Error(diff)
	}
}

// TestSendfileSurvives drives a handler through all middleware over a real
// connection: what io.Copy needs for sendfile must still be there.
func TestSendfileSurvives(t *testing.T) {
	t.Parallel()
	seen := make(chan bool, 1)
	mux := httpjson.NewMux([]httpjson.Route{{Method: "GET", Path: "/", Handle: func(w http.ResponseWriter, _ *http.Request) error {
		_, ok := w.(io.ReaderFrom)
		seen <- ok
		httpjson.Empty(w, http.StatusOK)
		return nil
	}}}, httpjson.Options{})
	server := httptest.NewServer(httpjson.Forwarding{}.Handler(httpjson.Hygiene(httpjson.DeviceStrict, httpjson.SecurityHeaders(mux))))
	t.Cleanup(server.Close)
	if status, _, _ := raw(t, server, "GET", "/", ""); status != http.StatusOK {
		t.Fatal(status)
	}
	if !<-seen {
		t.Error("the handler's writer is no io.ReaderFrom")
	}
}
