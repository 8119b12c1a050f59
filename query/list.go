package query

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/otaria/otaria/fault"
)

// Bounds of a page (spec management-api 1.5).
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// An Order is one field to sort by. The field is a name without sub-fields; an
// Association sorts by the id of where it leads.
type Order struct {
	Field string // lower case
	Desc  bool
}

// List is what a list call asks: which entities, in which order, which page.
type List struct {
	Offset int     // rows to leave out, not negative
	Limit  int     // 1 to MaxLimit
	Sort   []Order // what was asked, or else the list's default; add a unique field for a stable order
	Filter Node    // nil if everything is wanted
	Text   string  // the filter as it was written
	Moment Moment  // what placeholders in the filter stand for; whoever knows the time and the tenant's settings fills it in
}

// ParseList reads offset, limit, sort and q from the parameters of a call (spec
// management-api 1.5). Of a repeated parameter the first counts. Numbers out of
// range are moved into it, words are an error of kind Unreadable.
func ParseList(values url.Values, f *Fields, defaultSort ...Order) (List, error) {
	return ParseSubList(values, f, f, defaultSort...)
}

// ParseSubList reads the parameters of a list below another entity. A surprise
// of the contract: such a list is filtered by the fields of its elements, but
// sorted by those of the entity above. A name that only the elements have is
// an unknown field, and one that only the entity above has cannot be sorted by
// either; what is left are the names that both have.
func ParseSubList(values url.Values, f, above *Fields, defaultSort ...Order) (List, error) {
	var l List
	var err error
	if l.Offset, err = number(values, "offset"); err != nil {
		return List{}, err
	}
	if l.Limit, err = number(values, "limit"); err != nil {
		return List{}, err
	}
	l.Offset = max(l.Offset, 0)
	if l.Limit < 1 {
		l.Limit = DefaultLimit
	}
	l.Limit = min(l.Limit, MaxLimit)
	if l.Sort, err = ParseSort(values.Get("sort"), above); err != nil {
		return List{}, err
	}
	for _, o := range l.Sort {
		if find(f.list, o.Field) == nil {
			return List{}, fault.New(fault.Unreadable, "This list cannot be sorted by %q, which its elements do not have; they can be sorted by %s.", o.Field, strings.Join(common(f, above), ", "))
		}
	}
	if len(l.Sort) == 0 {
		l.Sort = defaultSort
	}
	if values.Has("q") {
		l.Text = values.Get("q")
		if l.Filter, err = Parse(l.Text, f); err != nil {
			return List{}, err
		}
	}
	return l, nil
}

// number reads a 32-bit parameter; it is 0 if it is not there or empty.
func number(values url.Values, name string) (int, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, fault.Wrap(fault.Unreadable, err, "The parameter %s is a whole number between -2147483648 and 2147483647, not %q.", name, text)
	}
	return int(n), nil
}

// ParseSort reads a sort parameter: field:direction, joined by commas. Empty
// terms are ignored, and the first mention of a field counts.
func ParseSort(text string, f *Fields) ([]Order, error) {
	var sort []Order
	for term := range strings.SplitSeq(text, ",") {
		if term == "" {
			continue
		}
		if !utf8.ValidString(term) {
			return nil, fault.New(fault.SortSyntax, "The sort parameter is not valid UTF-8 text.")
		}
		parts := strings.FieldsFunc(term, func(r rune) bool { return r == ':' })
		if len(parts) != 2 {
			return nil, fault.New(fault.SortSyntax, "The sort term %q should be FIELD:ASC or FIELD:DESC, several of them joined by commas.", term)
		}
		name, direction := strings.ToLower(strings.TrimSpace(parts[0])), strings.TrimSpace(parts[1])
		field := find(f.list, name)
		if field == nil || field.Unsorted {
			return nil, fault.New(fault.SortField, "A list cannot be sorted by %q.%s It can be sorted by %s.", name, mean(name, f.sortable()), strings.Join(f.sortable(), ", "))
		}
		desc := strings.EqualFold(direction, "DESC")
		if !desc && !strings.EqualFold(direction, "ASC") {
			return nil, fault.New(fault.SortDirection, "The direction %q in %q should be ASC or DESC.", direction, term)
		}
		if !slices.ContainsFunc(sort, func(o Order) bool { return o.Field == name }) {
			sort = append(sort, Order{Field: name, Desc: desc})
		}
	}
	return sort, nil
}

func (f *Fields) sortable() []string {
	var all []string
	for _, field := range f.list {
		if !field.Unsorted {
			all = append(all, field.Name)
		}
	}
	return all
}

func common(f, g *Fields) []string {
	return slices.DeleteFunc(g.sortable(), func(name string) bool { return find(f.list, name) == nil })
}
