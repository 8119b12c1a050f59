package lease_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/store"
)

func TestKeeper_gives_a_lease_to_one_process_at_a_time(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		db, err := store.Open(t.Context(), store.Options{URL: d.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		clock := time.UnixMilli(1_700_000_000_000)
		now := func() time.Time { return clock }
		var keepers [2]*lease.Keeper
		for i := range keepers {
			keepers[i] = &lease.Keeper{Store: store.Leases{DB: db}, Holder: int64(i + 1), For: 10 * time.Second, Now: now}
		}
		first, second := keepers[0], keepers[1]
		const name = "work"
		holds := func(k *lease.Keeper, fence int64) {
			t.Helper()
			got, err := k.Hold(t.Context(), name)
			var want *lease.Held
			if fence > 0 {
				want = &lease.Held{Name: name, Holder: k.Holder, Fence: fence}
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Hold by %d: %v (-want +got):\n%s", k.Holder, err, diff)
			}
		}

		holds(first, 1)
		holds(second, 0)
		clock = clock.Add(6 * time.Second)
		holds(first, 1) // prolonged
		clock = clock.Add(9 * time.Second)
		holds(second, 0)
		clock = clock.Add(time.Second) // the first one is gone without a word
		holds(second, 2)
		holds(first, 0)

		// Whoever takes its lease for lost asks again, and has it still.
		second.Lose(name)
		holds(second, 2)

		if err := second.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		holds(first, 3)
		if err := second.Release(t.Context()); err != nil { // of what is another's by now
			t.Fatal(err)
		}
		holds(second, 0)
	})
}

func TestKeeper_without_a_store_holds_everything(t *testing.T) {
	t.Parallel()
	got, err := (&lease.Keeper{}).Hold(t.Context(), "work")
	if diff := cmp.Diff(&lease.Held{Name: "work"}, got); err != nil || diff != "" {
		t.Errorf("Hold: %v (-want +got):\n%s", err, diff)
	}
}
