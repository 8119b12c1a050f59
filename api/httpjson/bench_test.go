package httpjson_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/otaria/otaria/api/httpjson"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkPoll is what this package adds to a poll: all middleware, routing,
// negotiation, encoding, ETag.
func BenchmarkPoll(b *testing.B) {
	poll := document{ID: "00:05:00", Links: httpjson.Links{{Rel: "deploymentBase", Href: "http://localhost:8080/DEFAULT/controller/v1/device-1/deploymentBase/1?c=-2129030598"}}}
	mux := httpjson.NewMux([]httpjson.Route{{
		Method: "GET", Path: "/{tenant}/controller/v1/{controllerId}", Produces: []string{httpjson.HAL, httpjson.JSON, httpjson.CBOR},
		Handle: func(w http.ResponseWriter, r *http.Request) error { return httpjson.Write(w, r, http.StatusOK, poll) },
	}}, httpjson.Options{})
	benchmark(b, httpjson.Hygiene(httpjson.DeviceStrict, httpjson.SecurityHeaders(mux)))
}

// BenchmarkSend is the same with a body that is encoded already.
func BenchmarkSend(b *testing.B) {
	body := []byte(`{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"configData":{"href":"http://localhost:8080/DEFAULT/controller/v1/device-1/configData"}}}`)
	mux := httpjson.NewMux([]httpjson.Route{{
		Method: "GET", Path: "/{tenant}/controller/v1/{controllerId}", Produces: []string{httpjson.HAL, httpjson.JSON, httpjson.CBOR},
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			httpjson.Send(w, r, http.StatusOK, body)
			return nil
		},
	}}, httpjson.Options{})
	benchmark(b, httpjson.Hygiene(httpjson.DeviceStrict, httpjson.SecurityHeaders(mux)))
}

func benchmark(b *testing.B, next http.Handler) {
	b.Helper()
	h := httpjson.Forwarding{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ProxyHeaders: []string{"X-Controller-Id", "X-Authority*"}}.Handler(next)
	r := httptest.NewRequest(http.MethodGet, "/DEFAULT/controller/v1/device-1", nil)
	r.Header.Set("Accept", "application/hal+json")
	r.Header.Set("User-Agent", "bench")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}

func BenchmarkForwarding(b *testing.B) {
	for _, tt := range []struct{ name, peer string }{{"direct", "192.0.2.1:1"}, {"proxied", "10.0.0.1:1"}} {
		b.Run(tt.name, func(b *testing.B) {
			h := httpjson.Forwarding{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			b.ReportAllocs()
			for b.Loop() {
				r.Header = http.Header{"X-Forwarded-For": {"192.0.2.9"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"updates.example"}, "Accept": {"*/*"}}
				h.ServeHTTP(discard{}, r)
			}
		})
	}
}

func BenchmarkBaseURLAndClientIP(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "http://updates.example:8080/", nil)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = httpjson.BaseURL(r), httpjson.ClientIP(r)
	}
}

func BenchmarkFeedback(b *testing.B) {
	body := []byte(`{"id":"1","time":"20140511T121314","status":{"result":{"finished":"none","progress":{"cnt":2,"of":5}},"execution":"proceeding","details":["Feedback message","another one"]}}`)
	b.ReportAllocs()
	for b.Loop() {
		var f feedback
		if err := httpjson.DecodeJSON(body, "", &f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTargets reads a list of a thousand targets to create.
func BenchmarkTargets(b *testing.B) {
	body := []byte(`[`)
	for range 1000 {
		body = append(body, `{"name":"device-1","weight":5,"keys":["a","b"],"confirm":true,"unknown":{"x":[1,2,3]}},`...)
	}
	body[len(body)-1] = ']'
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var l []lenient
		if err := httpjson.DecodeJSON(body, "", &l); err != nil {
			b.Fatal(err)
		}
	}
}
