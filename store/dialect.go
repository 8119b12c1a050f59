package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A dialect is everything SQLite and PostgreSQL disagree on. All other SQL is
// written once, with $1 parameters, in what both speak.
type dialect struct {
	name       string
	driver     string
	migrations fs.FS

	// forUpdate ends a SELECT whose rows the transaction is about to change.
	// SQLite has one writer and needs none.
	forUpdate string

	// forShare ends a SELECT whose rows must stay as they are until the
	// transaction ends.
	forShare string

	// skipLocked ends a SELECT of the rows to change that nobody else is changing.
	skipLocked string

	// lock ends a SELECT, too, and locks the rows of these aliases only, in this
	// order. It leaves room for others to refer to them meanwhile.
	lock func(aliases ...string) string

	// table reads a parameter that holds a JSON list of objects as a table with
	// the given columns ("id bigint", "name text"), under the alias.
	table func(param, alias string, columns ...string) string

	// ids reads a parameter that holds a JSON list of numbers as a table with
	// the one column id.
	ids func(param, alias string) string

	// among compares a key with the numbers of a parameter that holds a JSON list.
	// PostgreSQL goes from them to the rows then, whatever it believes of the table
	// and of other conditions; a list that it reads as a table it may look through
	// for each row there is.
	among func(key, param string) string

	// perTarget is a SELECT of the ids and target ids of the actions a of some
	// targets, for which the condition holds. It goes from the targets to their
	// actions, whatever the planner believes of either: after a step that changed
	// most of them its statistics are wrong.
	perTarget func(param, cond string) string

	// heaviest joins the active action of a target that is offered first, under the
	// alias. PostgreSQL could look through all actions for it, if they were few when
	// it made its plan.
	heaviest func(target, alias string) string

	// events is the order in which events are read.
	events eventOrder

	// orLooksUp: below an OR a condition on another table looks each row up
	// instead of gathering all ids first. PostgreSQL searches a gathered list
	// that outgrows its working memory from end to end for every row; SQLite
	// gathers them in a tree, which is the faster way there.
	orLooksUp bool

	// replanned are the arguments of a statement whose best plan depends on them:
	// PostgreSQL otherwise settles for one after some runs.
	replanned func(args []any) []any

	// perRow ends a SELECT below an EXISTS that is looked up for few rows.
	// PostgreSQL otherwise may gather its rows for all that there are.
	perRow string

	// stepTime is how long a step of background work is to take. On SQLite all who
	// want to write wait for it; on PostgreSQL those alone who want to change the
	// same targets.
	stepTime time.Duration

	// behind does work of a step in a way that lets others have the processor first,
	// where the database computes in this process.
	behind func(work func() error) error

	// twoSteps: two transactions may change something at a time, of which each has a
	// processor to itself.
	twoSteps bool

	// classify says what sort of failure the driver's error is.
	classify func(error) failure
}

// failure is what a driver's error means to us.
type failure int

const (
	failureOther       failure = iota
	failureDuplicate           // a unique constraint
	failureReference           // a foreign key
	failureValue               // a value the column does not take
	failureRetry               // lost against another transaction; a new try may win
	failureUnavailable         // the database or its disk cannot be used right now
)

func sqliteLock(...string) string { return "" }

func postgresLock(aliases ...string) string {
	return " FOR NO KEY UPDATE OF " + strings.Join(aliases, ", ")
}

func sqliteReplanned(args []any) []any { return args }

func postgresReplanned(args []any) []any {
	return append([]any{pgx.QueryExecModeCacheDescribe}, args...)
}

func sqliteTable(param, alias string, columns ...string) string {
	var b strings.Builder
	b.WriteString("(SELECT ")
	for i, c := range columns {
		name, _, _ := strings.Cut(c, " ")
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "value ->> '%s' AS %s", name, name)
	}
	fmt.Fprintf(&b, " FROM json_each(%s)) AS %s", param, alias)
	return b.String()
}

func sqliteIDs(param, alias string) string {
	return fmt.Sprintf("(SELECT value AS id FROM json_each(%s)) AS %s", param, alias)
}

func postgresTable(param, alias string, columns ...string) string {
	return fmt.Sprintf("jsonb_to_recordset(CAST(%s AS jsonb)) AS %s (%s)", param, alias, strings.Join(columns, ", "))
}

func postgresIDs(param, alias string) string {
	return fmt.Sprintf("(SELECT CAST(value AS bigint) AS id FROM jsonb_array_elements_text(CAST(%s AS jsonb))) AS %s", param, alias)
}

func sqliteAmong(key, param string) string {
	return key + " IN (SELECT i.id FROM " + sqliteIDs(param, "i") + ")"
}

func postgresAmong(key, param string) string {
	return key + " = ANY(CAST(translate(" + param + ", '[]', '{}') AS bigint[]))"
}

// activeOf are the active actions x of a target, the heaviest first.
const activeOf = " FROM action x WHERE x.target_id = %[1]s AND x.filed_as < 0 AND x.active ORDER BY x.weight DESC, x.id LIMIT 1)"

func sqliteHeaviest(target, alias string) string {
	return fmt.Sprintf("action %[2]s ON %[2]s.id = (SELECT x.id"+activeOf, target, alias)
}

func postgresHeaviest(target, alias string) string {
	return fmt.Sprintf("LATERAL (SELECT x.*"+activeOf+" AS %[2]s ON TRUE", target, alias)
}

func sqlitePerTarget(param, cond string) string {
	return "SELECT a.id, a.target_id FROM " + sqliteIDs(param, "i") + " CROSS JOIN action a WHERE a.target_id = i.id AND " + cond
}

func postgresPerTarget(param, cond string) string {
	return "SELECT x.id, x.target_id FROM " + postgresIDs(param, "i") + " CROSS JOIN LATERAL (SELECT a.id, a.target_id FROM action a WHERE a.target_id = i.id AND " + cond + " OFFSET 0) AS x"
}

// querier runs statements: a transaction, or the readers' pool.
type querier interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	row(ctx context.Context, text string, args ...any) *sql.Row
}

// scanner is a row that can be read: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// all reads every row with scan.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string, args ...any) (list []T, err error) {
	rows, err := q.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// scalar is a scan function for one column.
func scalar[T any](s scanner) (v T, err error) {
	err = s.Scan(&v)
	return v, err
}

// countBy reads rows of a key and how often there is that.
func countBy[K comparable](ctx context.Context, q querier, text string, args ...any) (map[K]int, error) {
	type count struct {
		key K
		n   int
	}
	list, err := all(ctx, q, func(s scanner) (c count, err error) {
		err = s.Scan(&c.key, &c.n)
		return c, err
	}, text, args...)
	counts := make(map[K]int, len(list))
	for _, c := range list {
		counts[c.key] = c.n
	}
	return counts, err
}
