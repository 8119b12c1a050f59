package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/otaria/otaria/event"
)

var _ event.Store = (*DB)(nil)

// An eventOrder is how a database orders events, and which of them are settled:
// no event will ever come before them.
//
// SQLite gives out ids in the one transaction that writes, so all that can be
// read is settled, in the order of ids. PostgreSQL gives them out before it
// commits. There the order is that of the numbers of transactions, and settled
// is what stands below the oldest that is still open: a transaction that writes
// for long, in any database of the same server, holds readers up, and none is
// skipped.
type eventOrder struct {
	tx      string   // of the event e
	settled string   // condition, of the event e
	end     string   // tx and id of the end of what is settled
	columns []string // that order the event e

	// after is the condition that the event e stands behind a position, whose
	// parameters are the two from the number; upTo that it does not.
	after, upTo func(first int) string
	args        func(event.Position) []any

	// newID is an expression for the id of a new row, for as many events as another
	// expression says: the last of so many ids that follow each other, as far as
	// those are concerned that belong to the same transaction.
	newID func(many string) string
}

func sqliteEvents() eventOrder {
	return eventOrder{
		tx: "0", settled: "TRUE", columns: []string{"e.id"},
		end:   "SELECT 0 AS tx, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0) AS id",
		after: func(n int) string { return fmt.Sprintf("e.id > $%d", n) },
		upTo:  func(n int) string { return fmt.Sprintf("id <= $%d", n) },
		args:  func(p event.Position) []any { return []any{p.ID} },
		newID: func(many string) string {
			return "COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0) + " + many
		},
	}
}

func postgresEvents() eventOrder {
	const oldest = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
	return eventOrder{
		tx: "e.tx", settled: "e.tx < " + oldest, columns: []string{"e.tx", "e.id"},
		end:   "SELECT " + oldest + " AS tx, 0 AS id",
		after: func(n int) string { return fmt.Sprintf("(e.tx, e.id) > ($%d, $%d)", n, n+1) },
		upTo:  func(n int) string { return fmt.Sprintf("(tx, id) <= ($%d, $%d)", n, n+1) },
		args:  func(p event.Position) []any { return []any{p.Tx, p.ID} },
		newID: func(many string) string {
			return "(SELECT max(nextval('event_id_seq')) FROM generate_series(1, CAST(" + many + " AS bigint)))"
		},
	}
}

// oldest and newest are what a list of events e is ordered by.
func (o eventOrder) oldest() string { return strings.Join(o.columns, ", ") }
func (o eventOrder) newest() string { return strings.Join(o.columns, " DESC, ") + " DESC" }

// EventsAfter implements event.Store. Its second statement sees one moment: what
// it returns, where the order ends, and what is forgotten.
func (db *DB) EventsAfter(ctx context.Context, after event.Position, limit int) (p event.Page, err error) {
	o := db.events
	text := "SELECT f.tx, f.id, h.tx, h.id, COALESCE(e.tx, 0), COALESCE(e.id, 0), COALESCE(e.tenant_id, 0), COALESCE(e.kind, ''), COALESCE(e.subject, 0), COALESCE(e.target_id, 0), COALESCE(e.data, ''), COALESCE(e.at, 0), e.each" +
		" FROM event_floor f CROSS JOIN (" + o.end + ") h LEFT JOIN (SELECT " + o.tx + " AS tx, " + eventColumns + " FROM event e WHERE " + o.after(1) + " AND " + o.settled +
		" ORDER BY " + o.oldest() + fmt.Sprintf(" LIMIT $%d", len(o.columns)+1) + ") e ON TRUE ORDER BY e.tx, e.id"
	err = db.view(ctx, func(q querier) error {
		p = event.Page{}
		rows, err := db.eventRowsAfter(ctx, q, after, limit)
		if err != nil {
			return err
		}
		read := 0
		_, err = all(ctx, q, func(s scanner) (none struct{}, err error) {
			var tx int64
			list, err := scanEvents(s, &p.Forgot.Tx, &p.Forgot.ID, &p.End.Tx, &p.End.ID, &tx)
			if err != nil || list[0].ID == 0 {
				return none, err
			}
			read++
			for _, e := range list {
				if at := (event.Position{Tx: tx, ID: e.ID}); at.Compare(after) > 0 && len(p.Entries) < limit {
					p.Entries = append(p.Entries, event.Entry{Event: e, Position: at})
				}
			}
			return none, nil
		}, text, append(o.args(after), rows)...)
		p.Full = limit > 0 && (read == rows || len(p.Entries) == limit)
		return err
	})
	if p.Full {
		p.End = p.Entries[len(p.Entries)-1].Position
	}
	return p, err
}

// eventRowsAfter is how many rows hold the next events, as many as the limit; the
// limit where there are fewer. A row may hold hundreds, which are not read for
// nothing.
func (db *DB) eventRowsAfter(ctx context.Context, q querier, after event.Position, limit int) (int, error) {
	o := db.events
	sizes, err := all(ctx, q, scalar[int], "SELECT e.many FROM event e WHERE "+o.after(1)+" AND "+o.settled+" ORDER BY "+o.oldest()+fmt.Sprintf(" LIMIT $%d", len(o.columns)+1), append(o.args(after), limit)...)
	n := 0
	for i, size := range sizes {
		if n += size; n >= limit+maxAlike { // the first may have been read in part
			return i + 1, err
		}
	}
	return limit, err
}

// Describe implements event.Store.
func (db *DB) Describe(ctx context.Context, list []event.Entry) error {
	actions, targets := map[int64][]*event.Entry{}, map[int64][]*event.Entry{}
	for i := range list {
		e := &list[i]
		switch e.Kind {
		case event.ActionAssigned, event.ActionChanged, event.ActionDownload:
			actions[e.Subject] = append(actions[e.Subject], e)
		case event.ActionDeleted:
			targets[int64(e.Reach)] = append(targets[int64(e.Reach)], e)
		case event.TargetChanged, event.TargetAttributes: // others say it themselves
			targets[e.Subject] = append(targets[e.Subject], e)
		default:
		}
	}
	return db.view(ctx, func(q querier) error {
		if len(actions) > 0 {
			_, err := all(ctx, q, func(s scanner) (none struct{}, err error) {
				var id, set int64
				var rollout sql.NullInt64
				var target string
				err = s.Scan(&id, &target, &set, &rollout)
				for _, e := range actions[id] {
					e.Target, e.Set, e.Rollout = target, set, rollout.Int64
				}
				return none, err
			}, "SELECT a.id, t.controller_id, a.set_id, a.rollout_id FROM "+db.ids("$1", "i")+" JOIN action a ON a.id = i.id JOIN target t ON t.id = a.target_id", idList(keysOf(actions)))
			if err != nil {
				return err
			}
		}
		if len(targets) == 0 {
			return nil
		}
		_, err := all(ctx, q, func(s scanner) (none struct{}, err error) {
			var id int64
			var name string
			err = s.Scan(&id, &name)
			for _, e := range targets[id] {
				e.Target = name
			}
			return none, err
		}, "SELECT t.id, t.controller_id FROM "+db.ids("$1", "i")+" JOIN target t ON t.id = i.id", idList(keysOf(targets)))
		return err
	})
}

func keysOf[V any](m map[int64]V) []int64 {
	list := make([]int64, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

// forgetStep bounds how many rows of events one transaction removes, so that a writer
// behind it waits for some milliseconds at most.
const forgetStep = 1000

// ForgetEvents removes events from before the moment, and the oldest of more
// than most; some of them, and reports whether there may be more. It removes
// from the beginning of their order and notes how far it came, so that readers
// know what they missed. An event that a clock far ahead dated keeps those
// behind it until they are too many.
func (db *DB) ForgetEvents(ctx context.Context, before time.Time, most int64) (more bool, err error) {
	var floor, cut event.Position
	n := 0
	err = db.view(ctx, func(q querier) error {
		n = 0
		if err := q.row(ctx, "SELECT f.tx, f.id FROM event_floor f").Scan(&floor.Tx, &floor.ID); err != nil {
			return err
		}
		var newest int64
		if err := q.row(ctx, "SELECT e.id FROM event e ORDER BY "+db.events.newest()+" LIMIT 1").Scan(&newest); err != nil {
			if none(err) {
				return nil
			}
			return err
		}
		args := db.events.args(floor)
		list, err := all(ctx, q, func(s scanner) (e event.Entry, err error) {
			err = s.Scan(&e.Position.Tx, &e.Position.ID, &e.At)
			return e, err
		}, "SELECT "+db.events.tx+", e.id, e.at FROM event e WHERE "+db.events.after(1)+" AND "+db.events.settled+" ORDER BY "+db.events.oldest()+fmt.Sprintf(" LIMIT %d", forgetStep), args...)
		for _, e := range list {
			if e.At >= before.UnixMilli() && e.Position.ID > newest-most {
				break
			}
			cut = e.Position
			n++
		}
		return err
	})
	if err != nil || n == 0 {
		return false, err
	}
	err = db.update(ctx, func(tx *Tx) error {
		var now event.Position
		if err := tx.row(ctx, "SELECT e.tx, e.id FROM event_floor e"+tx.db.lock("e")).Scan(&now.Tx, &now.ID); err != nil {
			return err
		}
		if now != floor {
			n = forgetStep // another process was faster; there may be more
			return nil
		}
		if _, err := tx.exec(ctx, "UPDATE event_floor SET tx = $1, id = $2", cut.Tx, cut.ID); err != nil {
			return err
		}
		_, err := tx.exec(ctx, "DELETE FROM event WHERE "+db.events.upTo(1), db.events.args(cut)...)
		return err
	})
	return err == nil && n == forgetStep, err
}

// adoptEvents begins the order of events anew where the database was copied from
// a PostgreSQL whose transactions had higher numbers: readers who were there hear
// of a gap.
func (db *DB) adoptEvents(ctx context.Context) error {
	const next = "CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
	const oldest = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
	return db.update(ctx, func(tx *Tx) error {
		if _, err := tx.exec(ctx, "DELETE FROM event WHERE tx >= "+next); err != nil {
			return err
		}
		_, err := tx.exec(ctx, "UPDATE event_floor SET tx = "+oldest+" - 1, id = 0 WHERE tx >= "+next)
		return err
	})
}
