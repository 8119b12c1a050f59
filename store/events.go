package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"

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

// Follow reads what other processes recorded and calls the listeners with it.
// Since is what the last call returned; the first call passes 0 and reads
// nothing older than itself.
//
// PostgreSQL hands out ids before it commits, so a smaller id may appear after
// a larger one. Each event therefore carries its transaction's number, and the
// next call starts at the oldest transaction that was still open at this one:
// an event may be read twice, and none is missed. Numbers only grow, unless the
// database became another one (a standby took over, a backup was restored);
// then nobody knows what changed, and the listeners are told that everything may
// have. The same goes for events that were forgotten before they were read here.
func (db *DB) Follow(ctx context.Context, since int64) (next int64, err error) {
	if !db.Shared() {
		return 0, nil
	}
	node := db.node.Load()
	var events []event.Event
	var forgot int64
	err = db.view(ctx, func(q querier) error {
		if err := q.row(ctx, "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)").Scan(&next); err != nil {
			return err
		}
		if since == 0 {
			return nil
		}
		events, err = all(ctx, q, scanEvent, "SELECT id, tenant_id, kind, subject, target_id, data, at FROM event WHERE tx >= $1 AND node <> $2 ORDER BY tx, id", since, node)
		if err != nil {
			return err
		}
		return q.row(ctx, "SELECT f.tx FROM event_floor f").Scan(&forgot)
	})
	if err != nil {
		return since, err
	}
	switch {
	case next < since, since != 0 && forgot >= since:
		events = append(events, everything()...)
	case since != 0 && db.node.Load() != node: // what was just left out may be unknown here
		next = since
	}
	db.publish(events)
	return next, nil
}

// everything are events after which a listener keeps nothing that it knew.
func everything() []event.Event {
	return []event.Event{{Kind: event.SettingsChanged, Reach: event.AnyTarget}, {Kind: event.AccountChanged, Reach: event.NoTarget}}
}

func scanEvent(s scanner) (e event.Event, err error) {
	err = s.Scan(&e.ID, &e.Tenant, &e.Kind, &e.Subject, &e.Reach, &e.Data, &e.At)
	return e, err
}
