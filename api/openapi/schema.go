package openapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/otaria/otaria/api/httpjson"
)

// schemas are the named ones that were met so far.
type schemas struct {
	owners map[string]owner // who has a name
	all    map[string]object
}

// An owner of a name is a type in one direction.
type owner struct {
	t  reflect.Type
	in bool
}

// of returns the schema of a type, as it is read (in) or written: a reference if
// it is a struct, which is described once.
func (s *schemas) of(t reflect.Type, in bool) (object, error) {
	switch t {
	case reflect.TypeFor[httpjson.Value](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]():
		return object{}, nil
	case reflect.TypeFor[httpjson.Links]():
		link, err := s.of(reflect.TypeFor[halLink](), in)
		return object{"type": "object", "additionalProperties": link}, err
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}, nil
	case reflect.TypeFor[File]():
		return object{"type": "string", "format": "binary"}, nil
	}
	if t.Kind() != reflect.Pointer {
		switch e, isEnum := reflect.Zero(t).Interface().(httpjson.Enum); {
		case isEnum && (in || t.Kind() == reflect.String):
			return object{"type": "string", "enum": e.Literals()}, nil
		case implements[json.Marshaler](t):
			return nil, fmt.Errorf("%s writes its own JSON, which cannot be seen from here", t)
		case implements[encoding.TextMarshaler](t) || in && implements[encoding.TextUnmarshaler](t):
			return object{"type": "string"}, nil
		}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}, nil
	case reflect.Bool:
		return object{"type": "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16:
		return object{"type": "integer"}, nil
	case reflect.Int32:
		return object{"type": "integer", "format": "int32"}, nil
	case reflect.Int64:
		return object{"type": "integer", "format": "int64"}, nil
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}, nil
	case reflect.Pointer:
		return s.of(t.Elem(), in)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}, nil
		}
		items, err := s.element(t.Elem(), in)
		return object{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := s.element(t.Elem(), in)
		return object{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return s.named(t, in)
	default:
		return nil, fmt.Errorf("no body has values of the type %s", t)
	}
}

// halLink is where a document leads.
type halLink struct {
	Href string `json:"href"`
	Name string `json:"name,omitempty"`
}

// implements reports whether values or pointers of the type do.
func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// element is the schema of what a list or a map holds: pointers may be null there.
func (s *schemas) element(t reflect.Type, in bool) (object, error) {
	schema, err := s.of(t, in)
	if err == nil && t.Kind() == reflect.Pointer {
		schema = nullable(schema)
	}
	return schema, err
}

// nullable admits null beside.
func nullable(schema object) object {
	if len(schema) == 0 {
		return schema
	}
	if kind, ok := schema["type"].(string); ok && schema["enum"] == nil {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// named describes a struct once and returns a reference to it. A type that is
// both read and written is described twice if that makes a difference.
func (s *schemas) named(t reflect.Type, in bool) (object, error) {
	name := nameOf(t)
	if name == "" {
		return s.members(t, in)
	}
	o := owner{t, in}
	if other, taken := s.owners[name]; taken && in && !other.in && other.t == t {
		name += inputSuffix
	}
	if other, taken := s.owners[name]; taken && other != o {
		return nil, fmt.Errorf("%s and %s would both be called %s", other.t, t, name)
	}
	reference := object{"$ref": "#/components/schemas/" + name}
	if s.all[name] != nil {
		return reference, nil
	}
	s.owners[name] = o
	s.all[name] = object{} // a type may hold itself
	schema, err := s.members(t, in)
	s.all[name] = schema
	return reference, err
}

const inputSuffix = "Input"

// nameOf makes the name of a schema from that of its type.
func nameOf(t reflect.Type) string {
	name, arguments, generic := strings.Cut(t.Name(), "[")
	name = title(strings.TrimSuffix(name, "Body"))
	if !generic {
		return name
	}
	var prefix string
	for a := range strings.SplitSeq(strings.TrimSuffix(arguments, "]"), ",") {
		a = a[strings.LastIndexByte(a, '.')+1:]
		prefix += title(strings.TrimSuffix(a, "Body"))
	}
	return prefix + name
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// members describes a struct.
func (s *schemas) members(t reflect.Type, in bool) (object, error) {
	properties, required := object{}, []string{}
	if err := s.gather(t, in, properties, &required); err != nil {
		return nil, err
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema, nil
}

func (s *schemas) gather(t reflect.Type, in bool, properties object, required *[]string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && f.Type.Kind() == reflect.Struct && name == "" {
			if err := s.gather(f.Type, in, properties, required); err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		schema, err := s.of(f.Type, in)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		rule := f.Tag.Get("bind")
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if in {
			optional = rule != "required" && f.Tag.Get("doc") != "required"
		}
		if !optional {
			*required = append(*required, name)
		}
		if literals := f.Tag.Get("enum"); literals != "" {
			schema["enum"] = strings.Split(literals, ",")
		}
		if f.Type.Kind() == reflect.Pointer && (in && optional && rule == "" || !in && !optional) {
			schema = nullable(schema)
		}
		properties[name] = schema
	}
	return nil
}
