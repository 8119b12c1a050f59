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

// An index says how rows are found that have a value in a column.
type index int

const (
	noIndex index = iota
	// byText is an index on lower(column): it leads to a text, and to texts that
	// begin alike. Of a map it is one on both the key and the value.
	byText
	// byNumber is an index on the column itself.
	byNumber
	// byFew is for columns of a related table of few rows, all of which are looked
	// at, and an index that leads from there to the listed rows.
	byFew
)

// fewRows is how many rows are fetched one by one, and sorted, rather than found
// on the way through all rows in their order. Either takes as long with some
// thousand of a million rows; it also bounds what is spent in vain where there
// are more.
const fewRows = 5000

// maxLeads bounds how many terms of one filter are tried.
const maxLeads = 8

// leads looks for a term of a filter that leads to few rows by an index.
// Neither planner finds it by itself: SQLite counts nothing, and PostgreSQL
// does not know how many rows belong to the one tag of a name.
type leads struct {
	q       querier
	dialect dialect
	columns columns
	moment  query.Moment
	tenant  tenant.ID
	few     int
	tried   int
}

// follow returns the ids of rows among which are all that the filter is true
// of. It is not ok where no index leads to these, or to more than a few.
func (l *leads) follow(ctx context.Context, n query.Node) (ids []int64, ok bool, err error) {
	switch n := n.(type) {
	case query.And:
		for _, term := range n {
			if ids, ok, err = l.follow(ctx, term); ok || err != nil {
				return ids, ok, err
			}
		}
	case query.Or:
		if !l.lead(n) {
			return nil, false, nil
		}
		for _, term := range n {
			more, ok, err := l.follow(ctx, term)
			if !ok || err != nil {
				return nil, false, err
			}
			if ids = append(ids, more...); len(ids) > l.few {
				return nil, false, nil
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids), true, nil
	case query.Comparison:
		if !l.lead(n) {
			return nil, false, nil
		}
		paths, err := l.paths(ctx, n)
		if err != nil || l.tried+len(paths) > maxLeads {
			return nil, false, err
		}
		for _, p := range paths {
			l.tried++
			more, err := all(ctx, l.q, scalar[int64], fmt.Sprintf("SELECT %s FROM %s LIMIT $%d", p.key, p.from, len(p.args)+1), l.dialect.replanned(append(p.args, l.few+1))...)
			if err != nil {
				return nil, false, fmt.Errorf("follow an index: %w", err)
			}
			if ids = append(ids, more...); len(ids) > l.few {
				return nil, false, nil
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids), true, nil
	}
	return nil, false, nil
}

// lead says whether an index leads to the rows that a filter is true of.
func (l *leads) lead(n query.Node) bool {
	switch n := n.(type) {
	case query.And:
		return slices.ContainsFunc(n, l.lead)
	case query.Or:
		return !slices.ContainsFunc(n, func(term query.Node) bool { return !l.lead(term) })
	case query.Comparison:
		return l.leadsTo(n, l.columns.fields[n.Field])
	}
	return false
}

func (l *leads) leadsTo(c query.Comparison, col column) bool {
	positive := c.Op != query.NotEqual && c.Op != query.Out && c.Op != query.IsNull && c.Op != query.NotNull
	switch {
	case col.index == noIndex:
		return false
	case col.any:
		return (c.Values[0] == "true") == (c.Op == query.Equal)
	case col.index == byNumber:
		return c.Op == query.Equal && l.moment.Resolve(c.Values[0]) != "*" || c.Op == query.In
	case c.Op != query.Equal && c.Op != query.In:
		return positive && col.index == byFew
	}
	values := make([]string, len(c.Values), len(c.Values)+1)
	for i, v := range c.Values {
		values[i] = l.moment.Resolve(v)
	}
	if c.Op == query.Equal {
		parts, pattern := query.Pattern(values[0])
		switch {
		case values[0] == "":
			return false // also where there is no related row
		case pattern && len(parts) == 2 && parts[0]+parts[1] == "":
			return col.key != "" || col.index == byFew && col.rel.reach == query.Set // the key is there, or one of them
		case col.index == byFew:
			return true
		case pattern && parts[0] == "":
			return false
		}
	}
	return col.index == byFew || (&filter{}).fold("", append(values, c.Key)...) == "lower()" // an index knows ASCII alone
}

// A path is what SELECT key FROM from finds: ids of rows, by one index.
type path struct {
	key, from string
	args      []any
	exact     bool // each row once, and none of another tenant
}

// paths lead to all rows that a comparison is true of, and maybe to other
// tenants', which are not told from these before the row itself.
func (l *leads) paths(ctx context.Context, c query.Comparison) ([]path, error) {
	f := &filter{columns: l.columns, moment: l.moment, dialect: l.dialect, tenant: l.tenant}
	p, err := f.comparison(c)
	if err != nil {
		return nil, err
	}
	col := l.columns.fields[c.Field]
	switch {
	case p.rel == nil && col.index == byText:
		return []path{{rowKey, l.columns.table + " WHERE e.tenant_id = " + f.tenantParam() + " AND " + p.sql, f.args, true}}, nil
	case p.rel == nil: // the index does not know the tenant, and one that does is of no use
		return []path{{rowKey, l.columns.table + " WHERE +e.tenant_id = " + f.tenantParam() + " AND " + p.sql, f.args, true}}, nil
	case p.rel.end == "":
		if col.head != "" {
			p.cond += f.begins(c, col)
		}
		return []path{{p.rel.far, p.rel.from + " WHERE " + p.cond, f.args, false}}, nil
	}
	// The few are looked up first: then both planners know what there is to do.
	few, err := all(ctx, l.q, scalar[int64], fmt.Sprintf("SELECT r.id FROM %s WHERE %s = %s AND %s LIMIT %d", p.rel.end, p.rel.tenant, f.tenantParam(), p.cond, maxLeads+1), l.dialect.replanned(f.args)...)
	if err != nil {
		return nil, fmt.Errorf("look up what a filter names: %w", err)
	}
	paths := make([]path, len(few))
	for i, id := range few {
		paths[i] = path{p.rel.key, p.rel.way + " = $1", []any{id}, len(few) == 1 || p.rel.reach != query.Set}
	}
	return paths, nil
}

// total is how many rows a filter is true of. Where paths tell, nothing but
// their indexes is read.
func (l *leads) total(ctx context.Context, n query.Node, from string) (total int64, err error) {
	if c, ok := n.(query.Comparison); ok {
		paths, err := l.paths(ctx, c)
		if err != nil {
			return 0, err
		}
		if len(paths) <= maxLeads && !slices.ContainsFunc(paths, func(p path) bool { return !p.exact }) {
			for _, p := range paths {
				n, err := count(ctx, l.q, l.dialect, "SELECT count(*) FROM "+p.from, p.args)
				if err != nil {
					return 0, err
				}
				total += n
			}
			return total, nil
		}
	}
	cond, args, err := condition(n, l.columns, l.tenant, l.moment, l.dialect, []any{l.tenant})
	if err != nil {
		return 0, err
	}
	return count(ctx, l.q, l.dialect, "SELECT count(*) FROM "+l.columns.counted(from, cond)+" WHERE e.tenant_id = $1 AND "+cond, args)
}

// maxHead is how much of a long text is in its index.
const maxHead = 100

// begins is what follows from a comparison for the head of a long text, which
// is all that an index has of it.
func (f *filter) begins(c query.Comparison, col column) string {
	heads := make([]string, len(c.Values))
	for i, v := range c.Values {
		heads[i] = f.moment.Resolve(v)
	}
	parts, pattern := query.Pattern(heads[0])
	pattern = pattern && c.Op == query.Equal
	if pattern {
		heads[0] = parts[0]
	}
	for i, h := range heads {
		if runes := []rune(storable(h)); len(runes) > maxHead {
			h = string(runes[:maxHead])
		}
		heads[i] = storable(h)
	}
	switch {
	case pattern && heads[0] == "": // any
		return ""
	case pattern:
		return " AND " + col.head + " >= " + f.param(heads[0]) + " AND " + col.head + " < " + f.param(heads[0]+string(unicode.MaxRune))
	}
	params := make([]string, len(heads))
	for i, h := range heads {
		params[i] = f.param(h)
	}
	return " AND " + col.head + " IN (" + strings.Join(params, ", ") + ")"
}

// rowKey is what relations start from that know the listed row by its id.
const rowKey = "e.id"

// among reads one page of those rows with these ids that a filter is true of,
// and how many there are.
func among[T any](ctx context.Context, q querier, d dialect, t tenant.ID, list query.List, l listing, ids []int64, sorted string, scan func(scanner) (T, error)) ([]T, int64, error) {
	if len(ids) == 0 {
		return nil, 0, nil
	}
	args := append(slices.Clone(l.args), idList(ids))
	from := d.ids(fmt.Sprintf("$%d", len(args)), "i") + " CROSS JOIN " + l.from
	where, args, err := rowCondition(list.Filter, l.columns, t, list.Moment, d, args)
	if err != nil {
		return nil, 0, err
	}
	return rowsAndTotal(ctx, q, d, list, l, from, " WHERE "+rowKey+" = i.id AND "+l.where+" AND "+where, sorted, args, scan)
}

// amid reads one page of the many rows that a filter with a lead is true of, on
// the way through all rows in their order, and how many there are.
func amid[T any](ctx context.Context, way *leads, list query.List, l listing, sorted string, scan func(scanner) (T, error)) ([]T, int64, error) {
	where, args, err := rowCondition(list.Filter, l.columns, way.tenant, list.Moment, way.dialect, slices.Clone(l.args))
	if err != nil {
		return nil, 0, err
	}
	rows, err := onePage(ctx, way.q, way.dialect, list, l, l.from, " WHERE "+l.where+" AND "+where, sorted, args, scan)
	if err != nil {
		return nil, 0, err
	}
	if total, known := toldBy(rows, list); known {
		return rows, total, nil
	}
	total, err := way.total(ctx, list.Filter, l.from)
	return rows, total, err
}
