package httpjson

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// An Enum is a string or an integer type of a body that has a fixed list of
// literals. A string type takes the literal; an integer type its position.
// Blanks around the literal are ignored, and its position (2, "2") is taken in
// its place; anything else, also "", cannot be read. Literals is called on the
// zero value.
type Enum interface{ Literals() []string }

// A misfit says why a value does not go into its field, and where that is.
type misfit struct {
	path string // such as status.details[2]
	what string
}

func (m *misfit) message() string {
	if m.path == "" {
		return "The body does not fit: " + m.what
	}
	return m.path + ": " + m.what
}

// in puts an outer name before the path.
func (m *misfit) in(outer string) *misfit {
	switch {
	case m.path == "" || m.path[0] == '[':
		m.path = outer + m.path
	default:
		m.path = outer + "." + m.path
	}
	return m
}

func misfitf(format string, args ...any) *misfit {
	return &misfit{what: fmt.Sprintf(format, args...)}
}

// A binder puts values into Go variables by the rules that Read documents.
type binder struct {
	single bool        // a single value may stand for a list
	known  []knownType // the structs met so far: few, but maybe in a long list
}

type knownType struct {
	t      reflect.Type
	fields []field
}

// fields lists the fields of a struct.
func (b *binder) fields(t reflect.Type) []field {
	for _, k := range b.known {
		if k.t == t {
			return k.fields
		}
	}
	fields := fieldsOf(t, nil, make([]field, 0, t.NumField()))
	b.known = append(b.known, knownType{t, fields})
	return fields
}

// valueType, enumType and textType are compared with, never changed.
var (
	valueType = reflect.TypeFor[Value]()
	enumType  = reflect.TypeFor[Enum]()
	textType  = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// bind puts v into dst, which is settable. Nothing and null leave it alone.
func (b *binder) bind(v Value, dst reflect.Value) *misfit {
	t := dst.Type()
	if t == valueType {
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	if v.Kind() <= Null {
		return nil
	}
	switch {
	case t.Kind() == reflect.Pointer:
		if empty(v, t.Elem()) {
			return nil
		}
		p := reflect.New(t.Elem())
		if m := b.bind(v, p.Elem()); m != nil {
			return m
		}
		dst.Set(p)
		return nil
	case t.Implements(enumType):
		return bindEnum(v, dst)
	case reflect.PointerTo(t).Implements(textType):
		return bindText(v, dst)
	}
	switch t.Kind() {
	case reflect.String:
		return bindString(v, dst)
	case reflect.Bool:
		return bindBool(v, dst)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return bindInt(v, dst)
	case reflect.Float32, reflect.Float64:
		return bindFloat(v, dst)
	case reflect.Struct:
		return b.bindStruct(v, dst)
	case reflect.Slice:
		return b.bindSlice(v, dst)
	case reflect.Map:
		return b.bindMap(v, dst)
	case reflect.Interface:
		dst.Set(reflect.ValueOf(v.Any()))
		return nil
	default:
		panic("httpjson: no body has fields of type " + t.String())
	}
}

// empty reports whether v is a text that stands for nothing where a number or a
// boolean belongs.
func empty(v Value, t reflect.Type) bool {
	if v.Kind() != String || t.Implements(enumType) || reflect.PointerTo(t).Implements(textType) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return strings.TrimSpace(v.Text()) == ""
	default:
		return false
	}
}

func bindEnum(v Value, dst reflect.Value) *misfit {
	literals := reflect.Zero(dst.Type()).Interface().(Enum).Literals()
	text, position := strings.TrimSpace(v.Text()), -1
	if v.Kind() == String {
		for i, l := range literals {
			if l == text {
				position = i
			}
		}
	}
	if position < 0 && (v.Kind() == String || v.Kind() == Number) && text != "" && isDigits(text) {
		if n, err := strconv.Atoi(text); err == nil && n < len(literals) {
			position = n
		}
	}
	switch {
	case position < 0:
		return misfitf("%s is none of %s", v.show(), strings.Join(literals, ", "))
	case dst.Kind() == reflect.String:
		dst.SetString(literals[position])
	default:
		dst.SetInt(int64(position))
	}
	return nil
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func bindText(v Value, dst reflect.Value) *misfit {
	if v.Kind() >= Array {
		return misfitf("%s stands where a text belongs", v.show())
	}
	u := dst.Addr().Interface().(encoding.TextUnmarshaler)
	if err := u.UnmarshalText([]byte(strings.TrimSpace(v.Text()))); err != nil {
		return misfitf("%s cannot be read: %v", v.show(), err)
	}
	return nil
}

func bindString(v Value, dst reflect.Value) *misfit {
	if v.Kind() >= Array {
		return misfitf("%s stands where a text belongs", v.show())
	}
	dst.SetString(v.Text())
	return nil
}

func bindBool(v Value, dst reflect.Value) *misfit {
	text := strings.TrimSpace(v.Text())
	switch v.Kind() {
	case Bool:
		dst.SetBool(text == "true")
		return nil
	case Number:
		if isDigits(strings.TrimPrefix(text, "-")) {
			dst.SetBool(strings.Trim(text, "-0") != "")
			return nil
		}
	case String:
		switch text {
		case "":
			return nil
		case "true", "True", "TRUE":
			dst.SetBool(true)
			return nil
		case "false", "False", "FALSE":
			dst.SetBool(false)
			return nil
		}
	default: // no boolean
	}
	return misfitf("%s is neither true nor false", v.show())
}

func bindInt(v Value, dst reflect.Value) *misfit {
	var n int64
	var err error
	text := strings.TrimSpace(v.Text())
	switch v.Kind() {
	case Number:
		n, err = wholePart(text)
	case String:
		if text == "" {
			return nil
		}
		if !isDigits(strings.TrimLeft(text[:1], "+-") + text[1:]) {
			return misfitf("%s is no whole number", v.show())
		}
		n, err = strconv.ParseInt(text, 10, 64)
	default:
		return misfitf("%s is no whole number", v.show())
	}
	if err != nil || dst.OverflowInt(n) {
		bits := dst.Type().Bits()
		return misfitf("%s is outside of the range from %d to %d", v.show(), int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
	}
	dst.SetInt(n)
	return nil
}

// wholePart cuts a JSON number to its whole part.
func wholePart(s string) (int64, error) {
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, err
		}
		if f < -(1<<63) || f >= 1<<63 {
			return 0, strconv.ErrRange
		}
		return int64(f), nil
	}
	s, _, _ = strings.Cut(s, ".")
	return strconv.ParseInt(s, 10, 64)
}

func bindFloat(v Value, dst reflect.Value) *misfit {
	text := strings.TrimSpace(v.Text())
	switch v.Kind() {
	case String:
		if text == "" {
			return nil
		}
		// Go reads more than a decimal number: hex, infinities, underscores.
		if strings.Trim(text, "+-0123456789.eE") != "" {
			return misfitf("%s is no number", v.show())
		}
	case Number:
	default:
		return misfitf("%s is no number", v.show())
	}
	f, err := strconv.ParseFloat(text, dst.Type().Bits())
	if err != nil {
		return misfitf("%s is no number", v.show())
	}
	dst.SetFloat(f)
	return nil
}

// A field is where a member of an object goes.
type field struct {
	name                string
	index               []int
	required, primitive bool
}

// fieldsOf lists the fields of a struct, those of embedded structs included.
func fieldsOf(t reflect.Type, outer []int, all []field) []field {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(outer[:len(outer):len(outer)], i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
			all = fieldsOf(f.Type, index, all)
			continue
		}
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		rule := f.Tag.Get("bind")
		if rule != "" && rule != "required" && rule != "primitive" {
			panic("httpjson: unknown rule bind:\"" + rule + "\" on " + t.String() + "." + f.Name)
		}
		all = append(all, field{name: name, index: index, required: rule == "required", primitive: rule == "primitive"})
	}
	return all
}

func (b *binder) bindStruct(v Value, dst reflect.Value) *misfit {
	if v.Kind() != Object {
		return misfitf("%s stands where an object belongs", v.show())
	}
	fields := b.fields(dst.Type())
	last := make([]Value, len(fields)) // of each name, the last member counts
	v.members(func(name string, member Value) *misfit {
		for i := range fields {
			if fields[i].name == name {
				last[i] = member
			}
		}
		return nil
	})
	for i := range fields {
		f, value := &fields[i], last[i]
		kind := value.Kind()
		if kind == Absent && !f.required {
			continue
		}
		target := dst.FieldByIndex(f.index)
		none := empty(value, indirect(target.Type()))
		switch {
		case f.required && kind == Absent:
			return misfitf("is missing").in(f.name)
		case (f.required || f.primitive) && kind == Null:
			return misfitf("must not be null").in(f.name)
		case (f.required || f.primitive) && none:
			return misfitf("must not be empty").in(f.name)
		}
		if m := b.bind(value, target); m != nil {
			return m.in(f.name)
		}
	}
	return nil
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func (b *binder) bindSlice(v Value, dst reflect.Value) *misfit {
	list := reflect.MakeSlice(dst.Type(), 0, 0)
	add := func(item Value) *misfit {
		elem := reflect.New(dst.Type().Elem()).Elem()
		if k := elem.Kind(); item.Kind() == Null && k != reflect.Pointer && k != reflect.Interface && elem.Type() != valueType {
			return misfitf("must not be null")
		}
		m := b.bind(item, elem)
		list = reflect.Append(list, elem)
		return m
	}
	switch {
	case v.Kind() == Array:
		m := v.items(func(item Value) *misfit {
			place := list.Len()
			if m := add(item); m != nil {
				return m.in("[" + strconv.Itoa(place) + "]")
			}
			return nil
		})
		if m != nil {
			return m
		}
	case b.single:
		if m := add(v); m != nil {
			return m
		}
	default:
		return misfitf("%s stands where a list belongs", v.show())
	}
	dst.Set(list)
	return nil
}

func (b *binder) bindMap(v Value, dst reflect.Value) *misfit {
	if v.Kind() != Object {
		return misfitf("%s stands where an object belongs", v.show())
	}
	t := dst.Type()
	all := reflect.MakeMap(t)
	m := v.members(func(name string, member Value) *misfit {
		elem := reflect.New(t.Elem()).Elem()
		if m := b.bind(member, elem); m != nil {
			return m.in(name)
		}
		all.SetMapIndex(reflect.ValueOf(name).Convert(t.Key()), elem)
		return nil
	})
	if m == nil {
		dst.Set(all)
	}
	return m
}
