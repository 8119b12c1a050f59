package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/tenant"
)

// otherTenant adds one.
func (w *world) otherTenant(t *testing.T) tenant.ID {
	t.Helper()
	return tenant.ID(w.insert(t, "INSERT INTO tenant (name, created_at) VALUES ('OTHER', 0) RETURNING id"))
}

// fleet tells what is known of all targets, in the order of their names.
func (w *world) fleet(t *testing.T) (list []string) {
	t.Helper()
	must(t, w.db.view(w.ctx, func(q querier) (err error) {
		list, err = all(w.ctx, q, func(s scanner) (line string, err error) {
			var owner tenant.ID
			var status fleet.Status
			var name, address string
			var seen int64
			err = s.Scan(&owner, &name, &status, &address, &seen)
			return fmt.Sprintf("%s %v %s %d", name, status, address, seen), err
		}, "SELECT t.tenant_id, t.controller_id, h.status, COALESCE(t.address, '-'), COALESCE(v.seen_at, 0) FROM target t JOIN target_state h ON h.target_id = t.id LEFT JOIN target_visit v ON v.target_id = t.id ORDER BY t.controller_id, t.tenant_id")
		return err
	}))
	return list
}

// commits are the kinds and subjects that each commit from now on tells of.
func (w *world) commits() *[]string {
	told := &[]string{}
	var mu sync.Mutex
	w.db.Listen(func(events []event.Event) {
		mu.Lock()
		defer mu.Unlock()
		var line []string
		for _, e := range events {
			line = append(line, fmt.Sprintf("%s of %d, tenant %d", e.Kind, e.Subject, e.Tenant))
		}
		*told = append(*told, strings.Join(line, "; "))
	})
	return told
}

// Devices that are seen at the same time are saved together, each as if alone.
func TestSeenAtOnce(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		f, other := Fleet{w.db}, w.otherTenant(t)
		ids := map[fleet.ControllerID]fleet.TargetID{}
		for _, name := range []fleet.ControllerID{"d-late", "a-new", "b-known", "c-foreign", "e-left", "f-twice"} {
			ids[name] = w.target(t, name)
		}
		w.exec(t, "UPDATE target_state SET status = $1 WHERE target_id <> $2", int(fleet.StatusUnknown), int64(ids["b-known"]))
		w.exec(t, "UPDATE target_state SET status = $1 WHERE target_id = $2", int(fleet.StatusPending), int64(ids["b-known"]))
		w.exec(t, "UPDATE target SET address = 'old' WHERE id = $1", int64(ids["b-known"]))
		w.exec(t, "INSERT INTO target_visit (target_id, seen_at) VALUES ($1, 900)", int64(ids["d-late"]))
		told := w.commits()

		gone, leave := context.WithCancel(w.ctx)
		errs := make([]error, 8)
		call := func(i int, ctx context.Context, owner tenant.ID, id fleet.TargetID, address string, at int64) func() {
			return func() { errs[i] = f.Seen(ctx, owner, id, address, time.UnixMilli(at)) }
		}
		atOnce(
			t, w.db.sightings,
			call(0, w.ctx, w.tenant, ids["f-twice"], "first", 101),
			call(1, w.ctx, w.tenant, ids["b-known"], "new", 102),
			call(2, w.ctx, w.tenant, ids["a-new"], "a", 103),
			call(3, w.ctx, other, ids["c-foreign"], "not theirs", 104),
			call(4, w.ctx, w.tenant, ids["d-late"], "d", 105), // a later visit is known
			call(5, later{w.ctx, gone}, w.tenant, ids["e-left"], "e", 106),
			call(6, w.ctx, w.tenant, 999_999, "nobody's", 107),
			func() {
				leave()                                                   // whoever waits for a turn
				call(7, w.ctx, w.tenant, ids["f-twice"], "second", 108)() // in the next transaction
			},
		)
		for i, err := range errs {
			if i == 5 != errors.Is(err, context.Canceled) || i != 5 && err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		expect(t, "targets", []string{"a-new registered a 103", "b-known pending new 102", "c-foreign unknown - 0", "d-late registered d 900", "e-left unknown - 0", "f-twice registered second 108"}, w.fleet(t))
		changed := func(names ...fleet.ControllerID) string {
			var line []string
			for _, n := range names {
				line = append(line, fmt.Sprintf("%s of %d, tenant %d", event.TargetChanged, ids[n], w.tenant))
			}
			return strings.Join(line, "; ")
		}
		expect(t, "commits", []string{changed("d-late", "a-new", "b-known", "f-twice"), changed("f-twice")}, *told)
		expect(t, "rows that tell of the first", 1, w.count(t, fmt.Sprintf("event WHERE kind = '%s' AND many = 4 AND at = 105", event.TargetChanged)))
	})
}

// What cannot be saved of one device is told to that one alone.
func TestASightingThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		bad := "bad\x00" // which is no text for PostgreSQL
		if !w.db.Shared() {
			w.exec(t, "CREATE TRIGGER bad BEFORE UPDATE OF address ON target WHEN substr(NEW.address, 1, 3) = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END")
		}
		names := []fleet.ControllerID{"a", "b", "c"}
		errs := make([]error, len(names))
		calls := make([]func(), len(names))
		for i, name := range names {
			id, address := w.target(t, name), "good"
			if name == "b" {
				address = bad
			}
			calls[i] = func() { errs[i] = Fleet{w.db}.Seen(w.ctx, w.tenant, id, address, time.UnixMilli(1)) }
		}
		atOnce(t, w.db.sightings, calls...)
		if errs[0] != nil || errs[1] == nil || errs[2] != nil {
			t.Errorf("got %v", errs)
		}
		expect(t, "targets", []string{"a registered good 1", "b registered - 0", "c registered good 1"}, w.fleet(t))
	})
}

// Devices that register at the same time are added together.
func TestRegisterAtOnce(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		f, other := Fleet{w.db}, w.otherTenant(t)
		w.target(t, "b-known")
		told := w.commits()
		gone, leave := context.WithCancel(w.ctx)
		var added [7]*fleet.Target
		call := func(i int, ctx context.Context, owner tenant.ID, name fleet.ControllerID, at int64) func() {
			address := "there"
			n := &fleet.Target{ControllerID: name, Name: string(name), Address: &address, Status: fleet.StatusRegistered, SeenAt: time.UnixMilli(at)}
			added[i] = n
			return func() {
				if err := f.Register(ctx, owner, n); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("call %d: %v", i, err)
				}
			}
		}
		atOnce(
			t, w.db.registrations,
			call(0, w.ctx, w.tenant, "c-new", 100),
			call(1, w.ctx, w.tenant, "b-known", 101),
			call(2, w.ctx, other, "c-new", 102),
			call(3, w.ctx, w.tenant, "a-new", 103),
			call(4, w.ctx, w.tenant, "c-new", 104), // in the next transaction
			call(5, later{w.ctx, gone}, w.tenant, "d-left", 105),
			func() {
				leave()
				call(6, w.ctx, other, "e-new", 106)()
			},
		)
		expect(t, "targets", []string{"a-new registered there 103", "b-known registered - 0", "c-new registered there 100", "c-new registered there 102", "e-new registered there 106"}, w.fleet(t))
		for _, i := range []int{1, 4, 5} {
			expect(t, fmt.Sprintf("id that call %d was told", i), 0, added[i].ID)
		}
		created := func(owner tenant.ID, calls ...int) (line []string) {
			for _, i := range calls {
				line = append(line, fmt.Sprintf("%s of %d, tenant %d", event.TargetCreated, added[i].ID, owner))
			}
			return line
		}
		expect(t, "commits", []string{strings.Join(slices.Concat(created(w.tenant, 3, 0), created(other, 2, 6)), "; ")}, *told)
		for owner, want := range map[tenant.ID]int64{w.tenant: 2, other: 2} {
			must(t, w.db.view(w.ctx, func(q querier) error {
				var total int64
				err := q.row(w.ctx, targetTotal, int64(owner)).Scan(&total)
				expect(t, "total", want, total)
				return err
			}))
		}
	})
}

// Servers that share a database may hear of the same devices at the same time.
func TestRegisterWithTwoServers(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	w := newWorld(t, open(t, d))
	const devices = 60
	var wg sync.WaitGroup
	for _, db := range []*DB{w.db, open(t, d)} {
		f := Fleet{db}
		for i := range devices {
			wg.Go(func() {
				name := fleet.ControllerID(fmt.Sprint("d-", i))
				if err := f.Register(w.ctx, w.tenant, &fleet.Target{ControllerID: name, Name: "d", SeenAt: w.now}); err != nil {
					t.Error(err)
				}
				target, err := f.Target(w.ctx, w.tenant, name)
				if err != nil {
					t.Error(err)
					return
				}
				if err := f.Seen(w.ctx, w.tenant, target.ID, "there", w.now); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	expect(t, "targets", devices, w.count(t, fmt.Sprintf("target t JOIN target_state h ON h.target_id = t.id JOIN target_visit v ON v.target_id = t.id WHERE t.address = 'there' AND h.status = %d", fleet.StatusRegistered)))
}

// Few though the targets were when PostgreSQL made its plans, it goes by keys.
func TestSightingsAreFoundByKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open(t, testdb.Postgres(t)))
	w.targets(t, "a", "b")
	w.exec(t, "ANALYZE")
	for text, values := range map[string]string{
		"(bigint[], bigint[]) AS " + lockSighted:           "'{1}', '{1}'",
		"(bigint[], bigint, bigint) AS " + registerSighted: "'{1}', 1, 0",
		"(bigint[], text[]) AS " + moveSighted:             "'{1}', '{there}'",
	} {
		var plan []string
		must(t, w.db.updateKeyed(w.ctx, func(tx *Tx) (err error) {
			if _, err := tx.exec(w.ctx, "PREPARE sight "+text); err != nil {
				return err
			}
			if plan, err = all(w.ctx, tx, scalar[string], "EXPLAIN EXECUTE sight ("+values+")"); err != nil {
				return err
			}
			_, err = tx.exec(w.ctx, "DEALLOCATE sight")
			return err
		}))
		for i, line := range plan {
			if strings.Contains(line, "Scan") && strings.Contains(line, " on target") && (i+1 == len(plan) || !strings.Contains(plan[i+1], "Index Cond")) {
				t.Errorf("not by its key: %s\n%s", line, strings.Join(plan, "\n"))
			}
		}
	}
}
