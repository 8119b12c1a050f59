package httpjson_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
)

// seen is what a handler behind Forwarding learns.
type seen struct {
	Base, Client string
	Headers      http.Header
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	const trusted, stranger = "10.0.0.1:4711", "192.0.2.7:4711"
	tests := []struct {
		name     string
		peer     string
		target   string
		headers  http.Header
		standard bool
		want     seen
	}{
		{name: "direct", peer: stranger, target: "http://Example.COM/", want: seen{Base: "http://Example.COM", Client: "192.0.2.7"}},
		{name: "port kept", peer: stranger, target: "http://h:8080/", want: seen{Base: "http://h:8080", Client: "192.0.2.7"}},
		{name: "default port dropped", peer: stranger, target: "http://h:80/", want: seen{Base: "http://h", Client: "192.0.2.7"}},
		{name: "TLS", peer: stranger, target: "https://h:443/", want: seen{Base: "https://h", Client: "192.0.2.7"}},
		{name: "port of the other scheme", peer: stranger, target: "https://h:80/", want: seen{Base: "https://h:80", Client: "192.0.2.7"}},
		{name: "IPv6", peer: "[2001:db8::1]:1", target: "http://[::1]:80/", want: seen{Base: "http://[::1]", Client: "2001:db8::1"}},
		{name: "mapped peer", peer: "[::ffff:192.0.2.7]:1", target: "http://h/", want: seen{Base: "http://h", Client: "192.0.2.7"}},
		{
			name: "stranger's headers dropped", peer: stranger, target: "http://h/",
			headers: http.Header{
				"X-Forwarded-For": {"1.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}, "Forwarded": {"for=1.1.1.1;host=evil"},
				"X-Controller-Id": {"d"}, "X-Authority": {"a"}, "X-Authority-1": {"a"}, "X-Other": {"stays"},
			},
			want: seen{Base: "http://h", Client: "192.0.2.7", Headers: http.Header{"X-Other": {"stays"}}},
		},
		{
			name: "proxy's certificate headers stay", peer: trusted, target: "http://h/",
			headers: http.Header{"X-Controller-Id": {"d"}, "X-Authority-1": {"a"}},
			want:    seen{Base: "http://h", Client: "10.0.0.1", Headers: http.Header{"X-Controller-Id": {"d"}, "X-Authority-1": {"a"}}},
		},
		{name: "client", peer: trusted, headers: http.Header{"X-Forwarded-For": {"192.0.2.9"}}, want: seen{Base: "http://h:8080", Client: "192.0.2.9"}},
		{name: "mapped proxy", peer: "[::ffff:10.0.0.1]:1", headers: http.Header{"X-Forwarded-For": {"192.0.2.9"}}, want: seen{Base: "http://h:8080", Client: "192.0.2.9"}},
		{name: "client behind two proxies", peer: trusted, headers: http.Header{"X-Forwarded-For": {"6.6.6.6, 192.0.2.9:55", "10.0.0.2"}}, want: seen{Base: "http://h:8080", Client: "192.0.2.9"}},
		{name: "only proxies", peer: trusted, headers: http.Header{"X-Forwarded-For": {"10.0.0.3,10.0.0.2"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.3"}},
		{name: "client unreadable", peer: trusted, headers: http.Header{"X-Forwarded-For": {"6.6.6.6, unknown"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.1"}},
		{name: "IPv6 client", peer: trusted, headers: http.Header{"X-Forwarded-For": {"[2001:db8::7]:443"}}, want: seen{Base: "http://h:8080", Client: "2001:db8::7"}},
		{name: "proto alone resets the port", peer: trusted, headers: http.Header{"X-Forwarded-Proto": {"HTTPS"}}, want: seen{Base: "https://h", Client: "10.0.0.1"}},
		{name: "proto and port", peer: trusted, headers: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"8443"}}, want: seen{Base: "https://h:8443", Client: "10.0.0.1"}},
		{name: "default port said", peer: trusted, headers: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}}, want: seen{Base: "https://h", Client: "10.0.0.1"}},
		{name: "port without proto is ignored", peer: trusted, headers: http.Header{"X-Forwarded-Port": {"8443"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.1"}},
		{name: "nonsense is http", peer: trusted, headers: http.Header{"X-Forwarded-Proto": {"wss"}}, want: seen{Base: "http://h", Client: "10.0.0.1"}},
		{name: "host", peer: trusted, headers: http.Header{"X-Forwarded-Host": {"Public"}, "X-Forwarded-Proto": {"https"}}, want: seen{Base: "https://Public", Client: "10.0.0.1"}},
		{name: "host with port", peer: trusted, headers: http.Header{"X-Forwarded-Host": {"public:9443"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"1"}}, want: seen{Base: "https://public:9443", Client: "10.0.0.1"}},
		{name: "host alone", peer: trusted, headers: http.Header{"X-Forwarded-Host": {"public"}}, want: seen{Base: "http://public", Client: "10.0.0.1"}},
		{name: "list of hosts", peer: trusted, headers: http.Header{"X-Forwarded-Host": {"a, b"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.1"}},
		{name: "bad host", peer: trusted, headers: http.Header{"X-Forwarded-Host": {"a/b"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.1"}},
		{name: "bad port", peer: trusted, headers: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"99999"}}, want: seen{Base: "https://h", Client: "10.0.0.1"}},
		{name: "the other family is not read", peer: trusted, headers: http.Header{"Forwarded": {"for=6.6.6.6;host=evil;proto=https"}}, want: seen{Base: "http://h:8080", Client: "10.0.0.1"}},
		{
			name: "standard", peer: trusted, standard: true,
			headers: http.Header{"Forwarded": {`for=6.6.6.6;host=evil;proto=http, for="[2001:db8::7]:5";Proto=https;host="public:9443"`, "for=10.0.0.2;by=_x"}, "X-Forwarded-Host": {"evil"}},
			want:    seen{Base: "https://public:9443", Client: "2001:db8::7"},
		},
		{name: "standard, hidden", peer: trusted, standard: true, headers: http.Header{"Forwarded": {"for=_hidden;proto=https"}}, want: seen{Base: "https://h", Client: "10.0.0.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			h := httpjson.Forwarding{
				Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Standard: tt.standard,
				ProxyHeaders: []string{"x-controller-id", "X-Authority*"},
			}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = seen{httpjson.BaseURL(r), httpjson.ClientIP(r).String(), r.Header}
			}))
			target := tt.target
			if target == "" {
				target = "http://h:8080/"
			}
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.RemoteAddr, r.RequestURI = tt.peer, "/"
			r.URL.Scheme, r.URL.Host = "", ""
			for k, v := range tt.headers {
				r.Header[k] = v
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if tt.want.Headers == nil {
				got.Headers = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAbsoluteForm checks that a client cannot choose the scheme by its request line.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	status, body := wire(t, "GET https://other/x HTTP/1.1\r\nHost: ignored\r\n\r\n")
	if status != 200 || body != "http://other" {
		t.Error(status, body)
	}
}

func TestBadHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		head string
		want int
	}{
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: h_1.example:65535\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.0\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: h:x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: h:0\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: h<b>\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: \xc3\xbc\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: " + strings.Repeat("h", 301) + "\r\n\r\n", 400},
	} {
		if got, _ := wire(t, tt.head); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.head, got, tt.want)
		}
	}
}

// wire sends bytes to a server that answers with BaseURL.
func wire(t *testing.T, head string) (int, string) {
	t.Helper()
	server := httptest.NewServer(httpjson.Forwarding{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, httpjson.BaseURL(r))
	})))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	_, _ = bufio.NewReader(resp.Body).WriteTo(&body)
	return resp.StatusCode, body.String()
}
