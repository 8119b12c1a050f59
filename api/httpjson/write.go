package httpjson

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the contract's ETag is an MD5; nothing is protected by it
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Write answers with v in the type that the mux negotiated, or, on a route
// without Produces, in what Accept likes best of HAL and JSON, HAL by default.
// JSON is written without HTML escaping; structs keep the order of their
// fields. The rest is as in Send. An error means that v cannot be encoded and
// nothing was written.
func Write(w http.ResponseWriter, r *http.Request, status int, v any) error {
	contentType := w.Header().Get("Content-Type")
	if contentType == "" {
		offers := []string{HAL, JSON}
		i, _ := negotiate(r.Header["Accept"], offers)
		contentType = offers[max(i, 0)]
		w.Header()["Content-Type"] = []string{contentType}
	}
	body, err := encode(contentType, v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	Send(w, r, status, body)
	return nil
}

// encode encodes v in the type, which is a JSON type or CBOR.
func encode(contentType string, v any) ([]byte, error) {
	if contentType == CBOR {
		return cbor.Marshal(v)
	}
	var b bytes.Buffer
	if err := appendJSON(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Send answers with a body that is already encoded; the type stands in w's
// header (see the package comment: the mux puts it there). Content-Length is
// always set, and kept for HEAD, which gets no body. A 2xx answer to GET
// carries an ETag made of the body, and is a 304 if If-None-Match names it,
// also weak or in a list; "*" does not match. A handler that wants no ETag sets
// w.Header()["Etag"] = nil before.
func Send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	if _, own := h["Etag"]; !own && r.Method == http.MethodGet && status >= 200 && status < 300 {
		tag := etag(body)
		h["Etag"] = []string{tag}
		if matches := r.Header["If-None-Match"]; len(matches) > 0 && names(matches, tag) {
			notModified(w)
			return
		}
	}
	if status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead && len(body) > 0 {
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}
}

// MaxShort is how long a body that SendShort takes may be, in bytes.
const MaxShort = 2 << 10

// SendShort answers a GET with 200 as Send does, at less cost: for a body this
// short net/http adds the Content-Length by itself.
func SendShort(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	values := []string{contentType, etag(body)}
	h := w.Header()
	h["Content-Type"], h["Etag"] = values[:1:1], values[1:]
	if matches := r.Header["If-None-Match"]; len(matches) > 0 && names(matches, values[1]) {
		notModified(w)
		return
	}
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

// NoContent answers 204; to GET with the ETag of an empty body (management-api 1.9).
func NoContent(w http.ResponseWriter, r *http.Request) {
	delete(w.Header(), "Content-Type")
	Send(w, r, http.StatusNoContent, nil)
}

// Empty answers with an empty body, without type and ETag.
func Empty(w http.ResponseWriter, status int) {
	h := w.Header()
	delete(h, "Content-Type")
	if status != http.StatusNoContent {
		h["Content-Length"] = []string{"0"}
	}
	w.WriteHeader(status)
}

func notModified(w http.ResponseWriter) {
	h := w.Header()
	for _, name := range []string{"Content-Type", "Cache-Control", "Pragma", "Expires"} {
		delete(h, name)
	}
	w.WriteHeader(http.StatusNotModified)
}

// etag returns the tag of a body: a quoted 0 and the MD5 in hex.
func etag(body []byte) string {
	sum := md5.Sum(body) //nolint:gosec // see the import
	b := make([]byte, 0, 2*md5.Size+3)
	b = append(b, '"', '0')
	b = hex.AppendEncode(b, sum[:])
	return string(append(b, '"'))
}

// names reports whether one of the If-None-Match headers names the tag.
func names(headers []string, tag string) bool {
	for _, h := range headers {
		for h != "" {
			var entry string
			entry, h, _ = cutUnquoted(h, ',')
			if strings.TrimPrefix(strings.TrimSpace(entry), "W/") == tag {
				return true
			}
		}
	}
	return false
}

// WriteError answers with an error body in what Accept likes best of JSON, HAL
// and CBOR: JSON by default, and also where Accept admits none of them. An
// error means that body cannot be encoded and nothing was written.
func WriteError(w http.ResponseWriter, r *http.Request, status int, body any) error {
	h := w.Header()
	offers := []string{JSON, HAL, CBOR}
	i, _ := negotiate(r.Header["Accept"], offers)
	contentType := offers[max(i, 0)]
	encoded, err := encode(contentType, body)
	if err != nil {
		return fmt.Errorf("encode the error: %w", err)
	}
	if _, charset, ok := strings.Cut(h.Get("Content-Type"), ";charset="); ok && contentType != CBOR {
		contentType += ";charset=" + charset // the mux repeats it, so do we
	}
	h["Content-Type"] = []string{contentType}
	Send(w, r, status, encoded)
	return nil
}

// frameworkBody is the body of an answer that no handler gave.
type frameworkBody struct {
	Timestamp string `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
}

// WriteFramework answers for what reached no handler: {"timestamp", "status",
// "error"} as JSON, as the accepted JSON or +json type, or as CBOR; a small
// page if HTML is wanted; an empty body if Accept admits none of these
// (management-api 1.11, device-apis A.1).
func WriteFramework(w http.ResponseWriter, r *http.Request, status int) {
	contentType := frameworkType(r.Header["Accept"])
	var body []byte
	switch contentType {
	case "":
		Empty(w, status)
		return
	case "text/html":
		text := strconv.Itoa(status) + " " + http.StatusText(status)
		body = []byte("<!doctype html><html lang=\"en\"><title>" + text + "</title><h1>" + text + "</h1></html>\n")
	default:
		//nolint:forbidigo // tells when the answer was written, like net/http's Date; nothing is decided by it
		now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		var err error
		if body, err = encode(contentType, frameworkBody{now, status, http.StatusText(status)}); err != nil {
			Empty(w, status) // cannot happen: two strings and a number
			return
		}
	}
	w.Header()["Content-Type"] = []string{contentType}
	Send(w, r, status, body)
}

// frameworkType chooses the type of a framework body, or none.
func frameworkType(headers []string) string {
	accepted, ok := parseAccept(headers)
	if !ok {
		return ""
	}
	for _, m := range accepted {
		switch {
		case m.includes(JSON):
			return JSON
		case m.typ == "application" && !strings.HasPrefix(m.sub, "*") && strings.HasSuffix(m.sub, "+json"):
			return m.full
		case m.sub == "*+json" && m.typ == "application":
			return HAL
		case m.includes(CBOR):
			return CBOR
		case m.includes("text/html"):
			return "text/html"
		}
	}
	return ""
}

// SecurityHeaders sets the headers that every answer of the APIs carries
// (management-api 1.1, device-apis A.1); Strict-Transport-Security only where
// the client came by TLS, which a trusted proxy may say.
func SecurityHeaders(next http.Handler) http.Handler {
	// Shared by all answers: a value is replaced by http.Header.Set, never changed.
	fixed := []struct {
		name  string
		value []string
	}{
		{"Cache-Control", []string{"no-cache, no-store, max-age=0, must-revalidate"}},
		{"Pragma", []string{"no-cache"}},
		{"Expires", []string{"0"}},
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"X-Frame-Options", []string{"DENY"}},
		{"X-Xss-Protection", []string{"0"}},
	}
	strict := []string{"max-age=31536000 ; includeSubDomains"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, f := range fixed {
			h[f.name] = f.value
		}
		if scheme(r) == "https" {
			h["Strict-Transport-Security"] = strict
		}
		next.ServeHTTP(w, r)
	})
}
