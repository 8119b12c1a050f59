package httpjson

import (
	"bytes"
	"encoding/json"

	"github.com/fxamacker/cbor/v2"
)

// A Link points from a document to another one.
type Link struct {
	Rel  string `cbor:"rel"`
	Href string `cbor:"href"`
	Name string `cbor:"name,omitempty"`
}

// Links are the links of a document in their order. In JSON they are a HAL
// object, in CBOR a list (device-apis A.15). Let the field be the last one of
// its struct and tag it
//
//	Links httpjson.Links `json:"_links,omitempty" cbor:"links"`
//
// so that JSON omits it when there are none, and CBOR then has an empty list. Of
// two links with one Rel, JSON readers see the last.
type Links []Link

// MarshalJSON writes {"rel":{"href":"…","name":"…"}}.
func (l Links) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, link := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		target := struct {
			Href string `json:"href"`
			Name string `json:"name,omitempty"`
		}{link.Href, link.Name}
		if err := appendJSON(&b, link.Rel); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := appendJSON(&b, target); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalCBOR writes [{"rel": …, "href": …}].
func (l Links) MarshalCBOR() ([]byte, error) {
	if l == nil {
		l = Links{}
	}
	return cbor.Marshal([]Link(l))
}

// appendJSON appends v without HTML escaping and without a line end.
func appendJSON(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1)
	return nil
}
