package ddi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/tenant"
)

// IdentityHeaders is one family of headers by which a trusted proxy tells whom
// a client certificate names and who issued it (device-apis B.2, B.3). The
// identity of one family never counts with the issuer of another.
type IdentityHeaders struct {
	Identity string // holds the controller id
	Issuer   string // begins the names Issuer-1, Issuer-2, …, which hold the issuers' fingerprints
	List     bool   // there may be an Issuer-0, or the unnumbered Issuer that holds a list of all
}

// DefaultIdentityHeaders are the two generations that proxies in the field set.
func DefaultIdentityHeaders() []IdentityHeaders {
	return []IdentityHeaders{
		{Identity: "X-Controller-Id", Issuer: "X-Authority", List: true},
		{Identity: "X-Ssl-Client-Cn", Issuer: "X-Ssl-Issuer-Hash"},
	}
}

// Headers names all headers of the families, as patterns for
// httpjson.Forwarding, which drops them unless a trusted proxy set them.
func Headers(families []IdentityHeaders) []string {
	var all []string
	for _, f := range families {
		all = append(all, f.Identity, f.Issuer, f.Issuer+"-*")
	}
	return all
}

// authenticate finds out who asks (device-apis B.1). One of the tenant's modes
// has to succeed: certificate header, target token, gateway token, or for a
// download that it is open to everybody. Which one does makes no difference.
// The error is fault.Unauthenticated whatever is wrong, or
// fault.Unavailable when nothing can be looked up.
func (a *API) authenticate(r *http.Request) (*device, error) {
	denied := fault.New(fault.Unauthenticated, "")
	name, id, ok := segments(r)
	if !ok {
		return nil, denied
	}
	t, err := a.Tenants.ByName(r.Context(), name)
	if err != nil {
		if fault.Is(err, fault.TenantUnknown) {
			err = denied
		}
		return nil, err
	}
	d := &device{tenant: t, typed: name, id: id}
	trusted := a.trusts(r, d)
	token, hasToken := targetToken(r, t.Settings)
	if !trusted && !hasToken {
		return nil, denied // a stranger, at no cost to the database
	}
	d.standing, d.window, err = a.Deployment.Polls.Lookup(r.Context(), t, id)
	switch {
	case err == nil:
		d.known = true
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	if !trusted && !byTargetToken(token, d) {
		return nil, denied
	}
	return d, nil
}

// trusts reports whether the request may be whose it says, by a proof other than
// the target's own token, or needs none.
func (a *API) trusts(r *http.Request, d *device) bool {
	s := d.tenant.Settings
	return s.HeaderEnabled && a.byHeader(r, d, s) ||
		s.GatewayTokenEnabled && byGatewayToken(authorization(r), s) ||
		s.AnonymousDownload && isDownload(r)
}

// targetToken returns the token that a target shows for itself, where that counts.
func targetToken(r *http.Request, s *tenant.Settings) (token string, ok bool) {
	if !s.TargetTokenEnabled {
		return "", false
	}
	return strings.CutPrefix(authorization(r), "TargetToken ")
}

func authorization(r *http.Request) string {
	if v := r.Header["Authorization"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (a *API) byHeader(r *http.Request, d *device, s *tenant.Settings) bool {
	for _, f := range a.Identity {
		who := r.Header.Values(f.Identity)
		if len(who) == 0 {
			continue
		}
		if strings.TrimSpace(who[0]) != string(d.id) {
			return false
		}
		return trusted(presented(r.Header, f), s.Authorities)
	}
	return false
}

// presented lists the issuers that the headers name.
func presented(h http.Header, f IdentityHeaders) []string {
	if f.List {
		if v, ok := h[textproto.CanonicalMIMEHeaderKey(f.Issuer)]; ok {
			return strings.FieldsFunc(v[0], func(r rune) bool { return r == ',' || r == ';' })
		}
	}
	var all []string
	if f.List {
		all = append(all, first(h, f.Issuer+"-0")...) // may be missing; later ones leave no gap
	}
	for i := 1; ; i++ {
		v := first(h, f.Issuer+"-"+strconv.Itoa(i))
		if v == nil {
			return all
		}
		all = append(all, v...)
	}
}

// first returns the first line of a header; nil when there is none.
func first(h http.Header, name string) []string {
	v := h.Values(name)
	return v[:min(len(v), 1)]
}

// trusted reports whether a presented issuer is one of the tenant's. Case does
// not count, colons do, and an empty text never matches.
func trusted(presented, authorities []string) bool {
	found := 0
	for _, p := range presented {
		p = strings.ToLower(strings.TrimSpace(p))
		for _, t := range authorities {
			if p != "" && t != "" {
				found |= subtle.ConstantTimeCompare([]byte(p), []byte(t))
			}
		}
	}
	return found == 1
}

// byTargetToken compares fingerprints, so that the comparison takes the same
// time whatever the token, and for a target that does not exist too.
func byTargetToken(token string, d *device) bool {
	sum := deployment.TokenFingerprint(token)
	return subtle.ConstantTimeCompare(sum[:], d.standing.Token[:]) == 1 && d.known
}

func byGatewayToken(authorization string, s *tenant.Settings) bool {
	token, ok := strings.CutPrefix(authorization, "GatewayToken ")
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.GatewayKey))
	return subtle.ConstantTimeCompare(have[:], want[:]) == 1 && ok && s.GatewayKey != ""
}

// isDownload reports whether the request asks for an artifact file or its
// MD5SUM, and nothing else (device-apis B.6).
func isDownload(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	return len(parts) == 8 && parts[4] == "softwaremodules" && parts[6] == "artifacts" && parts[7] != ""
}
