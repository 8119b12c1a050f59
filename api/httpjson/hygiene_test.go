package httpjson_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/otaria/otaria/api/httpjson"
)

func TestHygiene(t *testing.T) {
	t.Parallel()
	const ok, bad = true, false
	tests := []struct {
		target       string
		device, mgmt bool
	}{
		{"/", ok, ok},
		{"/a/b", ok, ok},
		{"/a/", ok, ok},
		{"/a.b/..c/c../.d/...", ok, ok},
		{"/%42/a%20b/%C3%BC/%F0%9F%98%80/a+b/~$&'()*,=:@!", ok, ok},
		{"/a?x=1;y==%2F..//%25%0A", ok, ok},
		{"//a", bad, bad},
		{"/a//b", bad, bad},
		{"/a//", bad, bad},
		{"/./a", bad, bad},
		{"/a/..", bad, bad},
		{"/a/../b", bad, bad},
		{"/a;x=1", bad, bad},
		{"/a%3Bx", bad, ok},
		{"/a%3bx", bad, ok},
		{"/a%2Fb", bad, ok},
		{"/a%5Cb", bad, ok},
		{"/a%25b", bad, ok},
		{"/a%2Eb", bad, bad},
		{"/%2e%2e/b", bad, bad},
		{"/a%00b", bad, bad},
		{"/a%0Ab", bad, bad},
		{"/a%0Db", bad, bad},
		{"/a%09b", bad, ok},
		{"/a%7Fb", bad, ok},
		{"/a%C2%81b", bad, ok},
		{"/a%C2%85b", bad, bad},
		{"/a%E2%80%A8b", bad, bad},
		{"/a%E2%80%A9b", bad, bad},
		{"/a%FFb", bad, bad},
		{"/a%C3", bad, bad},
		{"/a%ED%A0%80", bad, bad},
		{"/a%zz", bad, bad},
		{"/a%4", bad, bad},
		{"/a%", bad, bad},
		{`/a"b`, bad, bad},
		{`/a\b`, bad, bad},
		{"/a<b", bad, bad},
		{"/a>b", bad, bad},
		{"/a^b", bad, bad},
		{"/a`b", bad, bad},
		{"/a|b", bad, bad},
		{"/a[b", bad, bad},
		{"/a]b", bad, bad},
		{"/a{b", bad, bad},
		{"/a}b", bad, bad},
		{"/a#b", bad, bad},
		{"/aüb", bad, bad},
		{"/a\x01b", bad, bad},
		{"/a?x=%zz", bad, bad},
		{"/a?x=%FF", bad, bad},
		{"/a?x=%", bad, bad},
		{"/a?x=<b>", bad, bad},
		{"/a?x=ü", bad, bad},
		{"http://h/a", ok, ok},
		{"http://h", ok, ok},
		{"http://h?x", ok, ok},
		{"http://h//a", bad, bad},
		{"a", bad, bad},
		{"*", bad, bad},
	}
	for _, tt := range tests {
		for strictness, want := range map[httpjson.Strictness]bool{httpjson.DeviceStrict: tt.device, httpjson.ManagementStrict: tt.mgmt} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RequestURI = tt.target
			if got := passes(strictness, r); got != want {
				t.Errorf("%q strictness %d: %v", tt.target, strictness, got)
			}
		}
	}
	for method, want := range map[string]bool{"PATCH": ok, "TRACE": ok, "FROB": bad, "get": bad, "CONNECT": bad} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = method
		if got := passes(httpjson.DeviceStrict, r); got != want {
			t.Errorf("%s: %v", method, got)
		}
	}
}

func passes(s httpjson.Strictness, r *http.Request) bool {
	w := httptest.NewRecorder()
	httpjson.Hygiene(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
	return w.Code == http.StatusOK
}

func TestTyped(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{"": false, "application/json": true, "Application/JSON; charset=x": true, "text/plain": false, "x": false} {
		r := httptest.NewRequest(http.MethodDelete, "/", nil)
		r.Header.Set("Content-Type", contentType)
		if got := httpjson.Typed(r, httpjson.JSON); got != want {
			t.Errorf("%q: %v", contentType, got)
		}
	}
}
