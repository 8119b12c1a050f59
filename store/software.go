package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

var _ software.Store = Software{}

// changed records a change of an entity that no device hears of by itself.
func (tx *Tx) changed(t tenant.ID, k event.Kind, id int64, at time.Time) {
	tx.record(event.Event{Tenant: t, Kind: k, Subject: id, Reach: event.NoTarget, At: at.UnixMilli()})
}

// taken gives a violated unique constraint its words; other errors pass.
func (tx *Tx) taken(err error, format string, args ...any) error {
	if err != nil && tx.db.classify(err) == failureDuplicate {
		return fault.Wrap(fault.Exists, err, format, args...)
	}
	return err
}

// audit reads created_by, created_at, modified_by and modified_at.
type audit struct {
	to                *caller.Stamps
	created, modified int64
}

func (s *audit) dest() []any {
	return []any{&s.to.CreatedBy, &s.created, &s.to.ModifiedBy, &s.modified}
}

func (s *audit) finish() {
	s.to.CreatedAt, s.to.ModifiedAt = time.UnixMilli(s.created), time.UnixMilli(s.modified)
}

// stampArgs are the values of the four columns that audit reads.
func stampArgs(s *caller.Stamps) []any {
	return []any{s.CreatedBy, s.CreatedAt.UnixMilli(), s.ModifiedBy, s.ModifiedAt.UnixMilli()}
}

// idList is a list parameter for dialect.ids.
func idList[ID ~int64](ids []ID) string {
	if len(ids) == 0 {
		return "[]"
	}
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(append(b, ']'))
}

// textList is a list parameter for dialect.table with the one column v.
func textList(texts []string) (string, error) {
	rows := make([]struct {
		V string `json:"v"`
	}, len(texts))
	for i, s := range texts {
		rows[i].V = s
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("list of texts: %w", err)
	}
	return string(b), nil
}

// texts reads a list parameter made by textList as a table with the column v.
func (d dialect) texts(param, alias string) string { return d.table(param, alias, "v text") }

// exists reports whether the condition finds a row.
func exists(ctx context.Context, q querier, from string, args ...any) (found bool, err error) {
	err = q.row(ctx, "SELECT EXISTS (SELECT 1 FROM "+from+")", args...).Scan(&found)
	return found, err
}

// pageOf reads one page of a list.
func pageOf[T any](ctx context.Context, db *DB, t tenant.ID, l query.List, from listing, scan func(scanner) (T, error)) (rows []T, total int, err error) {
	err = db.view(ctx, func(q querier) error {
		var n int64
		rows, n, err = page(ctx, q, db.dialect, t, l, from, scan)
		total = int(n)
		return err
	})
	return rows, total, err
}
