package httpjson

import (
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// The media types that the APIs speak.
const (
	HAL  = "application/hal+json"
	JSON = "application/json"
	CBOR = "application/cbor"
)

// A mediaType is one entry of an Accept or a Content-Type header.
type mediaType struct {
	typ, sub string // lower case
	full     string // type/subtype as written
	quality  float64
	charset  string // as written, empty if none
}

// parseMediaType reads type/subtype with parameters. It is false for what is
// no media type; a quality that is no number between 0 and 1 counts as such.
func parseMediaType(s string) (mediaType, bool) {
	head, params, _ := cutUnquoted(s, ';')
	full := strings.TrimSpace(head)
	if full == "*" { // Java's HttpURLConnection sends it
		full = "*/*"
	}
	typ, sub, ok := strings.Cut(full, "/")
	if !ok || !isToken(typ) || !isToken(sub) || (typ == "*" && sub != "*") {
		return mediaType{}, false
	}
	m := mediaType{typ: strings.ToLower(typ), sub: strings.ToLower(sub), full: full, quality: 1}
	for params != "" {
		var param string
		param, params, _ = cutUnquoted(params, ';')
		name, value, assigned := strings.Cut(param, "=")
		if !assigned {
			continue // the model passes over it, too
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		quoted := strings.HasPrefix(value, `"`)
		if value = unquote(value); !isToken(name) || value == "" || (!quoted && !isToken(value)) {
			return mediaType{}, false
		}
		switch {
		case strings.EqualFold(name, "q"):
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return mediaType{}, false
			}
			m.quality = q
		case strings.EqualFold(name, "charset"):
			m.charset = value
		}
	}
	return m, true
}

// cutUnquoted cuts s around the first sep that stands in no quoted string.
func cutUnquoted(s string, sep byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// unquote takes the quotes off a quoted string; anything else stays as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isToken reports whether s is a token of RFC 9110.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// parseAccept reads an Accept header, best first: by quality, then by the
// order it was written in. Nothing at all, or only blanks, accepts everything.
// It is false as soon as one entry cannot be read.
func parseAccept(headers []string) ([]mediaType, bool) {
	var all []mediaType
	for _, h := range headers {
		for h != "" {
			var entry string
			entry, h, _ = cutUnquoted(h, ',')
			if strings.TrimSpace(entry) == "" {
				continue
			}
			m, ok := parseMediaType(entry)
			if !ok {
				return nil, false
			}
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return []mediaType{{typ: "*", sub: "*", full: "*/*", quality: 1}}, true
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].quality > all[j].quality })
	return all, true
}

// includes reports whether the entry admits the offered type.
func (m mediaType) includes(offer string) bool {
	typ, sub, _ := strings.Cut(offer, "/")
	switch {
	case m.typ == "*":
		return true
	case m.typ != typ:
		return false
	case m.sub == "*" || m.sub == sub:
		return true
	}
	suffix, ok := strings.CutPrefix(m.sub, "*+")
	return ok && strings.HasSuffix(sub, "+"+suffix)
}

// negotiate returns the index of the offer that the Accept header likes best,
// and the charset that the chosen entry asks for; -1 if it admits none. The
// highest quality wins, then the order of Accept; a wildcard takes the first
// offer it admits. Quality 0 does not exclude, and nothing but the charset is
// looked at among the parameters: so the model behaves (device-apis A.1).
func negotiate(headers, offers []string) (index int, charset string) {
	if len(headers) == 1 { // what nearly everybody sends, without allocations
		switch h := headers[0]; h {
		case "", "*/*":
			return 0, ""
		default:
			for i, offer := range offers {
				if h == offer {
					return i, ""
				}
			}
		}
	} else if len(headers) == 0 {
		return 0, ""
	}
	accepted, ok := parseAccept(headers)
	if !ok {
		return -1, ""
	}
	for _, m := range accepted {
		for i, offer := range offers {
			if m.includes(offer) {
				return i, m.charset
			}
		}
	}
	return -1, ""
}

// PrefersJSON returns HAL or JSON, whichever the request's Accept likes better
// for an answer that can be HAL, JSON or CBOR, in this order; "" if it is neither.
func PrefersJSON(r *http.Request) string {
	offers := [...]string{HAL, JSON, CBOR}
	if i, _ := negotiate(r.Header["Accept"], offers[:]); i == 0 || i == 1 {
		return offers[i]
	}
	return ""
}

// Accepts reports whether the request's Accept admits the type; for routes
// without Produces, where the type depends on more than the path.
func Accepts(r *http.Request, contentType string) bool {
	i, _ := negotiate(r.Header["Accept"], []string{contentType})
	return i == 0
}

// Typed reports whether the request's Content-Type is one of the types,
// whatever its parameters. For routes without Consumes, where a body of a
// missing or foreign type counts as absent (DELETE, management-api 1.2).
func Typed(r *http.Request, types ...string) bool {
	m, ok := parseMediaType(r.Header.Get("Content-Type"))
	if !ok {
		return false
	}
	for _, t := range types {
		if m.typ+"/"+m.sub == t {
			return true
		}
	}
	return false
}

// consumable reports whether a body of this Content-Type can be read by a
// route that takes the types.
func consumable(contentType string, types []string) bool {
	for _, t := range types {
		if contentType == t {
			return true
		}
	}
	m, ok := parseMediaType(contentType)
	if !ok || (m.charset != "" && !knownCharset(m.charset)) {
		return false
	}
	for _, t := range types {
		if m.typ+"/"+m.sub == t {
			return true
		}
	}
	return false
}
