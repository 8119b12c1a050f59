package store

import (
	"context"
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

// fewEvents are written one by one; more by one statement.
const fewEvents = 8

func (tx *Tx) writeEvents(ctx context.Context) error {
	if len(tx.events) > fewEvents {
		return tx.writeManyEvents(ctx)
	}
	for _, e := range tx.events {
		if _, err := tx.exec(ctx, "INSERT INTO event (tenant_id, node, kind, subject, target_id, data, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			e.Tenant, tx.db.node.Load(), string(e.Kind), e.Subject, int64(e.Reach), dataOf(e), tx.timeOf(e)); err != nil {
			return err
		}
	}
	return nil
}

func dataOf(e event.Event) string {
	if e.Data == "" {
		return "{}"
	}
	return e.Data
}

// timeOf returns when it happened; of an event that does not say, now.
func (tx *Tx) timeOf(e event.Event) int64 {
	if e.At > 0 {
		return e.At
	}
	return tx.db.now().UnixMilli()
}

// writeManyEvents writes those of a change to thousands of targets.
func (tx *Tx) writeManyEvents(ctx context.Context) error {
	type row struct {
		Tenant  int64  `json:"tenant"`
		Kind    string `json:"kind"`
		Subject int64  `json:"subject"`
		Target  int64  `json:"target"`
		Data    string `json:"data"`
		At      int64  `json:"at"`
	}
	rows := make([]row, len(tx.events))
	for i, e := range tx.events {
		rows[i] = row{int64(e.Tenant), string(e.Kind), e.Subject, int64(e.Reach), dataOf(e), tx.timeOf(e)}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("events of a change: %w", err)
	}
	_, err = tx.exec(ctx, "INSERT INTO event (tenant_id, node, kind, subject, target_id, data, at) SELECT v.tenant, $2, v.kind, v.subject, v.target, v.data, v.at FROM "+
		tx.db.table("$1", "v", "tenant bigint", "kind text", "subject bigint", "target bigint", "data text", "at bigint"), string(list), tx.db.node.Load())
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
	events, err := all(ctx, q, scanEvent, "SELECT x.id, x.tenant_id, x.kind, x.subject, x.target_id, x.data, x.at FROM "+db.ids("$1", "i")+
		" CROSS JOIN LATERAL (SELECT e.id, e.tenant_id, e.node, e.kind, e.subject, e.target_id, e.data, e.at FROM event e WHERE e.tx = i.id ORDER BY e.id OFFSET 0) AS x WHERE x.node <> $2", idList(open), node)
	db.publish(events)
	return err
}

// followAtOnce is how many events are read at once. The bound is also what makes
// PostgreSQL go along the index: it believes that nearly all of the table is new,
// and of one process, and would read it from end to end at each look.
const followAtOnce = 5000

// followNew publishes what the transactions from a number on recorded.
func (db *DB) followNew(ctx context.Context, q querier, from, node int64) error {
	text := fmt.Sprintf(`WITH page AS MATERIALIZED (SELECT e.tx, e.id, e.tenant_id, e.node, e.kind, e.subject, e.target_id, e.data, e.at FROM event e WHERE (e.tx, e.id) > ($1, $2) ORDER BY e.tx, e.id LIMIT %d)
		SELECT l.tx, l.id, l.n, COALESCE(p.id, 0), COALESCE(p.tenant_id, 0), COALESCE(p.kind, ''), COALESCE(p.subject, 0), COALESCE(p.target_id, 0), COALESCE(p.data, ''), COALESCE(p.at, 0)
		FROM (SELECT g.tx, g.id, (SELECT count(*) FROM page) AS n FROM page g ORDER BY g.tx DESC, g.id DESC LIMIT 1) AS l
		LEFT JOIN page p ON p.node <> $3 ORDER BY p.tx, p.id`, followAtOnce)
	last := event.Position{Tx: from}
	for n := followAtOnce; n == followAtOnce; {
		n = 0
		events, err := all(ctx, q, func(s scanner) (e event.Event, err error) {
			err = s.Scan(&last.Tx, &last.ID, &n, &e.ID, &e.Tenant, &e.Kind, &e.Subject, &e.Reach, &e.Data, &e.At)
			return e, err
		}, text, last.Tx, last.ID, node)
		if err != nil {
			return err
		}
		if len(events) == 1 && events[0].ID == 0 { // all are this process's own
			continue
		}
		db.publish(events)
	}
	return nil
}

// everything are events after which a listener keeps nothing that it knew.
func everything() []event.Event {
	return []event.Event{{Kind: event.SettingsChanged, Reach: event.AnyTarget}, {Kind: event.AccountChanged, Reach: event.NoTarget}}
}

func scanEvent(s scanner) (e event.Event, err error) {
	err = s.Scan(&e.ID, &e.Tenant, &e.Kind, &e.Subject, &e.Reach, &e.Data, &e.At)
	return e, err
}
