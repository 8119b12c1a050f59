package httpjson_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
)

// FuzzJSON: nothing panics; of texts in UTF-8 exactly those are taken that
// encoding/json takes (limits apart); and what is read is what it reads.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"status":{"execution":"closed","result":{"finished":1}},"a":[1,2.50,"x\u0000\ud83d",null,true,{}]}`,
		`[]`, ` "x" `, `1e5`, `{"a":1,"a":{"b":"]"}}`, `{"name":"`, "\xef\xbb\xbf{}", "\xfe\xff\x00{\x00}", "{\x00\x00\x00}\x00\x00\x00", `nul`, `-`, `{"a"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = httpjson.DecodeJSON(b, "", &feedback{})
		_ = httpjson.DecodeJSON(b, "iso-8859-1", &lenient{})
		var got, want struct{ V any }
		wrapped := append(append([]byte(`{"V":`), b...), '}')
		err := httpjson.DecodeJSON(wrapped, "", &got)
		d := json.NewDecoder(bytes.NewReader(wrapped))
		d.UseNumber()
		valid := utf8.Valid(b) && json.Valid(wrapped)
		if valid != (err == nil) {
			if valid && (strings.Contains(err.Error(), "nests") || strings.Contains(err.Error(), "digits")) {
				return
			}
			t.Fatalf("encoding/json says %v, we say %v: %q", valid, err, b)
		}
		if err != nil {
			return
		}
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		// Of members that spell V in another case, only encoding/json takes one.
		if diff := cmp.Diff(want, got); diff != "" && !bytes.Contains(b, []byte(`v`)) && !bytes.Contains(b, []byte(`\`)) {
			t.Fatal(diff)
		}
	})
}

// FuzzValue: a raw value prints as what was sent.
func FuzzValue(f *testing.F) {
	f.Add(`{"a":[1,2.50]}`, `"x"`)
	f.Add(`[" ] ",{"b":"\""}]`, `-0`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if !json.Valid([]byte(a)) || !json.Valid([]byte(b)) {
			return
		}
		var got struct {
			List []httpjson.Value `json:"list"`
			Last httpjson.Value   `json:"last"`
		}
		if err := httpjson.DecodeJSON([]byte(`{"list":[`+a+`,`+b+`,`+a+`],"last":`+b+`}`), "", &got); err != nil {
			return // not UTF-8, too deep, too long
		}
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(`{"list":[`+a+`,`+b+`,`+a+`],"last":`+b+`}`)); err != nil {
			t.Fatal(err)
		}
		var escaped bytes.Buffer // as json.Marshal prints what a Marshaler gives
		json.HTMLEscape(&escaped, want.Bytes())
		if diff := cmp.Diff(escaped.String(), string(out)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzCBOR: nothing panics; what is taken is well-formed; and JSON that goes
// through CBOR comes back the same.
func FuzzCBOR(f *testing.F) {
	for _, s := range []string{
		"\xa1dnameax", "\xbfdname\x7fax\x61y\xff\xff", "\xd9\xd9\xf7\xa0", "\x9f\xff", "\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", "\xf9\x7e\x00", "\xf7", "\xa1\x01\x02", "\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in lenient
		if err := httpjson.DecodeCBOR(b, &in); err == nil {
			if err := cbor.Wellformed(b); err != nil && !strings.Contains(err.Error(), "nested") {
				t.Fatal(err)
			}
		}
		text := string(b)
		if !utf8.ValidString(text) {
			return
		}
		v := map[string]any{"any": []any{text, true, nil, map[string]any{text: "x"}}}
		encoded, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Any any `json:"any"`
		}
		if err := httpjson.DecodeCBOR(encoded, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v["any"], got.Any); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzHygiene: what passes for a device is a path that ServeMux leaves alone,
// that net/url reads, and whose segments hold nothing that could be one more
// separator.
func FuzzHygiene(f *testing.F) {
	for _, s := range []string{"/a/b", "/a%2Fb", "/%2e%2e/", "//", "/a;b", "/a?x=%zz", "/\xc3\xbc", "/a%C3%BC", "http://h/x", "/a/./b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RequestURI = target
		device, mgmt := passes(httpjson.DeviceStrict, r), passes(httpjson.ManagementStrict, r)
		if device && !mgmt {
			t.Fatalf("%q is fine from a device, but not from an operator", target)
		}
		if !device || !strings.HasPrefix(target, "/") {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("%q passes: %v", target, err)
		}
		path, _, _ := strings.Cut(target, "?")
		if strings.Count(u.Path, "/") != strings.Count(path, "/") || !utf8.ValidString(u.Path) || strings.ContainsAny(u.Path, "\x00\n\r;\\%") {
			t.Fatalf("%q passes as %q", target, u.Path)
		}
		w := httptest.NewRecorder()
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
		mux.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: u, Host: "h"})
		if w.Code != http.StatusOK {
			t.Fatalf("%q passes and is redirected: %d", target, w.Code)
		}
	})
}

// FuzzAccept: an answer is of an offered type, or 406; never a panic, and the
// type that is written back into an error is a header value.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html, image/gif, *; q=.2", `application/json;x="a,b";q=0.5, application/*+json`, "a/b;q=2", "application/cbor;q=0, application/hal+json", `";`, "application/x+json;charset=\"\\\"\""} {
		f.Add(s)
	}
	mux := testMux()
	f.Fuzz(func(t *testing.T, accept string) {
		for _, path := range []string{"/device/1", "/nonsense"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			contentType, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
			switch {
			case strings.ContainsAny(contentType, "\r\n,\""):
				t.Fatalf("%q: Content-Type %q", accept, contentType)
			case w.Code == http.StatusOK && contentType != httpjson.HAL && contentType != httpjson.JSON && contentType != httpjson.CBOR:
				t.Fatalf("%q: %q", accept, contentType)
			case w.Code != http.StatusOK && w.Code != http.StatusNotAcceptable && w.Code != http.StatusNotFound:
				t.Fatalf("%q: %d", accept, w.Code)
			}
		}
	})
}

// FuzzForwarding: whatever a trusted proxy says, BaseURL is a URL with a host
// and nothing else.
func FuzzForwarding(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1", "https", "h:1", "8443", `for="[::1]:5";host=x;proto=https`)
	f.Add("", "", "a,b", "", `for=1.2.3.4, for="`)
	f.Fuzz(func(t *testing.T, client, proto, host, port, standard string) {
		for _, s := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = "10.0.0.1:1"
			r.Header = http.Header{
				"X-Forwarded-For": {client}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Port": {port}, "Forwarded": {standard},
			}
			httpjson.Forwarding{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Standard: s}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				base := httpjson.BaseURL(r)
				u, err := url.Parse(base)
				if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "http" && u.Scheme != "https") {
					t.Fatalf("%q: %v", base, err)
				}
				if !httpjson.ClientIP(r).IsValid() {
					t.Fatal("no client")
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}
