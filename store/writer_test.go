package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/internal/testdb"
)

// together runs the changes in one commit, in this order, and returns what each
// caller heard. A caller that panics hears its panic.
func together(t *testing.T, db *DB, changes ...func(*Tx) error) []error {
	t.Helper()
	results := make([]error, len(changes))
	started, proceed := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for i, change := range changes {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					results[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			results[i] = db.update(t.Context(), func(tx *Tx) error {
				if i == 0 {
					close(started)
					<-proceed // until all others wait
				}
				return change(tx)
			})
		})
		if i == 0 {
			<-started
			continue
		}
		for len(db.group.jobs) < i {
			time.Sleep(time.Millisecond)
		}
	}
	close(proceed)
	wg.Wait()
	return results
}

// addTenant returns a change that adds a tenant.
func addTenant(t *testing.T, name string) func(*Tx) error {
	t.Helper()
	return func(tx *Tx) error {
		_, err := tx.exec(t.Context(), "INSERT INTO tenant (name, created_at) VALUES ($1, 0)", name)
		return err
	}
}

func tenantNames(t *testing.T, db *DB) (names []string) {
	t.Helper()
	err := db.view(t.Context(), func(q querier) (err error) {
		names, err = all(t.Context(), q, scalar[string], "SELECT name FROM tenant ORDER BY name")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// kinds shortens errors to their kinds.
func kinds(errs []error) []string {
	short := make([]string, len(errs))
	for i, err := range errs {
		switch {
		case err == nil:
			short[i] = "saved"
		case fault.Is(err, fault.Unavailable):
			short[i] = "unavailable"
		case fault.Is(err, fault.Invalid):
			short[i] = "invalid"
		default:
			short[i] = err.Error()
		}
	}
	return short
}

func TestChangesOfOneCommit(t *testing.T) {
	t.Parallel()
	fill := func(tx *Tx) error { // as a disk does that has no space left
		var pages int64
		if err := tx.row(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
		var limit int64
		return tx.row(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+1)).Scan(&limit)
	}
	for name, test := range map[string]struct {
		changes []func(*Tx) error
		heard   []string
		left    []string
	}{
		"one that fails is undone alone": {
			[]func(*Tx) error{
				addTenant(t, "A"),
				func(tx *Tx) error { return errors.Join(addTenant(t, "B")(tx), fault.New(fault.Invalid, "no")) },
				addTenant(t, "C"),
			},
			[]string{"saved", "invalid", "saved"},
			[]string{"A", "C"},
		},
		"one that panics is undone alone": {
			[]func(*Tx) error{
				addTenant(t, "A"),
				func(tx *Tx) error { panic(fmt.Sprint("after ", addTenant(t, "B")(tx))) },
				addTenant(t, "C"),
			},
			[]string{"saved", "panic: after <nil>", "saved"},
			[]string{"A", "C"},
		},
		"a lost transaction is the fault of nobody else": {
			[]func(*Tx) error{
				addTenant(t, "A"),
				func(tx *Tx) error { // as SQLite does by itself when its disk fails
					_, err := tx.exec(t.Context(), "ROLLBACK")
					return errors.Join(err, fault.New(fault.Invalid, "no"))
				},
				addTenant(t, "C"),
			},
			[]string{"unavailable", "invalid", "saved"},
			[]string{"C"},
		},
		"one that loses the transaction and does not notice": {
			[]func(*Tx) error{
				addTenant(t, "A"),
				func(tx *Tx) error {
					_, err := tx.exec(t.Context(), "ROLLBACK")
					return err
				},
				addTenant(t, "C"),
			},
			[]string{"unavailable", "unavailable", "saved"},
			[]string{"C"},
		},
		"one that finds no space, for which SQLite undoes all": {
			[]func(*Tx) error{
				addTenant(t, "A"),
				fill,
				func(tx *Tx) error {
					_, err := tx.exec(t.Context(), "INSERT INTO tenant (name, created_at) VALUES (hex(zeroblob(1000000)), 0)")
					return err
				},
				addTenant(t, "C"),
			},
			[]string{"unavailable", "unavailable", "unavailable", "saved"},
			[]string{"C"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, testdb.SQLite(t))
			if diff := cmp.Diff(test.heard, kinds(together(t, db, test.changes...))); diff != "" {
				t.Errorf("what the callers heard: %s", diff)
			}
			if diff := cmp.Diff(test.left, tenantNames(t, db)); diff != "" {
				t.Errorf("what is left: %s", diff)
			}
		})
	}
}

// Whoever comes while the database is being closed is served or refused.
func TestCloseUnderLoad(t *testing.T) {
	t.Parallel()
	d := testdb.SQLite(t)
	db, err := Open(t.Context(), Options{URL: d.URL})
	if err != nil {
		t.Fatal(err)
	}
	const callers = 8
	saved := make([][]string, callers)
	var wg, going sync.WaitGroup
	for i := range callers {
		going.Add(1)
		wg.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("T%d-%d", i, n)
				err := db.update(context.Background(), addTenant(t, name))
				if n == 10 || err != nil && n < 10 {
					going.Done()
				}
				if err == nil {
					saved[i] = append(saved[i], name)
					continue
				}
				if !fault.Is(err, fault.Unavailable) {
					t.Errorf("a change while the database is closed: %v", err)
				}
				return
			}
		})
	}
	going.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	there := map[string]bool{}
	for _, name := range tenantNames(t, open(t, d)) {
		there[name] = true
	}
	for _, names := range saved {
		for _, name := range names {
			if !there[name] {
				t.Errorf("%s was acknowledged and is gone", name)
			}
		}
	}
}
