package query

import (
	"slices"
	"strings"
)

// A Kind says what the values of a field are, and so which of them and which
// operators a query may use on it.
type Kind int

// The kinds of field.
const (
	// Text compares without regard to case, except that the ordering operators
	// compare the stored text with the lower-cased value by code point.
	Text Kind = iota
	// Number is a 64-bit integer; times are milliseconds since 1970.
	Number
	// Bool is true or false; it has no order.
	Bool
	// Enum is one of a few names; it has no order in a query.
	Enum
	// Association leads to other entities, which are asked about by sub-fields.
	Association
	// Map has keys of the user's own, asked about as field.key; values are text.
	Map
)

// Reach says which entities an Association leads to, and so what the negative
// operators mean.
type Reach int

// The reaches.
const (
	// ToOne leads to one entity or to none; != and =out= also match none.
	ToOne Reach = iota
	// Set leads to any number of entities, each comparison looks at all of them
	// for itself: != and =out= mean that no element matches, and =not=null is
	// true of everything (a surprise of the contract).
	Set
	// Joined leads to any number of entities too, but != and =out= match where
	// one of them differs, or where there is none.
	Joined
)

// A Field is one thing that an entity can be asked about.
type Field struct {
	Name   string // lower case, without a dot
	Kind   Kind
	Values []string // of an Enum: its names in lower case, in their order of declaration

	Sub     []Field // of an Association: what can be asked about where it leads
	Default string  // of an Association: the sub-field that its bare name means; empty if one must be named
	Reach   Reach   // of an Association

	Plain    bool // of a Bool: takes == and != alone, and is never null
	Late     bool // of a Bool: see Late
	Unsorted bool // cannot stand in a sort parameter
	Unasked  bool // can stand in a sort parameter alone
}

// Fields is what one kind of entity can be asked about. It is not changed after
// NewFields and may be used by many goroutines.
type Fields struct {
	entity string
	list   []Field
}

// NewFields declares the fields of an entity, in the order in which messages
// name them. The entity's name is for messages, too.
func NewFields(entity string, fields ...Field) *Fields {
	return &Fields{entity: entity, list: fields}
}

// NewAudited declares the fields of an entity with a number for an id: the id,
// its own, and by whom and when it was made and last changed.
func NewAudited(entity string, own ...Field) *Fields {
	return NewFields(entity, append(append([]Field{{Name: "id", Kind: Number}}, own...), Audit()...)...)
}

// Audit returns the four fields that nearly every entity has.
func Audit() []Field {
	return []Field{
		{Name: "createdat", Kind: Number},
		{Name: "createdby"},
		{Name: "lastmodifiedat", Kind: Number},
		{Name: "lastmodifiedby"},
	}
}

// Names returns the names of the fields that can be asked about, without
// sub-fields.
func (f *Fields) Names() []string { return names(f.list) }

// Paths returns every path that a comparison over these fields can have, so
// that whoever answers queries can be tested for holes.
func (f *Fields) Paths() []string { return paths("", f.list) }

func paths(prefix string, list []Field) []string {
	var all []string
	for _, f := range list {
		if f.Unasked {
			continue
		}
		if f.Kind == Association {
			all = append(all, paths(prefix+f.Name+".", f.Sub)...)
			continue
		}
		all = append(all, prefix+f.Name)
	}
	return all
}

func names(list []Field) []string {
	all := make([]string, 0, len(list))
	for i := range list {
		if !list[i].Unasked {
			all = append(all, list[i].Name)
		}
	}
	return all
}

func find(list []Field, name string) *Field {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// nearest returns the name of the list that name was probably meant to be, or
// the empty text.
func nearest(name string, list []string) string {
	best, least := "", 3 // two slips of the finger at most
	if len(name) < 4 {
		least = 2
	}
	for _, candidate := range list {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	if best != "" || len(name) < 3 {
		return best
	}
	// No slip, but perhaps a part of the name: "modified" for "lastmodifiedat".
	i := slices.IndexFunc(list, func(candidate string) bool {
		return strings.Contains(candidate, name) || len(candidate) > 3 && strings.Contains(name, candidate)
	})
	if i < 0 {
		return ""
	}
	return list[i]
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour to get from a to b. Names that differ much in length are not
// measured: the answer is then just large.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 3 || d < -3 {
		return 4
	}
	before, above, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if before != nil && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, make([]int, len(b)+1)
	}
	return above[len(b)]
}
