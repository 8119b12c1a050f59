package query

import "strings"

// A Node is a condition: an And, an Or, or a Comparison.
//
// String returns text that Parse reads into an equal tree, as long as the tree
// came from Parse or keeps its habits: an And or Or has at least two terms,
// none of which is of its own kind.
type Node interface {
	String() string
	node()
}

// And is true where all its terms are.
type And []Node

// Or is true where one of its terms is.
type Or []Node

// Op is what a Comparison does.
type Op int

// The operators. The forms =is=, =eq=, =not= and =ne= do not appear in a tree:
// they are IsNull or NotNull with the word null, and Equal or NotEqual with any
// other.
const (
	// Equal is ==. In a Text or Map value * stands for any text (see Pattern);
	// the value * alone means present, on a Number too; the empty value means
	// null, empty, or not there.
	Equal Op = iota
	// NotEqual is !=. It matches null, except that on a Map the key must be
	// there. The empty value means present and not empty.
	NotEqual
	// Less is <, or =lt=. The four ordering operators know no wildcard.
	Less
	// LessEqual is <=, or =le=.
	LessEqual
	// Greater is >, or =gt=.
	Greater
	// GreaterEqual is >=, or =ge=.
	GreaterEqual
	// In is =in=: equal to one of the values, which know no wildcard.
	In
	// Out is =out=: NotEqual to all of the values, which know no wildcard.
	Out
	// IsNull is =is=null: not there.
	IsNull
	// NotNull is =not=null: there.
	NotNull
)

// symbol is how String writes the operator.
func (op Op) symbol() string {
	return [...]string{"==", "!=", "<", "<=", ">", ">=", "=in=", "=out=", "=is=", "=not="}[op]
}

// A Comparison asks one field about one value, or about several.
type Comparison struct {
	Field  string // the whole path with default sub-fields filled in: "name", "type.key", "metadata"
	Key    string // of a Map: the key asked about, in lower case
	Kind   Kind   // of the field at the end of the path
	Op     Op
	Values []string // in lower case, with placeholders (see Moment) as they were; none with IsNull and NotNull
}

func (And) node()        {}
func (Or) node()         {}
func (Comparison) node() {}

func (a And) String() string { return join(a, ";") }
func (o Or) String() string  { return join(o, ",") }

func (c Comparison) String() string {
	var b strings.Builder
	b.WriteString(c.Field)
	if c.Kind == Map {
		b.WriteString("." + c.Key)
	}
	b.WriteString(c.Op.symbol())
	switch c.Op {
	case IsNull, NotNull:
		b.WriteString("null")
	case In, Out:
		b.WriteByte('(')
		for i, v := range c.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(v))
		}
		b.WriteByte(')')
	default:
		for _, v := range c.Values {
			b.WriteString(quote(v))
		}
	}
	return b.String()
}

func join(terms []Node, by string) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(by)
		}
		if _, simple := t.(Comparison); simple {
			b.WriteString(t.String())
			continue
		}
		b.WriteString("(" + t.String() + ")")
	}
	return b.String()
}

// quote writes a value so that it reads as itself: bare where that is possible.
func quote(v string) string {
	if v != "" && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || strings.ContainsRune(reserved, r) }) {
		return v
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// Walk calls visit for every comparison of the tree, from left to right.
func Walk(n Node, visit func(Comparison)) {
	switch n := n.(type) {
	case And:
		for _, t := range n {
			Walk(t, visit)
		}
	case Or:
		for _, t := range n {
			Walk(t, visit)
		}
	case Comparison:
		visit(n)
	}
}

// Late takes the comparison with a field that was declared Late out of a tree:
// such a field is not part of the condition, but thins out the page that was
// read with it (spec management-api 3.4, complete). Parse has seen to it that
// there is at most one, not below an Or, and that its op is Equal and its value
// true or false. rest is nil if nothing else was asked.
func Late(n Node, field string) (rest Node, want, asked bool) {
	switch n := n.(type) {
	case Comparison:
		if n.Field == field {
			return nil, n.Values[0] == "true", true
		}
	case And:
		var left And
		for _, t := range n {
			if c, ok := t.(Comparison); ok && c.Field == field {
				want, asked = c.Values[0] == "true", true
				continue
			}
			left = append(left, t)
		}
		if !asked {
			return n, false, false
		}
		if len(left) == 1 {
			return left[0], want, true
		}
		return left, want, true
	}
	return n, false, false
}
