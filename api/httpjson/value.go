package httpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The limits on a JSON text (device-apis A.1, management-api 1.3).
const (
	maxDepth  = 500  // arrays and objects in each other
	maxDigits = 1000 // characters of a number
)

var (
	errDepth  = fmt.Errorf("it nests deeper than %d levels", maxDepth)
	errDigits = fmt.Errorf("it holds a number of more than %d digits", maxDigits)
	errEmpty  = errors.New("it is empty")
)

// A Kind is what a Value is.
type Kind int

// The kinds of value. Absent is the zero Value: there was no such member.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a text", "a list", "an object"}[k]
}

// A Value is a JSON value as it was sent, for a field that takes any: it is
// well-formed text, or nothing at all.
type Value struct{ raw []byte }

// parse checks that b is one JSON value within the limits.
func parse(b []byte) (Value, error) {
	if err := checkLimits(b); err != nil {
		return Value{}, err
	}
	b = bytes.Trim(b, " \t\r\n")
	if len(b) == 0 {
		return Value{}, errEmpty
	}
	if !json.Valid(b) {
		var syntax *json.SyntaxError
		if err := json.Unmarshal(b, new(json.RawMessage)); errors.As(err, &syntax) {
			return Value{}, fmt.Errorf("%w at byte %d", syntax, syntax.Offset)
		}
		return Value{}, errors.New("it is no JSON")
	}
	return Value{b}, nil
}

// checkLimits looks for what is too deep or too long, in what need not be JSON.
func checkLimits(b []byte) error {
	depth, digits := 0, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			digits = 0
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case c == '[' || c == '{':
			digits = 0
			if depth++; depth > maxDepth {
				return errDepth
			}
		case c == ']' || c == '}':
			digits = 0
			depth--
		case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E':
			if digits++; digits > maxDigits {
				return errDigits
			}
		default:
			digits = 0
		}
	}
	return nil
}

// Kind says what the value is.
func (v Value) Kind() Kind {
	if len(v.raw) == 0 {
		return Absent
	}
	switch v.raw[0] {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	}
	return Number
}

// Text returns the content of a string, the literal of a number or a boolean;
// "" for anything else.
func (v Value) Text() string {
	switch v.Kind() {
	case String:
		return unquoteJSON(v.raw)
	case Number, Bool:
		return string(v.raw)
	default:
		return ""
	}
}

// Any returns the value as encoding/json would decode it: nil, bool,
// json.Number, string, []any or map[string]any; nil also where there is none.
func (v Value) Any() any {
	if v.Kind() == Absent {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(v.raw))
	d.UseNumber()
	var a any
	if err := d.Decode(&a); err != nil {
		return nil // cannot happen: the text was checked
	}
	return a
}

// MarshalJSON writes the value as it was sent; null where there is none.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Kind() == Absent {
		return []byte("null"), nil
	}
	return v.raw, nil
}

// members calls f for each member of an object in their order, until it fails.
func (v Value) members(f func(name string, member Value) *misfit) *misfit {
	b := v.raw[1:]
	for {
		b = trimStart(b)
		if b[0] == '}' {
			return nil
		}
		if b[0] == ',' {
			b = trimStart(b[1:])
		}
		n := valueLen(b)
		name := unquoteJSON(b[:n])
		b = trimStart(b[n:])
		b = trimStart(b[1:]) // the colon
		n = valueLen(b)
		if m := f(name, Value{b[:n]}); m != nil {
			return m
		}
		b = b[n:]
	}
}

// items calls f for each element of an array, until it fails.
func (v Value) items(f func(item Value) *misfit) *misfit {
	b := v.raw[1:]
	for {
		b = trimStart(b)
		if b[0] == ']' {
			return nil
		}
		if b[0] == ',' {
			b = trimStart(b[1:])
		}
		n := valueLen(b)
		if m := f(Value{b[:n]}); m != nil {
			return m
		}
		b = b[n:]
	}
}

func trimStart(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// valueLen returns the length of the value that well-formed text begins with.
func valueLen(b []byte) int {
	switch b[0] {
	case '"':
		return stringLen(b)
	case '[', '{':
		depth := 0
		for i := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				i += stringLen(b[i:]) - 1
			case '[', '{':
				depth++
			case ']', '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(b)
	}
	if i := bytes.IndexAny(b, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(b)
}

// stringLen returns the length of the string that well-formed text begins with.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// unquoteJSON returns the content of a string; half of a surrogate pair becomes U+FFFD.
func unquoteJSON(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1])
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return "" // cannot happen: the text was checked
	}
	return s
}

// show returns the value for a message, shortened.
func (v Value) show() string {
	const most = 40
	if k := v.Kind(); k >= Array {
		return k.String()
	}
	s := string(v.raw)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
