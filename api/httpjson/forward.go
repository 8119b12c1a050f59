package httpjson

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Forwarding finds out who a request comes from and under which address it was
// sent. ClientIP and BaseURL then answer from the request itself.
type Forwarding struct {
	// Trusted are the networks whose proxies are believed.
	Trusted []netip.Prefix

	// ProxyHeaders are further headers that only a trusted proxy may set, such as
	// those that carry a client certificate; one that ends in "*" stands for all
	// names that begin so. From anyone else they are dropped.
	ProxyHeaders []string

	// Standard reads the Forwarded header of RFC 7239 in place of the
	// X-Forwarded family. Only one of the two is ever read: a proxy that sets one
	// may pass the other one through as the client made it up.
	Standard bool
}

// forwardingHeaders are read from trusted proxies and dropped from anyone else.
var forwardingHeaders = [...]string{
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded",
	"X-Forwarded-Prefix", "X-Forwarded-Ssl",
}

// Handler wraps next. A request with a bad Host is answered 400. A request of a
// trusted proxy goes on as a copy whose RemoteAddr, URL.Scheme and Host are the
// client's; any other one goes on as it is, without the headers that only a
// proxy may set.
func (f Forwarding) Handler(next http.Handler) http.Handler {
	var exact, prefixes []string
	for _, h := range f.ProxyHeaders {
		h = http.CanonicalHeaderKey(h)
		if p, ok := strings.CutSuffix(h, "*"); ok {
			prefixes = append(prefixes, p)
		} else {
			exact = append(exact, h)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer := f.proxy(r); peer.IsValid() {
			r = f.forwarded(r, peer)
		} else {
			for _, h := range forwardingHeaders {
				delete(r.Header, h)
			}
			for _, h := range exact {
				delete(r.Header, h)
			}
			if len(prefixes) > 0 {
				dropPrefixed(r.Header, prefixes)
			}
		}
		if _, _, ok := splitHost(r.Host); !ok {
			WriteFramework(w, r, http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func dropPrefixed(h http.Header, prefixes []string) {
	for name := range h {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				delete(h, name)
			}
		}
	}
}

// proxy returns the peer if it is a trusted proxy, else the zero Addr.
func (f Forwarding) proxy(r *http.Request) netip.Addr {
	if len(f.Trusted) > 0 {
		if peer := ClientIP(r); f.trusts(peer) {
			return peer
		}
	}
	return netip.Addr{}
}

func (f Forwarding) trusts(a netip.Addr) bool {
	for _, p := range f.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// A hop is what one proxy says about the request it got.
type hop struct{ client, proto, host, port string }

// forwarded returns r as the client sent it to the outermost trusted proxy.
func (f Forwarding) forwarded(r *http.Request, peer netip.Addr) *http.Request {
	var h hop
	var client netip.Addr
	if f.Standard {
		h, client = f.standard(r.Header["Forwarded"], peer)
	} else {
		client = f.xForwardedFor(r.Header["X-Forwarded-For"], peer)
		h = hop{
			proto: single(r.Header["X-Forwarded-Proto"]),
			host:  single(r.Header["X-Forwarded-Host"]),
			port:  single(r.Header["X-Forwarded-Port"]),
		}
	}
	if client == peer && h == (hop{}) {
		return r
	}
	c := *r
	c.URL = new(url.URL)
	*c.URL = *r.URL
	if client != peer {
		c.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	name, port, ok := splitHost(r.Host)
	if host, hostPort, valid := splitHost(h.host); h.host != "" && valid {
		name, port, ok = host, hostPort, true
	} else if h.proto != "" {
		port = "" // the one in Host is the proxy's inner one
	}
	if h.proto != "" {
		c.RequestURI = originForm(r.RequestURI)
		c.URL.Scheme = "http"
		if strings.EqualFold(h.proto, "https") {
			c.URL.Scheme = "https"
		}
		if port == "" && validPort(h.port) {
			port = h.port
		}
	}
	if ok {
		c.Host = name
		if port != "" {
			c.Host += ":" + port
		}
	}
	return &c
}

// single returns the value of a header given once, and not as a list.
func single(values []string) string {
	if len(values) != 1 || strings.Contains(values[0], ",") {
		return ""
	}
	return strings.TrimSpace(values[0])
}

// xForwardedFor walks the list from its end, where our own proxies wrote, to
// the first address that no trusted proxy has: everything left of it is hearsay.
func (f Forwarding) xForwardedFor(values []string, peer netip.Addr) netip.Addr {
	client := peer
	rest := strings.Join(values, ",")
	for rest != "" && f.trusts(client) {
		i := strings.LastIndexByte(rest, ',')
		a, ok := parseNode(strings.TrimSpace(rest[i+1:]))
		if !ok {
			break
		}
		client, rest = a, rest[:max(i, 0)]
	}
	return client
}

// standard does the same for Forwarded; proto and host are those of the
// outermost trusted proxy that gave any.
func (f Forwarding) standard(values []string, peer netip.Addr) (hop, netip.Addr) {
	var elements []string
	for _, v := range values {
		for more := true; more; {
			var e string
			e, v, more = cutUnquoted(v, ',')
			elements = append(elements, e)
		}
	}
	client, told := peer, hop{}
	for i := len(elements) - 1; i >= 0 && f.trusts(client); i-- {
		h := parseForwarded(elements[i])
		if h.proto != "" {
			told.proto = h.proto
		}
		if h.host != "" {
			told.host = h.host
		}
		a, ok := parseNode(h.client)
		if !ok {
			break
		}
		client = a
	}
	return told, client
}

func parseForwarded(element string) hop {
	var h hop
	for more := true; more; {
		var pair string
		pair, element, more = cutUnquoted(element, ';')
		name, value, _ := strings.Cut(pair, "=")
		value = unquote(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			h.client = value
		case "proto":
			h.proto = value
		case "host":
			h.host = value
		}
	}
	return h
}

// parseNode reads an address with or without port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func parseNode(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// ClientIP returns the address of the client: the real peer, or, behind
// Forwarding, whom a trusted proxy names. It is the zero Addr where there is
// none, such as on a Unix socket.
func ClientIP(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, _ := parseNode(r.RemoteAddr)
	return a
}

// BaseURL returns scheme://host[:port] as the client sees this server. The
// spelling of Host is kept; the default port of the scheme is not printed.
func BaseURL(r *http.Request) string {
	s := scheme(r)
	host := r.Host
	if name, port, ok := splitHost(host); ok && (port == "" || port == "80" && s == "http" || port == "443" && s == "https") {
		host = name
	}
	return s + "://" + host
}

// scheme is http or https.
func scheme(r *http.Request) string {
	if r.URL.Scheme != "" && strings.HasPrefix(r.RequestURI, "/") {
		return r.URL.Scheme // set by Forwarding; a client can only set it in absolute form
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// splitHost takes host[:port] apart; an IPv6 address keeps its brackets. It is
// false for what is no host.
func splitHost(s string) (name, port string, ok bool) {
	name = s
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		a, err := netip.ParseAddr(s[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", "", false
		}
		name, port = s[:end+1], s[end+1:]
		if port != "" {
			if port[0] != ':' {
				return "", "", false
			}
			port = port[1:]
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		name, port = s[:i], s[i+1:]
	}
	if name == "" || len(s) > 300 {
		return "", "", false
	}
	if name[0] != '[' {
		for i := 0; i < len(name); i++ {
			if !hostByte(name[i]) {
				return "", "", false
			}
		}
	}
	if port != "" && !validPort(port) {
		return "", "", false
	}
	return name, port, true
}

// hostByte reports whether a host name may hold c; underscores do occur.
func hostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// originForm takes scheme and authority off a request target.
func originForm(target string) string {
	if target == "" || target[0] == '/' {
		return target
	}
	_, rest, ok := strings.Cut(target, "://")
	if !ok {
		return target
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 && rest[i] == '/' {
		return rest[i:]
	} else if i >= 0 {
		return "/" + rest[i:]
	}
	return "/"
}
