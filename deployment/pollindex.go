package deployment

import (
	"context"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// PollStore reads standings.
type PollStore interface {
	// Standing reads a target's standing by one indexed lookup, and the window of
	// its action if it has one. fault.NotFound when there is no such target.
	Standing(ctx context.Context, t tenant.ID, id fleet.ControllerID, p Pace) (Standing, Window, error)
}

// Pace is the tenant's polling intervals of their own, of which the first whose
// query matches the target counts, and the moment that the queries speak of.
type Pace struct {
	Overrides []tenant.PollingOverride
	Moment    query.Moment
}

// volatile reports whether time alone can change which interval holds: a query
// that asks when a target was last seen, or what time it is.
func (p Pace) volatile() bool {
	return slices.ContainsFunc(p.Overrides, func(o tenant.PollingOverride) bool {
		return strings.Contains(o.Query, "${") || strings.Contains(strings.ToLower(o.Query), "lastcontrollerrequestat")
	})
}

// paceOf returns it for the tenant.
func paceOf(t *tenant.Tenant, now time.Time) Pace {
	p := Pace{Overrides: t.Settings.Polling.Overrides}
	if len(p.Overrides) > 0 {
		p.Moment = query.Moment{Now: now.UnixMilli(), OverdueBefore: now.Add(-t.Settings.Polling.Base.Longest() - t.Settings.OverdueAfter).UnixMilli()}
	}
	return p
}

// PollIndex keeps the standings of the targets that polled last, so that a poll
// without news touches no database.
//
// It is never wrong for longer than a second. A change made by this process
// drops the target's entry before the change is acknowledged; changes of other
// processes arrive through the event table, and when that could not be read for
// a second, nothing in the index is used and every poll goes to the store.
type PollIndex struct {
	store PollStore
	max   int // entries per shard
	now   func() time.Time

	// trusted is the moment (milliseconds) up to which entries may be used.
	trusted atomic.Int64

	seeds  [2]maphash.Seed
	names  []nameShard
	shards []pollShard
	drops  dropLog
}

const pollShards = 256

// nameKey is a fingerprint of tenant and controller id under two secret seeds,
// so that nobody can make two of them meet.
type nameKey [2]uint64

// A nameShard finds a target's id by name. Ids are never used twice and names
// never change, so that an entry of a deleted target only leads nowhere.
type nameShard struct {
	mu  sync.RWMutex
	ids map[nameKey]fleet.TargetID
}

type pollShard struct {
	mu      sync.RWMutex
	entries map[fleet.TargetID]Standing
}

// NewPollIndex returns an empty index that holds about max entries, each of
// some 200 bytes. Until Trust is called it uses none of them.
func NewPollIndex(s PollStore, max int, now func() time.Time) *PollIndex {
	p := &PollIndex{store: s, max: max/pollShards + 1, now: now, names: make([]nameShard, pollShards), shards: make([]pollShard, pollShards)}
	p.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for i := range pollShards {
		p.names[i].ids = map[nameKey]fleet.TargetID{}
		p.shards[i].entries = map[fleet.TargetID]Standing{}
	}
	return p
}

// Trust lets entries be used until the moment. Whoever follows the events of
// other processes calls it after each look.
func (p *PollIndex) Trust(until time.Time) { p.trusted.Store(until.UnixMilli()) }

// TrustAlways is for a process that is alone with its database.
func (p *PollIndex) TrustAlways() { p.trusted.Store(math.MaxInt64) }

// Lookup returns the target's standing and the window of its action, or
// fault.NotFound.
func (p *PollIndex) Lookup(ctx context.Context, t *tenant.Tenant, id fleet.ControllerID) (Standing, Window, error) {
	k := p.key(t.ID, id)
	n := &p.names[k[0]%pollShards]
	n.mu.RLock()
	target, known := n.ids[k]
	n.mu.RUnlock()
	if known && p.now().UnixMilli() < p.trusted.Load() {
		s := &p.shards[target%pollShards]
		s.mu.RLock()
		st, ok := s.entries[target]
		s.mu.RUnlock()
		if ok {
			return st, Window{}, nil
		}
	}
	before := p.drops.position()
	pace := paceOf(t, p.now())
	st, w, err := p.store.Standing(ctx, t.ID, id, pace)
	if err != nil || st.Volatile || pace.volatile() {
		return st, w, err
	}
	if !known || target != st.Target {
		n.mu.Lock()
		makeRoom(n.ids, p.max)
		n.ids[k] = st.Target
		n.mu.Unlock()
	}
	s := &p.shards[st.Target%pollShards]
	s.mu.Lock()
	// What was read may be older than a drop that came in between.
	if !p.drops.since(before, st.Target) {
		makeRoom(s.entries, p.max)
		s.entries[st.Target] = st
	}
	s.mu.Unlock()
	return st, w, nil
}

func (p *PollIndex) key(t tenant.ID, id fleet.ControllerID) nameKey {
	var k nameKey
	for i, seed := range p.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		maphash.WriteComparable(&h, t)
		_, _ = h.WriteString(string(id)) // never fails
		k[i] = h.Sum64()
	}
	return k
}

// makeRoom removes some entry of a full map; map order is as good as chance.
func makeRoom[K comparable, V any](m map[K]V, max int) {
	if len(m) < max {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// Drop forgets what the events may have changed. It is called before a change
// is acknowledged.
func (p *PollIndex) Drop(events []event.Event) {
	for _, e := range events {
		switch e.Reach {
		case event.NoTarget:
		case event.AnyTarget:
			p.drops.add(0)
			for i := range p.shards {
				s := &p.shards[i]
				s.mu.Lock()
				clear(s.entries)
				s.mu.Unlock()
			}
		default:
			id := fleet.TargetID(e.Reach)
			p.drops.add(id)
			s := &p.shards[id%pollShards]
			s.mu.Lock()
			delete(s.entries, id)
			s.mu.Unlock()
		}
	}
}

// dropLog remembers the newest drops, so that an entry read before a drop is
// not stored after it.
type dropLog struct {
	mu   sync.Mutex
	n    uint64
	ring [4096]fleet.TargetID // 0: all
}

func (d *dropLog) position() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

func (d *dropLog) add(id fleet.TargetID) {
	d.mu.Lock()
	d.ring[d.n%uint64(len(d.ring))] = id
	d.n++
	d.mu.Unlock()
}

// since reports whether the target was dropped after the position, or whether
// that is not known any more.
func (d *dropLog) since(position uint64, id fleet.TargetID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n-position > uint64(len(d.ring)) {
		return true
	}
	for ; position < d.n; position++ {
		if x := d.ring[position%uint64(len(d.ring))]; x == 0 || x == id {
			return true
		}
	}
	return false
}
