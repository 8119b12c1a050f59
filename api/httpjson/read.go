package httpjson

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"

	"github.com/otaria/otaria/fault"
)

// Read reads the body of r, at most limit bytes, and binds it to dst, a pointer
// to a struct, a slice or a map. What it finds wrong is a fault.Unreadable, a
// body beyond the limit a fault.TooLarge.
//
// The body is CBOR if its Content-Type says so, else JSON in UTF-8, UTF-16 or
// UTF-32 (detected), ISO-8859-1 or ASCII (by charset). JSON is strict; the last
// of two members of one name counts; a nesting of more than 500 and a number of
// more than 1000 digits are refused; half a surrogate pair becomes U+FFFD. JSON
// null, a blank or an empty body are refused.
//
// Binding goes by the field's json tag, case-sensitive; unknown members are
// ignored. Coercion (management-api 1.3, device-apis A.1):
//
//	string     takes text, and numbers and booleans as they are written (1.50)
//	integers   take numbers, cut at the point, and texts of digits with sign and blanks around
//	floats     take numbers and texts of them
//	bool       takes true, false, texts of them (true, True, TRUE), whole numbers (0 is false)
//	Enum       takes its literals, blanks around, and positions
//	TextUnmarshaler  takes the text of a scalar, blanks trimmed
//	slice      takes a list, and in JSON a single value as a list of one; no null among the
//	           elements unless they are pointers
//	struct     takes an object
//	map        takes an object; null members are zero values, so use pointers to tell
//	Value, any take whatever it is; Value tells null from absent
//
// Null and a missing member leave a field as it is, and so does an empty text
// where a number or a boolean belongs: with pointers they are nil. Nothing else
// is a scalar: lists and objects never are, booleans are no numbers.
//
// A field tagged bind:"required" must be there and not null (or empty, for
// numbers); one tagged bind:"primitive" may be missing, but not null or empty.
func Read(w http.ResponseWriter, r *http.Request, dst any, limit int64) error {
	_, err := read(w, r, dst, limit, true)
	return err
}

// ReadOptional is Read for a body that may be left out; it reports whether
// there was one. JSON null is none; blanks are one.
func ReadOptional(w http.ResponseWriter, r *http.Request, dst any, limit int64) (bool, error) {
	return read(w, r, dst, limit, false)
}

func read(w http.ResponseWriter, r *http.Request, dst any, limit int64, required bool) (bool, error) {
	body, err := readBody(w, r, limit)
	if err != nil {
		return false, err
	}
	if !required && (len(body) == 0 || string(bytes.TrimSpace(body)) == "null") {
		return false, nil
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == JSON { // what nearly everybody sends
		return true, DecodeJSON(body, "", dst)
	}
	m, _ := parseMediaType(contentType)
	if m.typ+"/"+m.sub == CBOR {
		return true, DecodeCBOR(body, dst)
	}
	return true, DecodeJSON(body, m.charset, dst)
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	tooLarge := fault.New(fault.TooLarge, "The body is larger than the %d bytes that are read here.", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var beyond *http.MaxBytesError
	switch {
	case errors.As(err, &beyond):
		return nil, tooLarge
	case err != nil:
		return nil, fault.Wrap(fault.Unreadable, err, "The body could not be read to its end.")
	}
	return body, nil
}

// DecodeJSON binds a JSON text to dst as Read does; charset may be empty.
func DecodeJSON(body []byte, charset string, dst any) error {
	text, err := toUTF8(body, charset)
	if err != nil {
		return fault.Wrap(fault.Unreadable, err, "The body is not readable: %v.", err)
	}
	return decode(text, dst, &binder{single: true}, "JSON")
}

// DecodeCBOR binds a CBOR data item to dst as Read does.
func DecodeCBOR(body []byte, dst any) error {
	if len(body) == 0 {
		return fault.Wrap(fault.Unreadable, errEmpty, "The body is not readable: %v.", errEmpty)
	}
	text, err := cborToJSON(body)
	if err != nil {
		return fault.Wrap(fault.Unreadable, err, "The body is no readable CBOR: %v.", err)
	}
	return decode(text, dst, &binder{}, "CBOR")
}

func decode(text []byte, dst any, b *binder, format string) error {
	v, err := parse(text)
	if err != nil {
		return fault.Wrap(fault.Unreadable, err, "The body is no readable %s: %v.", format, err)
	}
	if v.Kind() == Null {
		return fault.New(fault.Unreadable, "The body is null; send a document.")
	}
	if m := b.bind(v, reflect.ValueOf(dst).Elem()); m != nil {
		return fault.New(fault.Unreadable, "%s", m.message())
	}
	return nil
}
