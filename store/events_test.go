package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// A stage is a database with tenants, whose settings are changed to make events.
type stage struct {
	*store.DB
	t    *testing.T
	a, b tenant.ID
	n    int
}

func newStage(t *testing.T, d testdb.Database) *stage {
	t.Helper()
	s := &stage{DB: open(t, d), t: t}
	for name, id := range map[string]*tenant.ID{"A": &s.a, "B": &s.b} {
		tenants := store.Tenants{DB: s.DB}
		if err := tenants.EnsureTenant(t.Context(), name, start()); err != nil {
			t.Fatal(err)
		}
		r, err := tenants.TenantByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		*id = r.ID
	}
	return s
}

// record makes one event of the tenant. Its time is what tells it from others.
func (s *stage) record(id tenant.ID) int64 {
	s.t.Helper()
	s.n++
	at := start().Add(time.Duration(s.n) * time.Second)
	change := tenant.Change{Set: map[tenant.Key]string{tenant.KeyPollingTime: "00:01:00"}}
	if err := (store.Tenants{DB: s.DB}).SaveSettings(s.t.Context(), id, change, at); err != nil {
		s.t.Fatal(err)
	}
	return at.UnixMilli()
}

// feed runs a feed of the database.
func (s *stage) feed() *event.Feed {
	s.t.Helper()
	f := &event.Feed{Store: s.DB, Log: slog.New(slog.DiscardHandler), Now: time.Now, Shared: s.Shared()}
	s.Listen(func([]event.Event) { f.Wake() })
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	s.t.Cleanup(func() { cancel(); wg.Wait() })
	return f
}

func everyKind(event.Kind) bool { return true }

func (s *stage) open(f *event.Feed, id tenant.ID, after *event.Position) *event.Reader {
	s.t.Helper()
	r, err := f.Open(s.t.Context(), id, after, everyKind)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}

// take reads until there are as many events, and returns them.
func (s *stage) take(r *event.Reader, n int) (list []event.Entry) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(list) < n; {
		b, err := r.Next(s.t.Context(), time.Second)
		if err != nil || b.Gap || time.Now().After(deadline) {
			s.t.Fatalf("after %d of %d events: %+v, %v", len(list), n, b, err)
		}
		list = append(list, b.Entries...)
	}
	return list
}

func times(list []event.Entry) (all []int64) {
	for _, e := range list {
		all = append(all, e.At)
	}
	return all
}

func TestEventsAreReadInOrderAndResumed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := newStage(t, d)
		f := s.feed()
		live := s.open(f, s.a, nil)
		var want []int64
		for range 20 {
			want = append(want, s.record(s.a))
			s.record(s.b)
		}
		all := s.take(live, len(want))
		if diff := cmp.Diff(want, times(all)); diff != "" {
			t.Fatal(diff)
		}
		if !slices.IsSortedFunc(all, func(a, b event.Entry) int { return a.Position.Compare(b.Position) }) {
			t.Errorf("not in order: %v", all)
		}
		// From behind each of them, the rest follows; from memory, and by a feed that remembers nothing.
		other := &event.Feed{Store: s.DB, Log: slog.New(slog.DiscardHandler), Now: time.Now}
		for i, e := range all[:len(all)-1] {
			for _, from := range []*event.Feed{f, other} {
				r := s.open(from, s.a, &e.Position)
				if diff := cmp.Diff(all[i+1:], s.take(r, len(all)-i-1)); diff != "" {
					t.Errorf("from behind %v: %s", e.Position, diff)
				}
			}
		}
		r := s.open(other, s.a, &all[4].Position)
		b, last, err := r.Rest(t.Context())
		if err != nil || !last || len(b.Entries) != len(all)-5 {
			t.Errorf("without waiting: %d, %t, %v", len(b.Entries), last, err)
		}
	})
}

// A transaction that commits late has an event with a smaller id than events
// that were read before. It is not skipped.
func TestATransactionThatCommitsLateIsNotSkipped(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	s := newStage(t, d)
	raw, err := sql.Open("pgx", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	r := s.open(s.feed(), s.a, nil)
	late, err := raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const moment = 7
	if _, err := late.ExecContext(t.Context(), "INSERT INTO event (tenant_id, node, kind, subject, target_id, data, at) VALUES ($1, 1, 'target.created', 1, -1, '{}', $2)", int64(s.a), moment); err != nil {
		t.Fatal(err)
	}
	second := s.record(s.a)
	if b, err := r.Next(t.Context(), time.Second); err != nil || len(b.Entries) > 0 {
		t.Errorf("before an older transaction has ended: %+v, %v", b, err)
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{moment, second}, times(s.take(r, 2))); diff != "" {
		t.Error(diff)
	}
}

// Many write at once; every reader gets all in one order, each once.
func TestManyWritersOneOrder(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := newStage(t, d)
		here, there := s.feed(), (&stage{DB: open(t, d), t: t, a: s.a}).feed()
		one, two := s.open(here, s.a, nil), s.open(there, s.a, nil)
		const writers, each = 8, 25
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					targets := []fleet.Target{{ControllerID: fleet.ControllerID(fmt.Sprintf("t-%d-%d", w, i)), Name: "n"}}
					if err := (store.Fleet{DB: s.DB}).CreateTargets(t.Context(), s.a, targets); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		a := s.take(one, writers*each)
		if diff := cmp.Diff(a, s.take(two, writers*each)); diff != "" {
			t.Error(diff)
		}
		seen := map[string]bool{}
		for _, e := range a {
			if seen[e.Data] {
				t.Errorf("twice: %+v", e)
			}
			seen[e.Data] = true
		}
	})
}

// A reader that stands still for long hinders nobody, and gets all when it goes on.
func TestASlowReaderHindersNobody(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := newStage(t, d)
		f := s.feed()
		slow, fast := s.open(f, s.a, nil), s.open(f, s.a, nil)
		const n = 17_000 // more than the feed remembers
		targets, names := make([]fleet.Target, 1000), make([]fleet.ControllerID, 1000)
		for j := range targets {
			names[j] = fleet.ControllerID(fmt.Sprintf("t-%d", j))
			targets[j] = fleet.Target{ControllerID: names[j], Name: "n"}
		}
		if err := (store.Fleet{DB: s.DB}).CreateTargets(t.Context(), s.a, targets); err != nil {
			t.Fatal(err)
		}
		s.take(fast, 1000)
		for i := range n/1000 - 1 {
			group := fmt.Sprint(i)
			if err := (store.Fleet{DB: s.DB}).SetGroup(t.Context(), s.a, &group, names, time.UnixMilli(1)); err != nil {
				t.Fatal(err)
			}
			s.take(fast, 1000)
		}
		all := s.take(slow, n)
		if len(all) != n || all[0].Kind != event.TargetCreated || all[n-1].Kind != event.TargetChanged {
			t.Errorf("got %d from %v to %v", len(all), all[0], all[len(all)-1])
		}
	})
}

func TestWhatIsNotKeptIsAGap(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := newStage(t, d)
		f := s.feed()
		r := s.open(f, s.a, nil)
		for range 6 {
			s.record(s.a)
		}
		all := s.take(r, 6)
		behind := s.open(f, s.a, &all[0].Position)
		quiet := &event.Feed{Store: s.DB, Log: slog.New(slog.DiscardHandler), Now: time.Now}
		for deadline := time.Now().Add(30 * time.Second); countEvents(t, d) > 2 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if _, err := s.ForgetEvents(t.Context(), time.UnixMilli(all[3].At+1), math.MaxInt64); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			what string
			r    *event.Reader
			gap  event.Position
		}{
			{"from before what is kept", s.open(quiet, s.a, &all[2].Position), all[2].Position},
			{"from the beginning", s.open(quiet, s.a, &event.Position{}), event.Position{}},
		} {
			b, err := test.r.Next(t.Context(), time.Second)
			if err != nil || !b.Gap || b.Asked != test.gap || b.End != all[3].Position {
				t.Errorf("%s: %+v, %v", test.what, b, err)
			}
			if diff := cmp.Diff(all[4:], s.take(test.r, 2)); diff != "" {
				t.Errorf("%s: %s", test.what, diff)
			}
		}
		// What a reader has in memory it need not read again.
		if diff := cmp.Diff(all[1:], s.take(behind, 5)); diff != "" {
			t.Error(diff)
		}
		// Exactly at the border nothing is lost.
		if diff := cmp.Diff(all[4:], s.take(s.open(quiet, s.a, &all[3].Position), 2)); diff != "" {
			t.Error(diff)
		}
		// A place that is not there yet is another database's.
		b, err := s.open(f, s.a, &event.Position{Tx: math.MaxInt64, ID: 1}).Next(t.Context(), time.Second)
		if err != nil || !b.Gap || b.End.Compare(all[5].Position) < 0 {
			t.Errorf("from beyond the end: %+v, %v", b, err)
		}
	})
}

// Too many are forgotten whatever their age, the oldest first.
func TestTooManyEventsAreForgotten(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := newStage(t, d)
		targets := make([]fleet.Target, 2500)
		for j := range targets {
			targets[j] = fleet.Target{ControllerID: fleet.ControllerID(fmt.Sprintf("t-%d", j)), Name: "n", Stamps: stampsOf(start())}
		}
		if err := (store.Fleet{DB: s.DB}).CreateTargets(t.Context(), s.a, targets); err != nil {
			t.Fatal(err)
		}
		steps := 0
		for deadline := time.Now().Add(30 * time.Second); countEvents(t, d) > 100 && time.Now().Before(deadline); {
			more, err := s.ForgetEvents(t.Context(), start().Add(-time.Hour), 100)
			if err != nil {
				t.Fatal(err)
			}
			if steps++; !more {
				time.Sleep(20 * time.Millisecond)
			}
		}
		if n := countEvents(t, d); n != 100 || steps < 3 {
			t.Errorf("%d are left after %d steps", n, steps)
		}
		if more, err := s.ForgetEvents(t.Context(), start().Add(-time.Hour), 100); more || err != nil {
			t.Errorf("nothing is left to do: %t, %v", more, err)
		}
	})
}

// A database that is copied from a PostgreSQL with higher transaction numbers
// begins anew.
func TestADatabaseFromAnotherServer(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	s := newStage(t, d)
	s.record(s.a)
	raw, err := sql.Open("pgx", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, text := range []string{"UPDATE event SET tx = tx + 1000000000000", "UPDATE event_floor SET tx = 1000000000000"} {
		if _, err := raw.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	copied := &stage{DB: open(t, d), t: t, a: s.a}
	f := copied.feed()
	r := copied.open(f, s.a, nil)
	at := copied.record(s.a)
	list := copied.take(r, 1)
	if diff := cmp.Diff([]int64{at}, times(list)); diff != "" {
		t.Error(diff)
	}
	copied.record(s.a)
	if b, err := copied.open(f, s.a, &list[0].Position).Next(t.Context(), 10*time.Second); err != nil || b.Gap {
		t.Errorf("a place of the new order: %+v, %v", b, err)
	}
	if b, err := copied.open(f, s.a, &event.Position{Tx: 1_000_000_000_001, ID: 1}).Next(t.Context(), time.Second); err != nil || !b.Gap {
		t.Errorf("a place of the old order: %+v, %v", b, err)
	}
}

func TestTooManyReaders(t *testing.T) {
	t.Parallel()
	s := newStage(t, testdb.SQLite(t))
	f := &event.Feed{Store: s.DB, Log: slog.New(slog.DiscardHandler), Now: time.Now, MaxReaders: 3, MaxPerTenant: 2}
	one := s.open(f, s.a, nil)
	s.open(f, s.a, nil)
	if _, err := f.Open(t.Context(), s.a, nil, everyKind); !fault.Is(err, fault.Quota) {
		t.Errorf("a third of the tenant: %v", err)
	}
	s.open(f, s.b, nil)
	if _, err := f.Open(t.Context(), s.b, nil, everyKind); !fault.Is(err, fault.Quota) {
		t.Errorf("a fourth of all: %v", err)
	}
	f.Close()
	if _, err := one.Next(t.Context(), time.Minute); err == nil {
		t.Error("a reader of a closed feed waits")
	}
	if _, err := f.Open(t.Context(), s.b, nil, everyKind); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a reader of a closed feed: %v", err)
	}
}

func stampsOf(at time.Time) caller.Stamps { return caller.Stamps{CreatedAt: at, ModifiedAt: at} }
