package httpjson

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/otaria/otaria/fault"
)

// Param returns the query parameter of this name; of a repeated one, the
// first. Names are case-sensitive. Other than net/url, it takes a semicolon as
// an ordinary character, as clients write it into q=a==1;b==2.
func Param(r *http.Request, name string) (value string, ok bool) {
	for q := r.URL.RawQuery; q != ""; {
		var pair string
		pair, q, _ = strings.Cut(q, "&")
		k, v, _ := strings.Cut(pair, "=")
		if pair != "" && (k == name || unescape(k) == name) {
			return unescape(v), true
		}
	}
	return "", false
}

// Params returns all values of a query parameter, in their order.
func Params(r *http.Request, name string) []string {
	var all []string
	for q := r.URL.RawQuery; q != ""; {
		var pair string
		pair, q, _ = strings.Cut(q, "&")
		k, v, _ := strings.Cut(pair, "=")
		if pair != "" && (k == name || unescape(k) == name) {
			all = append(all, unescape(v))
		}
	}
	return all
}

// Int32Param returns a query parameter that is a number, or otherwise where it
// is missing or empty. Sign and blanks around are allowed; what is no number of
// 32 bits is a fault.Unreadable.
func Int32Param(r *http.Request, name string, otherwise int32) (int32, error) {
	text, _ := Param(r, name)
	text = strings.TrimSpace(text)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fault.Wrap(fault.Unreadable, err, "%s: %q is no whole number from -2147483648 to 2147483647", name, text)
	}
	return int32(n), nil
}

// ID returns a path value that is the number of an entity. Sign, leading zeros
// and blanks around are allowed; what is no number of 64 bits is a
// fault.Unreadable.
func ID(r *http.Request, name string) (int64, error) {
	text := strings.TrimSpace(r.PathValue(name))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fault.Wrap(fault.Unreadable, err, "%s: %q is no number of an entity", name, text)
	}
	return n, nil
}
