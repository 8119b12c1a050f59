package ddi_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/tenant"
)

// pollOf makes a poll as it comes to quickPoll.
func pollOf(tb testing.TB, target string, headers ...string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, target, nil)
	r.Host, r.RemoteAddr = "ota.example", "192.0.2.7:4711"
	r.Header.Set("Authorization", gatewayToken)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// TestQuickPollIsPoll: the short way gives the answer of the long one, which a
// query in the path forces, byte by byte and header by header.
func TestQuickPollIsPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	w.poll("dev")
	same := func(state string, quick bool) {
		t.Helper()
		w.poll("dev") // reads the standing after the change
		if got := w.api.QuickPoll(httptest.NewRecorder(), pollOf(t, path("dev", ""))); got != quick {
			t.Errorf("%s: answered the short way is %t, want %t", state, got, quick)
		}
		for _, accept := range []string{"", "*/*", "application/json", "application/hal+json", "application/cbor", "application/json;q=0.5, application/cbor;q=0.4", "text/html", "nonsense"} {
			for _, match := range []string{"", w.poll("dev").header.Get("Etag")} {
				short := w.do(http.MethodGet, path("dev", ""), "", "Accept", accept, "If-None-Match", match)
				long := w.do(http.MethodGet, path("dev", "")+"?", "", "Accept", accept, "If-None-Match", match)
				long.header.Del("Content-Length") // net/http adds it to the short one
				short.header.Del("Content-Length")
				if diff := cmp.Diff(long, short, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("%s, Accept %q, If-None-Match %q: (-long +short)\n%s", state, accept, match, diff)
				}
			}
		}
	}
	same("attributes are wanted", true)
	w.wantEmpty(200, w.do(http.MethodPut, path("dev", "configData"), `{"mode":"merge","data":{"hw":"1"}}`))
	same("nothing to do", true)
	id := w.assign("dev", w.firmware("a"), deployment.Order{})
	same("forced", true)
	w.report("dev", id, "closed", "success")
	same("installed", true)
	id = w.assign("dev", w.firmware("b"), deployment.Order{Type: deployment.TimeForced, ForcedAt: w.clock.Now().Add(time.Hour)})
	same("to be forced", true)
	before := w.poll("dev").body
	w.clock.pass(2 * time.Hour)
	same("forced by time", true)
	if w.poll("dev").body == before {
		t.Error("the passing of the forced time is not told")
	}
	if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	same("canceled", true)
	w.report("dev", id, "closed", "success")
	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	w.assign("dev", w.firmware("c"), deployment.Order{Weight: 1})
	same("consent is wanted", true)
	w.assign("dev", w.firmware("d"), deployment.Order{Window: deployment.Window{Schedule: "0 0 3 * * ? *", Duration: "01:00:00", Timezone: "Z"}})
	same("a window is ahead", false)
}

// TestQuickPollOnTheWire: over a connection the answers are the same in full.
func TestQuickPollOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := httptest.NewServer(w.handler)
	defer s.Close()
	get := func(tail string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path("dev", "")+tail, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", gatewayToken)
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		res.Header.Del("Date")
		text, err := httputil.DumpResponse(res, true)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	get("")
	get("")
	if diff := cmp.Diff(get("?"), get("")); diff != "" {
		t.Errorf("(-long +short)\n%s", diff)
	}
}

// TestQuickPollLeavesTheRest: what is not plain goes the long way, and nothing
// is noted on the short one.
func TestQuickPollLeavesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := path("dev", "")
	try := func(r *http.Request) bool { return w.api.QuickPoll(httptest.NewRecorder(), r) }
	if try(pollOf(t, plain)) {
		t.Error("a device that does not exist")
	}
	w.poll("dev")
	w.poll("dev")
	w.poll("f%C3%BC")
	if !try(pollOf(t, plain)) {
		t.Fatal("a plain poll goes the long way")
	}
	if !try(pollOf(t, "/default/controller/v1/dev")) {
		t.Error("the tenant in small letters goes the long way")
	}
	with := func(change func(r *http.Request)) *http.Request {
		r := pollOf(t, plain)
		change(r)
		return r
	}
	for what, r := range map[string]*http.Request{
		"HEAD":                with(func(r *http.Request) { r.Method = http.MethodHead }),
		"PUT":                 with(func(r *http.Request) { r.Method = http.MethodPut }),
		"wrong token":         pollOf(t, plain, "Authorization", "GatewayToken no"),
		"no token":            pollOf(t, plain, "Authorization", ""),
		"target token, off":   pollOf(t, plain, "Authorization", "TargetToken x"),
		"another address":     with(func(r *http.Request) { r.RemoteAddr = "192.0.2.8:4711" }),
		"IPv6 address":        with(func(r *http.Request) { r.RemoteAddr = "[2001:db8::1]:4711" }),
		"CBOR":                pollOf(t, plain, "Accept", "application/cbor"),
		"HTML":                pollOf(t, plain, "Accept", "text/html"),
		"query":               pollOf(t, plain+"?a=b"),
		"empty query":         pollOf(t, plain+"?"),
		"absolute form":       pollOf(t, "http://ota.example"+plain),
		"slash behind":        pollOf(t, plain+"/"),
		"another resource":    pollOf(t, path("dev", "configData")),
		"escapes":             pollOf(t, "/DEFAULT/controller/v1/f%C3%BC"),
		"escape of a letter":  pollOf(t, "/DEFAULT/controller/v1/de%76"),
		"dots":                pollOf(t, "/DEFAULT/controller/v1/.."),
		"no tenant":           pollOf(t, "//controller/v1/dev"),
		"no device":           pollOf(t, "/DEFAULT/controller/v1/"),
		"unknown tenant":      pollOf(t, "/OTHER/controller/v1/dev"),
		"unknown device":      pollOf(t, "/DEFAULT/controller/v1/none"),
		"short path":          pollOf(t, "/"),
		"long path":           pollOf(t, path(strings.Repeat("x", 256), "")),
		"path without device": pollOf(t, "/DEFAULT/controller/v1"),
	} {
		if try(r) {
			t.Errorf("%s: answered the short way", what)
		}
	}
	w.poll("other")
	w.do(http.MethodGet, path("other", ""), "", "peer", "[2001:db8::1]:4711")
	w.do(http.MethodGet, path("other", ""), "", "peer", "[2001:db8::1]:4711")
	r := pollOf(t, path("other", ""))
	r.RemoteAddr = "[2001:db8::1]:4712"
	if !try(r) {
		t.Error("a device with an IPv6 address goes the long way")
	}
}

// BenchmarkPoll is the handler's part of a poll that brings one link.
func BenchmarkPoll(b *testing.B) {
	for _, way := range []string{"short", "long"} {
		b.Run(way, func(b *testing.B) {
			w := newWorld(b)
			w.api.Now = time.Now
			w.poll("dev")
			w.poll("dev")
			target := path("dev", "")
			if way == "long" {
				target += "?"
			}
			r := pollOf(b, target)
			out := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(out.header)
				w.handler.ServeHTTP(out, r)
			}
			if out.status != http.StatusOK {
				b.Fatalf("status %d", out.status)
			}
		})
	}
}

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.status = http.StatusOK; return len(b), nil }
