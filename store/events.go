package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/tenant"
)

// errDropped makes database/sql throw a connection away.
var errDropped = driver.ErrBadConn

// record adds an event to the transaction.
func (tx *Tx) record(e event.Event) {
	tx.events = append(tx.events, e)
}

// recordEach adds an event of the kind for each of the targets, whose next poll
// may be answered otherwise.
func (tx *Tx) recordEach(t tenant.ID, k event.Kind, targets []int64, at int64) {
	for _, id := range targets {
		tx.record(event.Event{Tenant: t, Kind: k, Subject: id, Reach: event.Reach(id), At: at})
	}
}

// fewEvents are written one by one; more by one statement, where that is less work.
const fewEvents = 8

// maxAlike bounds how many events one row holds.
const maxAlike = 256

// An eventRow is how the database has events that a transaction recorded one after
// the other and that differ in subject and reach alone: what happened to thousands
// of targets costs some rows. Their ids follow one another and end with the row's.
type eventRow struct {
	event.Event         // the last of them
	each        []int64 // subject and reach of each, where they are several
}

func (r eventRow) many() int64 { return max(int64(len(r.each)/2), 1) }

// list is the column each.
func (r eventRow) list() *string {
	if len(r.each) == 0 {
		return nil
	}
	text := idList(r.each)
	return &text
}

// eventRows puts events that are alike into rows.
func (tx *Tx) eventRows() (rows []eventRow) {
	now := tx.db.now().UnixMilli()
	for _, e := range tx.events {
		if e.Data == "" {
			e.Data = "{}"
		}
		if e.At <= 0 {
			e.At = now
		}
		if n := len(rows); n > 0 && rows[n-1].take(e) {
			continue
		}
		rows = append(rows, eventRow{Event: e})
	}
	return rows
}

// take makes the event the row's last one, if it is like the others.
func (r *eventRow) take(e event.Event) bool {
	if e.Tenant != r.Tenant || e.Kind != r.Kind || e.Data != r.Data || e.At != r.At || r.many() == maxAlike {
		return false
	}
	if len(r.each) == 0 {
		r.each = append(r.each, r.Subject, int64(r.Reach))
	}
	r.each = append(r.each, e.Subject, int64(e.Reach))
	r.Event = e
	return true
}

// eventColumns are those of an event e that scanEvents reads.
const eventColumns = "e.id, e.tenant_id, e.kind, e.subject, e.target_id, e.data, e.at, e.each"

// scanEvents reads the events of a row.
func scanEvents(s scanner, more ...any) (list []event.Event, err error) {
	var e event.Event
	var each sql.NullString
	if err := s.Scan(append(more, &e.ID, &e.Tenant, &e.Kind, &e.Subject, &e.Reach, &e.Data, &e.At, &each)...); err != nil {
		return nil, err
	}
	if !each.Valid {
		return []event.Event{e}, nil
	}
	var pairs []int64
	if err := json.Unmarshal([]byte(each.String), &pairs); err != nil {
		return nil, fmt.Errorf("event %d: %w", e.ID, err)
	}
	first := e.ID - int64(len(pairs)/2) + 1
	for i := 0; i+1 < len(pairs); i += 2 {
		e.ID, e.Subject, e.Reach = first+int64(i/2), pairs[i], event.Reach(pairs[i+1])
		list = append(list, e)
	}
	return list, nil
}

func (tx *Tx) writeEvents(ctx context.Context) error {
	rows := tx.eventRows()
	if len(rows) > fewEvents && tx.db.Shared() {
		return tx.writeManyEvents(ctx, rows)
	}
	for _, r := range rows {
		if _, err := tx.exec(ctx, "INSERT INTO event (id, tenant_id, node, kind, subject, target_id, data, at, many, each) VALUES ("+tx.db.events.newID("$8")+", $1, $2, $3, $4, $5, $6, $7, $8, $9)",
			r.Tenant, tx.db.node.Load(), string(r.Kind), r.Subject, int64(r.Reach), r.Data, r.At, r.many(), r.list()); err != nil {
			return err
		}
	}
	return nil
}

// writeManyEvents writes rows by one statement, on PostgreSQL.
func (tx *Tx) writeManyEvents(ctx context.Context, rows []eventRow) error {
	var v struct {
		tenant, subject, target, at, many []int64
		kind, data                        []string
		each                              []*string
	}
	for _, r := range rows {
		v.tenant, v.kind, v.subject, v.target = append(v.tenant, int64(r.Tenant)), append(v.kind, string(r.Kind)), append(v.subject, r.Subject), append(v.target, int64(r.Reach))
		v.data, v.at, v.many, v.each = append(v.data, r.Data), append(v.at, r.At), append(v.many, r.many()), append(v.each, r.list())
	}
	_, err := tx.exec(ctx, "INSERT INTO event (id, tenant_id, node, kind, subject, target_id, data, at, many, each) SELECT "+tx.db.events.newID("v.many")+`, v.tenant_id, $1, v.kind, v.subject, v.target_id, v.data, v.at, v.many, v.each
		FROM unnest(CAST($2 AS bigint[]), CAST($3 AS text[]), CAST($4 AS bigint[]), CAST($5 AS bigint[]), CAST($6 AS text[]), CAST($7 AS bigint[]), CAST($8 AS bigint[]), CAST($9 AS text[])) AS v (tenant_id, kind, subject, target_id, data, at, many, each)`,
		tx.db.node.Load(), v.tenant, v.kind, v.subject, v.target, v.data, v.at, v.many, v.each)
	return err
}

// Listen calls f after each commit with what it recorded, before the commit is
// acknowledged. f must be quick and must not call the store.
func (db *DB) Listen(f func([]event.Event)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.listeners = append(db.listeners, f)
}

func (db *DB) publish(events []event.Event) {
	if len(events) == 0 {
		return
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, f := range db.listeners {
		f(events)
	}
}

// Shared reports whether other processes may change this database. A SQLite
// file belongs to one process (the server locks its data directory).
func (db *DB) Shared() bool { return db.write == nil }

// Followed is how far a process has read what others recorded: which
// transactions had ended when it looked last. The zero value is before the first
// look.
type Followed struct {
	known bool
	end   int64   // transactions from this number on had not begun
	open  []int64 // those below it that had not ended
}

// oldest is the first transaction that had not ended.
func (f Followed) oldest() int64 { return slices.Min(append([]int64{f.end}, f.open...)) }

// Follow reads what other processes recorded and calls the listeners with it.
// Since is what the last call returned; the first call passes the zero value and
// reads nothing older than itself.
//
// PostgreSQL hands out ids before it commits, so a smaller id may appear after
// a larger one. Each event therefore carries its transaction's number, and a
// call reads the events of the transactions that had not ended at the last one:
// an event may be read twice, and none is missed. Numbers only grow, unless the
// database became another one (a standby took over, a backup was restored);
// then nobody knows what changed, and the listeners are told that everything may
// have. The same goes for events that were forgotten before they were read here.
func (db *DB) Follow(ctx context.Context, since Followed) (next Followed, err error) {
	if !db.Shared() {
		return since, nil
	}
	node := db.node.Load()
	err = db.view(ctx, func(q querier) error {
		if next, err = look(ctx, q); err != nil || !since.known {
			return err
		}
		if err := db.followOpen(ctx, q, since.open, node); err != nil {
			return err
		}
		if err := db.followNew(ctx, q, since.end, node); err != nil {
			return err
		}
		var forgot int64
		if err := q.row(ctx, "SELECT f.tx FROM event_floor f").Scan(&forgot); err != nil {
			return err
		}
		if next.end < since.end || forgot >= since.oldest() {
			db.publish(everything())
		}
		return nil
	})
	if err != nil || since.known && db.node.Load() != node { // what was just left out may be unknown here
		return since, err
	}
	return next, nil
}

// look reads which transactions have ended.
func look(ctx context.Context, q querier) (Followed, error) {
	f := Followed{known: true}
	var open string
	err := q.row(ctx, `SELECT CAST(CAST(pg_snapshot_xmax(s.now) AS text) AS bigint),
			COALESCE((SELECT CAST(json_agg(CAST(CAST(x.id AS text) AS bigint)) AS text) FROM pg_snapshot_xip(s.now) AS x (id)), '[]')
		FROM (SELECT pg_current_snapshot() AS now) AS s`).Scan(&f.end, &open)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal([]byte(open), &f.open)
}

// followOpen publishes what some transactions recorded, by index, whatever the
// planner believes of how much that may be.
func (db *DB) followOpen(ctx context.Context, q querier, open []int64, node int64) error {
	if len(open) == 0 {
		return nil
	}
	rows, err := all(ctx, q, func(s scanner) ([]event.Event, error) { return scanEvents(s) }, "SELECT "+eventColumns+" FROM "+db.ids("$1", "i")+
		" CROSS JOIN LATERAL (SELECT x.* FROM event x WHERE x.tx = i.id ORDER BY x.id OFFSET 0) AS e WHERE e.node <> $2", idList(open), node)
	for _, events := range rows {
		db.publish(events)
	}
	return err
}

// followAtOnce is how many rows of events are read at once. The bound is also what
// makes PostgreSQL go along the index: it believes that nearly all of the table is
// new, and of one process, and would read it from end to end at each look.
const followAtOnce = 1000

// followNew publishes what the transactions from a number on recorded.
func (db *DB) followNew(ctx context.Context, q querier, from, node int64) error {
	text := fmt.Sprintf(`WITH page AS MATERIALIZED (SELECT e.tx, e.id, e.tenant_id, e.node, e.kind, e.subject, e.target_id, e.data, e.at, e.each FROM event e WHERE (e.tx, e.id) > ($1, $2) ORDER BY e.tx, e.id LIMIT %d)
		SELECT l.tx, l.id, l.n, COALESCE(p.id, 0), COALESCE(p.tenant_id, 0), COALESCE(p.kind, ''), COALESCE(p.subject, 0), COALESCE(p.target_id, 0), COALESCE(p.data, ''), COALESCE(p.at, 0), p.each
		FROM (SELECT g.tx, g.id, (SELECT count(*) FROM page) AS n FROM page g ORDER BY g.tx DESC, g.id DESC LIMIT 1) AS l
		LEFT JOIN page p ON p.node <> $3 ORDER BY p.tx, p.id`, followAtOnce)
	last := event.Position{Tx: from}
	for n := followAtOnce; n == followAtOnce; {
		n = 0
		rows, err := all(ctx, q, func(s scanner) ([]event.Event, error) {
			return scanEvents(s, &last.Tx, &last.ID, &n)
		}, text, last.Tx, last.ID, node)
		if err != nil {
			return err
		}
		for _, events := range rows {
			if events[0].ID != 0 { // else all are this process's own
				db.publish(events)
			}
		}
	}
	return nil
}

// everything are events after which a listener keeps nothing that it knew.
func everything() []event.Event {
	return []event.Event{{Kind: event.SettingsChanged, Reach: event.AnyTarget}, {Kind: event.AccountChanged, Reach: event.NoTarget}}
}
