package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// columns says where in SQL the fields of a listed entity are. The entity's own
// table has the alias e wherever it is listed, related tables r, links to them l
// and what lies behind those s.
type columns struct {
	table  string // as e, without what is joined to it; only where leads are looked for
	joined string // to table, in vain where no condition names the alias: SQLite does not see that when it counts
	alias  string

	// fields has a column for each path that a comparison can name; a test
	// holds it against the declared fields.
	fields map[string]column
	// orders has what to sort by where that is not the column of the field.
	orders map[string]order
}

// A column is one field of a listed entity: an expression over its own row, or
// over the rows that a relation leads to.
type column struct {
	sql  string
	null bool // sql can be NULL

	index index  // what leads to the rows that have a value
	head  string // of a long text: what of it is in the index

	rel *relation
	key string // of a map: the column with the key
	any bool   // true where there is any related row, for a flag that is a row of its own

	codes []string // of an enum kept as a number: the place of a name is its number
}

// A relation leads from the listed row to rows of other tables.
type relation struct {
	near   string // what the listed row has: e.id
	far    string // what the related row has in its stead: l.target_id
	from   string // the related tables
	tenant string // the related row's tenant, so that an index of that tenant serves; empty where it has none
	reach  query.Reach
	keyed  bool   // of a map, whose index begins with the key
	end    string // of byFew: the related table alone, as r
	key    string // of byFew: what the way from the related row leads to, the listed rows' ids
	way    string // and that way: the rows of one related row, up to its id
}

// order is an expression to sort by. Without SQL it leaves the order as it is.
type order struct {
	sql    string
	null   bool
	unique bool // no two rows are equal: what comes later has no say
	index  bool // all rows can be read in this order by an index, or nearly so
}

// condition turns a filter into a condition on the alias e, with its values as
// parameters after those in args. A nil filter is true of everything.
//
// The text is the same for both databases but where dialect.orLooksUp tells
// otherwise, and holds nothing that a client wrote. Case is folded by lower(),
// which here knows ASCII alone (SQLite's always, PostgreSQL's for text of the
// collation C), and for each other letter of the value by a replace() of its
// own: a letter that the value does not have need not be folded to know that
// the two differ. So an index on lower(column) serves whatever has ASCII
// values, and neither an extension nor the server's locale matters.
func condition(n query.Node, c columns, t tenant.ID, m query.Moment, d dialect, args []any) (string, []any, error) {
	if n == nil {
		return "1=1", args, nil
	}
	f := &filter{columns: c, moment: m, dialect: d, args: args, tenant: t}
	p, err := f.node(n, true)
	if err != nil {
		return "", nil, err
	}
	return f.render(p, true), f.args, nil
}

// rowCondition is condition for rows that are found otherwise: no index leads to
// them by it, and what stands in other tables is looked up from each row.
func rowCondition(n query.Node, c columns, t tenant.ID, m query.Moment, d dialect, args []any) (string, []any, error) {
	d.orLooksUp = true
	f := &filter{columns: c, moment: m, dialect: d, args: args, tenant: t, perRow: true}
	p, err := f.node(n, false)
	if err != nil {
		return "", nil, err
	}
	// PostgreSQL takes it to be true of every other row, and so does not look for
	// a way to few.
	return "CASE WHEN " + f.render(p, false) + " THEN TRUE ELSE FALSE END", f.args, nil
}

type filter struct {
	columns columns
	moment  query.Moment
	dialect dialect
	args    []any
	tenant  tenant.ID
	tenantN string // the tenant's parameter, once it has one
	perRow  bool   // see rowCondition
	joins   int    // conditions on relations so far that the database may treat as a join
}

// maxJoins bounds how many conditions of a filter the database may treat as
// joins. PostgreSQL takes minutes to find the best order of hundreds.
const maxJoins = 8

// A piece is a condition in the making: SQL, or that some row of a relation
// meets one. The latter is kept open so that an OR of two of them can look at
// the relation once.
type piece struct {
	sql  string
	rel  *relation
	cond string // on a row of rel
	each bool   // no index leads to the rows of rel: they are looked up from each listed one
}

// node reads a node. must says that the whole condition is false where the node
// is: an index of a related table may then lead to the listed rows.
func (f *filter) node(n query.Node, must bool) (piece, error) {
	switch n := n.(type) {
	case query.And:
		all := make([]string, 0, len(n))
		for _, term := range n {
			p, err := f.node(term, must)
			if err != nil {
				return piece{}, err
			}
			all = append(all, f.render(p, must))
		}
		return piece{sql: balanced(" AND ", all)}, nil
	case query.Or:
		return f.or(n)
	case query.Comparison:
		return f.comparison(n)
	}
	return piece{}, fmt.Errorf("a filter with an unknown node %T", n)
}

// or gathers the conditions on each relation: some tag is a, or some tag is b,
// means that some tag is a or b.
func (f *filter) or(n query.Or) (piece, error) {
	var own []string
	var relations []*relation
	conds := map[*relation][]string{}
	each := map[*relation]bool{}
	for _, term := range n {
		p, err := f.node(term, false)
		if err != nil {
			return piece{}, err
		}
		if p.rel == nil {
			own = append(own, p.sql)
			continue
		}
		if conds[p.rel] == nil {
			relations = append(relations, p.rel)
		}
		conds[p.rel] = append(conds[p.rel], p.cond)
		each[p.rel] = each[p.rel] || p.each
	}
	if len(own) == 0 && len(relations) == 1 {
		r := relations[0]
		return piece{rel: r, cond: balanced(" OR ", conds[r]), each: each[r]}, nil
	}
	for _, r := range relations {
		own = append(own, f.render(piece{rel: r, cond: balanced(" OR ", conds[r]), each: each[r]}, false))
	}
	return piece{sql: balanced(" OR ", own)}, nil
}

// balanced joins conditions as a tree of little depth: SQLite refuses an
// expression that is 1000 deep, and reads a AND b AND c as (a AND b) AND c.
func balanced(op string, all []string) string {
	if len(all) <= 2 {
		if len(all) == 1 {
			return all[0]
		}
		return "(" + strings.Join(all, op) + ")"
	}
	half := len(all) / 2
	return "(" + balanced(op, all[:half]) + op + balanced(op, all[half:]) + ")"
}

// render closes a piece.
func (f *filter) render(p piece, must bool) string {
	r := p.rel
	if r == nil {
		return p.sql
	}
	if p.each || f.dialect.orLooksUp && (!must || f.joins == maxJoins) {
		return f.exists("EXISTS", r, p.cond)
	}
	f.joins++
	where := p.cond
	if r.tenant != "" {
		where = r.tenant + " = " + f.tenantParam() + " AND " + p.cond
	}
	return fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE %s)", r.near, r.far, r.from, where)
}

func (f *filter) none(r *relation, cond string) string { return f.exists("NOT EXISTS", r, cond) }

func (f *filter) exists(verb string, r *relation, cond string) string {
	if f.perRow { // by the row's id alone, whatever else has an index
		return fmt.Sprintf("%s (SELECT 1 FROM %s WHERE %s = %s AND (%s) IS TRUE%s)", verb, r.from, r.far, r.near, cond, f.dialect.perRow)
	}
	if r.keyed { // an index of the key would lead to as many rows as there are targets, again for each of these
		cond = "(" + cond + ") IS TRUE"
	}
	exists := fmt.Sprintf("%s (SELECT 1 FROM %s WHERE %s = %s AND %s)", verb, r.from, r.far, r.near, cond)
	if f.joins == maxJoins {
		return "(" + exists + ") IS TRUE" // no join to PostgreSQL
	}
	f.joins++
	return exists
}

func (f *filter) tenantParam() string {
	if f.tenantN == "" {
		f.tenantN = f.param(int64(f.tenant))
	}
	return f.tenantN
}

func (f *filter) param(v any) string {
	f.args = append(f.args, v)
	return fmt.Sprintf("$%d", len(f.args))
}

const (
	always = "1=1"
	never  = "1=0"
)

func (f *filter) comparison(c query.Comparison) (piece, error) {
	col, ok := f.columns.fields[c.Field]
	if !ok {
		return piece{}, fmt.Errorf("a filter on %q, which has no column", c.Field)
	}
	if col.any {
		some := (c.Values[0] == "true") == (c.Op == query.Equal)
		if !some {
			return piece{sql: f.none(col.rel, always)}, nil
		}
		return piece{rel: col.rel, cond: always}, nil
	}
	q, err := f.question(c, col)
	if err != nil {
		return piece{}, err
	}
	switch {
	case c.Op == query.NotNull && col.rel != nil && col.rel.reach == query.Set:
		return piece{sql: always}, nil // a surprise of the contract
	case col.rel == nil:
		return piece{sql: q.own(col)}, nil
	case col.key != "":
		return f.entry(c, col, q), nil
	}
	return f.related(q, col), nil
}

// A question is a comparison broken down to a condition on one value that is
// not NULL, and what the rest of the comparison makes of it.
type question struct {
	not   bool   // the operator is a negative one: !=, =out=, =is=null
	about about  // what is asked about the value
	match string // with equal: the condition on the value
}

type about int

const (
	there  about = iota // ==* and =not=null; not: !=* and =is=null
	filled              // !='': there and not empty; not: ==''
	equal               // everything else
)

// question reads a comparison (spec management-api 3.2).
func (f *filter) question(c query.Comparison, col column) (question, error) {
	q := question{about: equal, not: c.Op == query.NotEqual || c.Op == query.Out || c.Op == query.IsNull}
	var err error
	switch c.Op {
	case query.IsNull, query.NotNull:
		q.about = there
	case query.Equal, query.NotEqual:
		v := f.moment.Resolve(c.Values[0])
		parts, pattern := query.Pattern(v)
		switch {
		case c.Kind == query.Number && v == "*", textual(c.Kind) && pattern && len(parts) == 2 && parts[0]+parts[1] == "":
			q.about = there
		case textual(c.Kind) && v == "":
			q.about, q.not = filled, !q.not
		case textual(c.Kind) && pattern:
			q.match = f.like(col.sql, parts)
		default:
			q.match, err = f.compare(c, col, "=")
		}
	case query.Less:
		q.match, err = f.compare(c, col, "<")
	case query.LessEqual:
		q.match, err = f.compare(c, col, "<=")
	case query.Greater:
		q.match, err = f.compare(c, col, ">")
	case query.GreaterEqual:
		q.match, err = f.compare(c, col, ">=")
	case query.In, query.Out:
		q.match, err = f.compare(c, col, "IN")
	default:
		err = fmt.Errorf("a filter with an unknown operator %d", c.Op)
	}
	return q, err
}

func textual(k query.Kind) bool { return k == query.Text || k == query.Map }

// own asks the question about a column of the listed row.
func (q question) own(col column) string {
	switch {
	case q.about == there && !col.null:
		if q.not {
			return never
		}
		return always
	case q.about == there && q.not:
		return col.sql + " IS NULL"
	case q.about == there:
		return col.sql + " IS NOT NULL"
	case q.about == filled && !q.not:
		return col.sql + " <> ''"
	case q.about == filled && !col.null:
		return col.sql + " = ''"
	case q.about == filled:
		return "(" + col.sql + " IS NULL OR " + col.sql + " = '')"
	case !q.not:
		return q.match
	case !col.null:
		return "NOT (" + q.match + ")"
	}
	return "(" + col.sql + " IS NULL OR NOT (" + q.match + "))"
}

// yes is the positive form of the question, about a related row.
func (q question) yes(col column) string {
	switch {
	case q.about == equal:
		return q.match
	case q.about == filled:
		return col.sql + " <> ''"
	case col.null:
		return col.sql + " IS NOT NULL"
	}
	return always
}

// related asks the question about related rows: a negative one is that no row
// says yes, and so true where there is no row.
func (f *filter) related(q question, col column) piece {
	switch {
	case q.about == there && !col.null && col.rel.way != "" && col.rel.reach != query.Set: // it refers to one, or to none
		if q.not {
			return piece{sql: col.rel.near + " IS NULL"}
		}
		return piece{sql: col.rel.near + " IS NOT NULL"}
	case !q.not:
		return piece{rel: col.rel, cond: q.yes(col)}
	case q.about == equal && col.rel.reach == query.Joined:
		some := fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE NOT (%s))", col.rel.near, col.rel.far, col.rel.from, q.match)
		return piece{sql: "(" + some + " OR " + f.none(col.rel, always) + ")"}
	}
	return piece{sql: f.none(col.rel, q.yes(col))}
}

// entry asks the question about the value under a key. A negative one needs the
// key to be there, except that the empty value also means no such key.
func (f *filter) entry(c query.Comparison, col column, q question) piece {
	if q.about == there && c.Op == query.NotEqual {
		return piece{sql: never} // before the key becomes a parameter that nothing uses
	}
	key := f.fold(col.key, c.Key) + " = " + f.param(storable(c.Key))
	switch {
	case q.about == there && !q.not:
		return piece{rel: col.rel, cond: key, each: true}
	case q.about == there:
		return piece{sql: f.none(col.rel, key)}
	case q.about == filled && q.not:
		return piece{sql: f.none(col.rel, "("+key+" AND "+col.sql+" <> '')")}
	}
	return piece{rel: col.rel, cond: "(" + key + " AND " + q.own(col) + ")", each: q.not || !startsAlike(c)}
}

// startsAlike says whether an index on a text leads to little else than what a
// comparison is true of.
func startsAlike(c query.Comparison) bool {
	parts, pattern := query.Pattern(c.Values[0])
	return c.Op == query.In || c.Op == query.Equal && (!pattern || parts[0] != "")
}

// compare is the condition that a column stands in this relation to the values.
func (f *filter) compare(c query.Comparison, col column, op string) (string, error) {
	left := col.sql
	if textual(c.Kind) && (op == "=" || op == "IN") {
		resolved := make([]string, len(c.Values))
		for i, v := range c.Values {
			resolved[i] = f.moment.Resolve(v)
		}
		left = f.fold(col.sql, resolved...)
	}
	params := make([]string, len(c.Values))
	for i, v := range c.Values {
		value, err := f.value(c.Kind, col, v)
		if err != nil {
			return "", err
		}
		params[i] = f.param(value)
	}
	if op == "IN" {
		return left + " IN (" + strings.Join(params, ", ") + ")", nil
	}
	return left + " " + op + " " + params[0], nil
}

func (f *filter) value(k query.Kind, col column, v string) (any, error) {
	switch k {
	case query.Number:
		return f.moment.Number(v)
	case query.Bool:
		return v == "true", nil
	case query.Enum:
		code := slices.Index(col.codes, v)
		if code < 0 {
			return nil, fmt.Errorf("a filter with the value %q, which has no number", v)
		}
		return int64(code), nil
	default:
		return storable(f.moment.Resolve(v)), nil
	}
}

// like is the condition that text matches a pattern. What stands before the
// first wildcard also bounds the text, so that an index can lead to it.
func (f *filter) like(sql string, parts []string) string {
	var pattern strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	for i, p := range parts {
		if i > 0 {
			pattern.WriteByte('%')
		}
		pattern.WriteString(escape.Replace(storable(p)))
	}
	folded := f.fold(sql, parts...)
	match := folded + " LIKE " + f.param(pattern.String()) + ` ESCAPE '\'`
	if start := storable(parts[0]); start != "" {
		match = fmt.Sprintf("%s >= %s AND %s < %s AND %s", folded, f.param(start), folded, f.param(start+string(unicode.MaxRune)), match)
	}
	return "(" + match + ")"
}

// maxFolded bounds how many letters beyond ASCII are folded in one condition;
// no alphabet has as many. The databases bound how deep calls may nest.
const maxFolded = 150

// fold is the lower case of text, as far as it matters for the values.
func (f *filter) fold(sql string, values ...string) string {
	folded := "lower(" + sql + ")"
	seen := map[rune]bool{}
	for _, v := range values {
		for _, lower := range v {
			if lower < unicode.MaxASCII || seen[lower] || len(seen) == maxFolded {
				continue
			}
			for other := unicode.SimpleFold(lower); other != lower; other = unicode.SimpleFold(other) {
				if other > unicode.MaxASCII && unicode.ToLower(other) == lower {
					seen[lower] = true
					folded = fmt.Sprintf("replace(%s, %s, %s)", folded, f.param(string(other)), f.param(string(lower)))
				}
			}
		}
	}
	return folded
}

// storable makes a value one that a parameter can hold. No stored text has a
// zero character, so that any other that it never has stands for it as well.
func storable(v string) string { return strings.ReplaceAll(v, "\x00", "\uffff") }

// orderBy is the ORDER BY clause. Every order ends with the id, so that pages
// fit together. NULL comes before everything else, as in SQLite.
func orderBy(sort []query.Order, c columns) (string, error) {
	var terms []string
	for _, s := range append(slices.Clone(sort), query.Order{Field: rowID}) {
		o, err := c.order(s.Field)
		if err != nil {
			return "", err
		}
		if o.sql == "" {
			continue
		}
		switch {
		case s.Desc && o.null:
			o.sql += " DESC NULLS LAST"
		case s.Desc:
			o.sql += " DESC"
		case o.null:
			o.sql += " NULLS FIRST"
		}
		terms = append(terms, o.sql)
		if o.unique {
			break
		}
	}
	return " ORDER BY " + strings.Join(terms, ", "), nil
}

// rowID sorts by the key of the table, which no client can name.
const rowID = " id"

// counted is what to count rows of by a condition.
func (c columns) counted(from, which string) string {
	if c.joined != "" && from == c.table+c.joined && !strings.Contains(which, c.alias+".") {
		return c.table
	}
	return from
}

// ordered says whether all rows can be read in this order by an index.
func (c columns) ordered(sort []query.Order) bool {
	if len(sort) == 0 {
		return true
	}
	o, err := c.order(sort[0].Field)
	return err == nil && (o.unique || o.index)
}

func (c columns) order(field string) (order, error) {
	if field == rowID {
		return order{sql: "e.id", unique: true}, nil
	}
	if o, ok := c.orders[field]; ok {
		return o, nil
	}
	if col, ok := c.fields[field]; ok && col.rel == nil {
		return order{sql: col.sql, null: col.null}, nil
	}
	return order{}, fmt.Errorf("an order by %q, which has no column", field)
}

// A listing is what a list call reads: SELECT columns FROM tables WHERE scope.
type listing struct {
	columns columns
	// sort is where to find the fields of the sort parameter if that is elsewhere:
	// lists below another entity are sorted by that entity's fields.
	sort *columns

	fields string // what scan reads
	from   string // tables, with the listed one as e
	joined string // tables with at most one row for each listed one, which only fields looks at
	where  string // whose rows, with parameters from $1
	args   []any  // of where
	total  string // how many rows there are without a filter, with the parameters of where; empty: they are counted
	few    int    // how many rows to fetch one by one if an index leads to no more (see leads); 0: where leaves few rows anyway
}

// page reads one page of a list, and how many rows there are in all.
func page[T any](ctx context.Context, q querier, d dialect, t tenant.ID, list query.List, l listing, scan func(scanner) (T, error)) ([]T, int64, error) {
	where, args, err := condition(list.Filter, l.columns, t, list.Moment, d, slices.Clone(l.args))
	if err != nil {
		return nil, 0, err
	}
	by := l.columns
	if l.sort != nil {
		by = *l.sort
	}
	sorted, err := orderBy(list.Sort, by)
	if err != nil {
		return nil, 0, err
	}
	if where == always {
		list.Filter = nil
	}
	if l.few > 0 && list.Filter != nil {
		way := &leads{q: q, dialect: d, columns: l.columns, moment: list.Moment, tenant: t, few: l.few}
		ids, ok, err := way.follow(ctx, list.Filter)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			return among(ctx, q, d, t, list, l, ids, sorted, scan)
		}
		if _, several := list.Filter.(query.And); !several && way.lead(list.Filter) && by.ordered(list.Sort) {
			return amid(ctx, way, list, l, sorted, scan)
		}
	}
	which := " WHERE " + l.where
	if list.Filter != nil {
		which += " AND " + where
	}
	return rowsAndTotal(ctx, q, d, list, l, l.from, which, sorted, args, scan)
}

// rowsAndTotal reads one page of a list from these tables, and how many rows
// there are in all.
func rowsAndTotal[T any](ctx context.Context, q querier, d dialect, list query.List, l listing, from, which, sorted string, args []any, scan func(scanner) (T, error)) ([]T, int64, error) {
	rows, err := onePage(ctx, q, d, list, l, from, which, sorted, args, scan)
	if err != nil {
		return nil, 0, err
	}
	if total, known := toldBy(rows, list); known {
		return rows, total, nil
	}
	if from == l.from {
		from = l.columns.counted(from, which)
	}
	text := "SELECT count(*) FROM " + from + which
	if list.Filter == nil && l.total != "" {
		text = l.total
	}
	total, err := count(ctx, q, d, text, args)
	return rows, total, err
}

func onePage[T any](ctx context.Context, q querier, d dialect, list query.List, l listing, from, which, sorted string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	n := len(args)
	text := fmt.Sprintf("SELECT %s FROM %s%s%s%s LIMIT $%d OFFSET $%d", l.fields, from, l.joined, which, sorted, n+1, n+2)
	rows, err := all(ctx, q, scan, text, d.replanned(append(slices.Clip(args), list.Limit, list.Offset))...)
	if err != nil {
		return nil, fmt.Errorf("read a page: %w", err)
	}
	return rows, nil
}

// toldBy is the total that a page tells by itself, which is one that is not full.
func toldBy[T any](rows []T, list query.List) (total int64, known bool) {
	return int64(list.Offset + len(rows)), len(rows) < list.Limit && (len(rows) > 0 || list.Offset == 0)
}

func count(ctx context.Context, q querier, d dialect, text string, args []any) (total int64, err error) {
	if err := q.row(ctx, text, d.replanned(args)...).Scan(&total); err != nil {
		return 0, fmt.Errorf("count a list: %w", err)
	}
	return total, nil
}
