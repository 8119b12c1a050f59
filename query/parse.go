package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/otaria/otaria/fault"
)

// Limits of a query. They are far beyond what people and their tools send, and
// low enough that no query can exhaust the stack or the database's parser.
const (
	MaxLength = 16 << 10 // bytes
	MaxDepth  = 100      // parentheses within parentheses
)

// reserved characters end a field or a bare value.
const reserved = `"'();,=!~<>`

// Parse reads a query over the fields (spec management-api 3). The tree is not
// nil if the error is; the empty text is no query and so an error.
//
// Terms of the same kind are gathered (a;(b;c) is one And of three) and
// parentheses around one term vanish.
func Parse(text string, f *Fields) (Node, error) {
	if len(text) > MaxLength {
		return nil, fault.New(fault.QuerySyntax, "The query is %d bytes long; at most %d are read. Ask in several steps, or replace long lists of values by a tag or a wildcard.", len(text), MaxLength)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.QuerySyntax, "The query is not valid UTF-8 text.")
	}
	p := &parser{text: strings.ToLower(text), fields: f}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if p.at < len(p.text) {
		if p.text[p.at] == ')' {
			return nil, p.unexpected(`; or , or the end of the query, as no "(" is open`)
		}
		return nil, p.unexpected("; or , or the end of the query")
	}
	if p.late != "" {
		if _, _, asked := Late(n, p.late); !asked {
			return nil, fault.New(fault.QueryField, "The field %q can be asked about only by itself or together with and, not within an or.", p.late)
		}
	}
	return n, nil
}

// parser reads from text[at:]. It is a plain recursive descent: or, and, term,
// comparison, value, each of which stops at the first character that is not its
// own, with blanks before that skipped.
type parser struct {
	text   string
	at     int
	fields *Fields
	late   string // the Late field that was asked about, if any
}

// or reads terms joined by or, which binds less than and.
func (p *parser) or(depth int) (Node, error) {
	var terms Or
	for {
		n, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		if inner, same := n.(Or); same {
			terms = append(terms, inner...)
		} else {
			terms = append(terms, n)
		}
		if !p.joins(',', "or ") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return terms, nil
}

func (p *parser) and(depth int) (Node, error) {
	var terms And
	for {
		n, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		if inner, same := n.(And); same {
			terms = append(terms, inner...)
		} else {
			terms = append(terms, n)
		}
		if !p.joins(';', "and ") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return terms, nil
}

func (p *parser) term(depth int) (Node, error) {
	p.blanks()
	if !p.take('(') {
		return p.comparison()
	}
	if depth == MaxDepth {
		return nil, p.fault("has parentheses more than %d deep", MaxDepth)
	}
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	p.blanks()
	if !p.take(')') {
		return nil, p.unexpected(`; or , or ")"`)
	}
	return n, nil
}

func (p *parser) comparison() (Node, error) {
	name := p.word()
	if name == "" {
		return nil, p.unexpected("the name of a field")
	}
	p.blanks()
	op, err := p.operator(name)
	if err != nil {
		return nil, err
	}
	values, err := p.values(op)
	if err != nil {
		return nil, err
	}
	return p.check(name, op, values)
}

// joins reads a connective: the mark, or the word with a blank on both sides.
func (p *parser) joins(mark byte, word string) bool {
	before := p.at
	p.blanks()
	if p.take(mark) {
		return true
	}
	if p.at > before && strings.HasPrefix(p.text[p.at:], word) {
		p.at += len(word)
		return true
	}
	p.at = before // the blank may belong to another word
	return false
}

// operator reads an operator; =is= and =not= are still unlike == and !=.
func (p *parser) operator(name string) (Op, error) {
	start := p.at
	if p.at == len(p.text) {
		return 0, p.unexpected(fmt.Sprintf("an operator such as == after %q", name))
	}
	switch c := p.text[p.at]; c {
	case '<', '>', '!':
		p.at++
		equal := p.take('=')
		switch {
		case c == '<' && equal:
			return LessEqual, nil
		case c == '<':
			return Less, nil
		case c == '>' && equal:
			return GreaterEqual, nil
		case c == '>':
			return Greater, nil
		case equal:
			return NotEqual, nil
		}
	case '=':
		p.at++
		for p.at < len(p.text) && 'a' <= p.text[p.at] && p.text[p.at] <= 'z' {
			p.at++
		}
		word := p.text[start+1 : p.at]
		if !p.take('=') {
			break
		}
		switch word {
		case "":
			return Equal, nil
		case "lt":
			return Less, nil
		case "le":
			return LessEqual, nil
		case "gt":
			return Greater, nil
		case "ge":
			return GreaterEqual, nil
		case "in":
			return In, nil
		case "out":
			return Out, nil
		case "is", "eq":
			return IsNull, nil
		case "not", "ne":
			return NotNull, nil
		}
		p.at = start
		return 0, p.fault("has an unknown operator =%s=; there are == != < <= > >= =in= =out= =is= =not=%s", word, hint(word))
	}
	p.at = start
	return 0, p.unexpected(fmt.Sprintf("an operator such as == after %q", name))
}

func hint(operator string) string {
	switch operator {
	case "li", "like", "ilike", "match":
		return " (a wildcard is written ==abc*)"
	case "nin", "notin", "ni":
		return " (not in is written =out=)"
	}
	return ""
}

// values reads one value, bare or in parentheses, or with In and Out a list.
func (p *parser) values(op Op) ([]string, error) {
	p.blanks()
	if !p.take('(') {
		v, err := p.value()
		return []string{v}, err
	}
	var values []string
	for {
		p.blanks()
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		p.blanks()
		if !p.take(',') {
			break
		}
	}
	if len(values) > 1 && op != In && op != Out {
		return nil, p.fault("gives several values to an operator that takes one; a list of values needs =in= or =out=")
	}
	if !p.take(')') {
		return nil, p.unexpected(`, or ")"`)
	}
	return values, nil
}

func (p *parser) value() (string, error) {
	if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
		return p.quoted()
	}
	if v := p.word(); v != "" {
		return v, nil
	}
	return "", p.unexpected("a value; the empty value is written ''")
}

func (p *parser) quoted() (string, error) {
	start, mark := p.at, p.text[p.at]
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == mark:
			p.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(p.text[i]) // the rest of a longer character follows by itself
		default:
			b.WriteByte(c)
		}
	}
	p.at = start
	return "", p.fault("has a quotation mark %c without its partner", mark)
}

func (p *parser) word() string {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != ' ' && strings.IndexByte(reserved, p.text[p.at]) < 0 {
		p.at++
	}
	return p.text[start:p.at]
}

func (p *parser) blanks() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// fault says that the query, at this column, is wrong in some way.
func (p *parser) fault(format string, args ...any) error {
	column := utf8.RuneCountInString(p.text[:p.at]) + 1
	return fault.New(fault.QuerySyntax, "The query, at column %d, %s.", column, fmt.Sprintf(format, args...))
}

func (p *parser) unexpected(wanted string) error {
	found := "ends"
	if p.at < len(p.text) {
		r, _ := utf8.DecodeRuneInString(p.text[p.at:])
		found = fmt.Sprintf("has %q", r)
		if w := p.text[p.at:]; r != ' ' && !strings.ContainsRune(reserved, r) {
			found = fmt.Sprintf("has %q", (&parser{text: w}).word())
		}
	}
	return p.fault("%s where there should be %s", found, wanted)
}

// check resolves the field and looks whether operator and values suit it.
func (p *parser) check(name string, op Op, values []string) (Node, error) {
	field, c, err := p.fields.resolve(name)
	if err != nil {
		return nil, err
	}
	c.Op, c.Values = op, values
	if field.Late {
		if p.late != "" {
			return nil, fault.New(fault.QuerySyntax, "The query asks about %q twice; it can be asked once.", name)
		}
		p.late = name
	}
	if field.Plain || field.Late {
		return checkPlain(field, name, c)
	}
	switch op { // the null-aware forms become what they mean
	case IsNull:
		if values[0] == "null" {
			c.Values = nil
		} else {
			c.Op = Equal
		}
	case NotNull:
		if values[0] == "null" {
			c.Values = nil
		} else {
			c.Op = NotEqual
		}
	default:
	}
	switch field.Kind {
	case Number:
		return c, checkNumbers(name, c)
	case Bool:
		return c, checkNames(name, c, []string{"true", "false"}, fault.QuerySyntax)
	case Enum:
		return c, checkNames(name, c, field.Values, fault.QueryField)
	default:
	}
	return c, nil
}

// checkPlain checks a Bool that knows == and != alone. Of a Late one other
// values than true count as false.
func checkPlain(field *Field, name string, c Comparison) (Node, error) {
	if len(c.Values) != 1 {
		return nil, fault.New(fault.QuerySyntax, "The field %q takes == and != with true or false, and no list of values.", name)
	}
	v := c.Values[0]
	switch c.Op {
	case Equal, NotEqual:
	case IsNull:
		c.Op = Equal
	case NotNull:
		c.Op = NotEqual
	default:
		return nil, fault.New(fault.QuerySyntax, "The field %q takes == and != alone, with true or false.", name)
	}
	if field.Late {
		want := (v == "true") == (c.Op == Equal)
		c.Op, c.Values = Equal, []string{strconv.FormatBool(want)}
		return c, nil
	}
	if v != "true" && v != "false" {
		return nil, fault.New(fault.QuerySyntax, "The field %q is compared with true or false, not with %q.", name, v)
	}
	return c, nil
}

func checkNumbers(name string, c Comparison) error {
	for _, v := range c.Values {
		if v == "*" && (c.Op == Equal || c.Op == NotEqual) {
			continue
		}
		if _, err := (Moment{Now: 1e12, OverdueBefore: 1e12}).Number(v); err != nil {
			return fault.Wrap(fault.Unreadable, err, "The field %q is compared with whole numbers (times in milliseconds, or ${NOW_TS} or ${OVERDUE_TS}), not with %q.", name, v)
		}
	}
	return nil
}

// checkNames checks a field whose values are a few names and have no order.
func checkNames(name string, c Comparison, allowed []string, kind fault.Kind) error {
	switch c.Op {
	case Less, LessEqual, Greater, GreaterEqual:
		return fault.New(fault.QuerySyntax, "The field %q has no order: it takes == != =in= =out= =is= =not=.", name)
	default:
	}
	for _, v := range c.Values {
		if !slices.Contains(allowed, v) {
			return fault.New(kind, "The field %q has no value %q; its values are [%s].%s", name, v, strings.Join(allowed, ", "), mean(v, allowed))
		}
	}
	return nil
}

// resolve finds the field at the end of the path that the query gives.
func (f *Fields) resolve(path string) (*Field, Comparison, error) {
	name, rest, dotted := strings.Cut(path, ".")
	field := find(f.list, name)
	if field == nil || field.Unasked {
		return nil, Comparison{}, fault.New(fault.QueryField, "There is no field %q to ask a %s about.%s The fields are %s.", name, f.entity, mean(name, f.Names()), strings.Join(f.Names(), ", "))
	}
	resolved := name
	for field.Kind == Association {
		if !dotted {
			if field.Default == "" {
				return nil, Comparison{}, fault.New(fault.QueryField, "The field {%s} needs a sub-field: %s.", path, strings.Join(below(resolved, field), ", "))
			}
			name = field.Default
		} else {
			name, rest, dotted = strings.Cut(rest, ".")
		}
		sub := find(field.Sub, name)
		if sub == nil {
			return nil, Comparison{}, fault.New(fault.QueryField, "The field {%s} does not exist.%s There are %s.", path, mean(name, names(field.Sub)), strings.Join(below(resolved, field), ", "))
		}
		field, resolved = sub, resolved+"."+name
	}
	switch {
	case field.Kind == Map && rest == "":
		return nil, Comparison{}, fault.New(fault.QueryField, "The field {%s} needs a key: %s.KEY.", path, resolved)
	case field.Kind == Map:
		return field, Comparison{Field: resolved, Key: rest, Kind: Map}, nil
	case dotted:
		return nil, Comparison{}, fault.New(fault.QueryField, "The field {%s} does not exist: %s has no sub-fields.", path, resolved)
	}
	return field, Comparison{Field: resolved, Kind: field.Kind}, nil
}

// below lists the paths that can follow an association.
func below(path string, field *Field) []string {
	all := make([]string, len(field.Sub))
	for i, s := range field.Sub {
		all[i] = path + "." + s.Name
	}
	return all
}

// mean is the sentence that suggests the nearest name, if one is near.
func mean(name string, list []string) string {
	if n := nearest(name, list); n != "" {
		return fmt.Sprintf(" Did you mean %q?", n)
	}
	return ""
}
