package httpjson

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// Strictness says which escapes a path may have.
type Strictness int

const (
	// DeviceStrict refuses exactly what device-apis A.1 lists.
	DeviceStrict Strictness = iota
	// ManagementStrict also takes the escapes %2F %5C %3B %25, and control
	// characters other than NUL and line ends, so that an operator can address
	// every id that a device may have (management-api 1.1).
	ManagementStrict
)

// Hygiene answers 400, with a framework body, to requests that another parser
// could read in another way: paths with empty or dot segments, path parameters,
// risky escapes, raw characters that no URI has; also queries with broken
// escapes, and methods that HTTP does not know. It stands before
// authentication and routing. What the server of net/http refuses by itself
// (such as %zz) never arrives here.
func Hygiene(s Strictness, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownMethod(r.Method) || !cleanTarget(s, r) {
			WriteFramework(w, r, http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cleanTarget checks the request target as it was sent.
func cleanTarget(s Strictness, r *http.Request) bool {
	target := r.RequestURI
	switch target {
	case "": // not from a server: tests, or a request made by hand
		target = r.URL.RequestURI()
	case "*":
		return r.Method == http.MethodOptions
	default:
		target = originForm(target)
	}
	p, query, _ := strings.Cut(target, "?")
	return cleanPath(s, p) && cleanQuery(query)
}

// cleanPath reports whether an escaped path is free of what Hygiene refuses.
func cleanPath(s Strictness, p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	escapes := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '/':
			// A segment begins: it must not be empty (unless it is the last), nor dots alone.
			rest := p[i+1:]
			if segment, _, more := strings.Cut(rest, "/"); segment == "." || segment == ".." || (segment == "" && more) {
				return false
			}
		case c == ';' || !rawAllowed(c):
			return false
		case c == '%':
			escapes = true
			d, ok := unhex(p, i)
			if !ok || !escapeAllowed(s, d) {
				return false
			}
			i += 2
		}
	}
	return !escapes || validEscapes(s, p)
}

// rawAllowed reports whether a byte may stand unescaped in a request target.
func rawAllowed(c byte) bool {
	if c <= ' ' || c >= 0x7f {
		return false
	}
	switch c {
	case '"', '\\', '<', '>', '^', '`', '|', '[', ']', '{', '}', '#':
		return false
	}
	return true
}

// escapeAllowed reports whether a path may have the byte as an escape.
func escapeAllowed(s Strictness, c byte) bool {
	switch c {
	case 0, '\n', '\r', '.':
		return false
	case '/', '\\', '%', ';':
		return s == ManagementStrict
	}
	return s == ManagementStrict || (c >= ' ' && c != 0x7f)
}

// validEscapes reports whether an escaped text of whole escapes is UTF-8 once
// it is decoded, without line separators, and from devices without the control
// characters beyond ASCII (U+0080 to U+009F).
func validEscapes(s Strictness, p string) bool {
	b := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		if c, ok := unhex(p, i); ok {
			b = append(b, c)
			i += 2
		} else {
			b = append(b, p[i])
		}
	}
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		if c == utf8.RuneError && n <= 1 || s == DeviceStrict && c >= 0x80 && c <= 0x9f || c == 0x85 || c == 0x2028 || c == 0x2029 {
			return false
		}
		b = b[n:]
	}
	return true
}

// cleanQuery reports whether a query has whole escapes only, which are UTF-8,
// and no raw byte that a request target cannot have.
func cleanQuery(q string) bool {
	escapes := false
	for i := 0; i < len(q); i++ {
		switch c := q[i]; {
		case c == '%':
			escapes = true
			if _, ok := unhex(q, i); !ok {
				return false
			}
			i += 2
		case !rawAllowed(c):
			return false
		}
	}
	return !escapes || utf8.ValidString(unescape(q))
}

// unhex decodes the escape at s[i:], if there is one.
func unhex(s string, i int) (byte, bool) {
	if s[i] != '%' || i+2 >= len(s) {
		return 0, false
	}
	hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	return byte(hi<<4 | lo), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescape decodes a form-encoded text; what is no escape stays.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := unhex(s, i); ok {
			b = append(b, c)
			i += 2
		} else if s[i] == '+' {
			b = append(b, ' ')
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}
