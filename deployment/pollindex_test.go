package deployment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/tenant"
)

// TestPollShardIsABoundedMap: what a shard finds is what was put last for the
// key, and it forgets only when it is full.
func TestPollShardIsABoundedMap(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, max := range []int{1, 2, 3, 64, 65, 200, 700} {
		s := pollShard{max: max}
		model := map[nameKey]uint64{}
		if s.find(nameKey{}) != nil {
			t.Error("an empty shard finds something")
		}
		for n := range uint64(2000) {
			k := nameKey{0, random.Uint64N(300)} // in all 600 keys, since half of them are moved
			if random.IntN(2) == 0 {
				k[1] <<= 32 // most meet in few slots
			}
			s.put(entry{key: k, readAt: n})
			model[k] = n
			if e := s.find(k); e == nil || e.readAt != n {
				t.Fatalf("max %d: %v was put and not found", max, k)
			}
			if n%50 != 0 {
				continue
			}
			there := 0
			for k, n := range model {
				e := s.find(k)
				switch {
				case e == nil && s.used < s.max:
					t.Fatalf("max %d: forgot %v without need", max, k)
				case e == nil:
					delete(model, k)
				case e.key != k || e.readAt != n:
					t.Fatalf("max %d: %v holds %v", max, k, *e)
				default:
					there++
				}
			}
			if there != s.used || s.used > max || 2*s.used > len(s.slots) {
				t.Fatalf("max %d: %d are found, %d used, %d slots", max, there, s.used, len(s.slots))
			}
		}
		if s.used != max && max < 400 {
			t.Errorf("max %d: only %d are kept", max, s.used)
		}
	}
}

// counted is a store whose standing is the number of its last change.
type counted struct {
	changes, reads atomic.Int64
	volatile       bool
}

func (c *counted) Standing(context.Context, tenant.ID, fleet.ControllerID, Pace) (Standing, Window, error) {
	c.reads.Add(1)
	return Standing{Target: 7, Revision: c.changes.Load(), Volatile: c.volatile}, Window{}, nil
}

// TestPollIndexHidesNoChange: once a change is acknowledged, no lookup answers
// what was before it, whatever happens at the same time.
func TestPollIndexHidesNoChange(t *testing.T) {
	t.Parallel()
	for _, reach := range []event.Reach{7, event.AnyTarget} {
		store := &counted{}
		p := NewPollIndex(store, 100, time.Now)
		p.TrustAlways()
		home := &tenant.Tenant{Record: tenant.Record{ID: 1}, Settings: &tenant.Settings{}}
		var acknowledged atomic.Int64
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for acknowledged.Load() < 5_000 {
					before := acknowledged.Load()
					st, _, err := p.Lookup(t.Context(), home, "dev")
					if err != nil || st.Revision < before {
						t.Errorf("change %d is hidden by %d (%v)", before, st.Revision, err)
						return
					}
				}
			})
		}
		for range 5_000 {
			n := store.changes.Add(1)
			p.Drop([]event.Event{{Reach: reach}, {Reach: 8}, {Reach: event.NoTarget}})
			acknowledged.Store(n)
		}
		all.Wait()
	}
}

// TestPollIndexReadsOnce: a standing is read from the store once, until it is
// dropped or not trusted any more, and each time if it moves with the clock.
func TestPollIndexReadsOnce(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	store := &counted{}
	p := NewPollIndex(store, 100, func() time.Time { return now })
	home := &tenant.Tenant{Record: tenant.Record{ID: 1}, Settings: &tenant.Settings{}}
	other := &tenant.Tenant{Record: tenant.Record{ID: 2}, Settings: &tenant.Settings{}}
	var got []string
	step := func(what string, of *tenant.Tenant) {
		before := store.reads.Load()
		_, known := p.Known(of.ID, "dev")
		if _, _, err := p.Lookup(t.Context(), of, "dev"); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s: known %t, %d read", what, known, store.reads.Load()-before))
	}
	step("nobody follows", home)
	p.Trust(now.Add(time.Second))
	step("trusted", home)
	step("again", home)
	step("another tenant", other)
	p.Drop([]event.Event{{Reach: 8}, {Reach: event.NoTarget}})
	step("others dropped", home)
	p.Drop([]event.Event{{Reach: 7}})
	step("dropped", home)
	step("again", home)
	p.Drop([]event.Event{{Reach: event.AnyTarget}})
	step("all dropped", home)
	now = now.Add(time.Second)
	step("trusted no more", home)
	p.Trust(now.Add(time.Second))
	step("trusted again", home)
	p.TrustAlways()
	now = now.Add(time.Hour)
	step("alone", home)
	store.volatile = true
	p.Drop([]event.Event{{Reach: 7}})
	step("volatile", home)
	step("again", home)
	want := []string{
		"nobody follows: known false, 1 read",
		"trusted: known true, 0 read", // read before anybody followed, and nothing was dropped since
		"again: known true, 0 read",
		"another tenant: known false, 1 read",
		"others dropped: known true, 0 read",
		"dropped: known false, 1 read",
		"again: known true, 0 read",
		"all dropped: known false, 1 read",
		"trusted no more: known false, 1 read",
		"trusted again: known true, 0 read",
		"alone: known true, 0 read",
		"volatile: known false, 1 read",
		"again: known false, 1 read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
