package ddi

import (
	"net/http"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
)

// quickPoll answers a poll as nearly all of them are: with a path that needs no
// decoding, by a device that may, that is in the index, and that came from its
// usual address, asking for JSON. It reports false, having done nothing, for
// everything else: that goes through the mux to poll, which would have given
// the same answer. A quarter of a million polls a minute are worth the second
// way.
func (a *API) quickPoll(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || len(r.RequestURI) > maxQuickPath {
		return false
	}
	d := device{}
	var ok bool
	if d.typed, d.id, ok = plainPath(r); !ok {
		return false
	}
	contentType := httpjson.PrefersJSON(r)
	if contentType == "" {
		return false
	}
	var err error
	if d.tenant, err = a.Tenants.ByName(r.Context(), d.typed); err != nil {
		return false
	}
	if d.standing, d.known = a.Deployment.Polls.Known(d.tenant.ID, d.id); !d.known || d.standing.Unseen {
		return false
	}
	if token, ok := targetToken(r, d.tenant.Settings); !(ok && byTargetToken(token, &d)) && !a.trusts(r, &d) {
		return false
	}
	b := appendAddress(make([]byte, 0, 384), r)
	if deployment.AddressFingerprint(b) != d.standing.Address {
		return false
	}
	now := a.Now()
	a.Fleet.Visits.Note(d.standing.Target, now)

	b = append(b[:0], `{"config":{"polling":{"sleep":"`...)
	b = append(b, a.sleep(&d, now)...)
	b = append(b, `"}}`...)
	all, n := hints(&d.standing, d.window, now)
	if n > 0 {
		root := httpjson.BaseURL(r)
		for i := range all[:n] {
			if i == 0 {
				b = append(b, `,"_links":{"`...)
			} else {
				b = append(b, `,"`...)
			}
			b = append(b, all[i].rel...)
			b = append(b, `":{"href":"`...)
			b = append(append(b, root...), r.URL.Path...)
			b = append(all[i].appendTo(b), `"}`...)
		}
		b = append(b, '}')
	}
	b = append(b, '}')
	httpjson.SendShort(w, r, contentType, b)
	return true
}

// maxQuickPath bounds the path, which an answer may have three times beside the
// host's name of 300 characters, and some more: short enough for SendShort.
const maxQuickPath = 256

// plainPath takes tenant and controller id from the path of a poll, if it was
// sent as it is meant: letters, digits and -._~ alone, nothing behind it.
func plainPath(r *http.Request) (tenantName string, id fleet.ControllerID, ok bool) {
	p := r.URL.Path
	if r.RequestURI != p || len(p) < 2 {
		return "", "", false
	}
	name, rest, _ := strings.Cut(p[1:], "/")
	text, ok := strings.CutPrefix(rest, "controller/v1/")
	if !ok || !plainSegment(name) || !plainSegment(text) {
		return "", "", false
	}
	return name, fleet.ControllerID(text), true
}

func plainSegment(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '~' || c == '.' && i > 0) {
			return false
		}
	}
	return s != ""
}
