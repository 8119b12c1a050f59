package deployment

import (
	"context"
	"hash/maphash"
	"math"
	"math/rand/v2"
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
// makes the target's entry void before the change is acknowledged; changes of
// other processes arrive through the event table, and when that could not be
// read for a second, nothing in the index is used and every poll goes to the
// store.
type PollIndex struct {
	store PollStore
	now   func() time.Time

	// trusted is how long after began entries may be used. Counted from began, so
	// that a clock that is set back does not lengthen it.
	began   time.Time
	trusted atomic.Int64

	seeds  [2]maphash.Seed
	drops  drops
	shards []pollShard
}

// pollShards spreads the lock; a power of two.
const pollShards = 256

// NewPollIndex returns an empty index that holds about max entries, each of
// some 110 bytes once its device has polled. Until Trust is called it uses none
// of them.
func NewPollIndex(s PollStore, max int, now func() time.Time) *PollIndex {
	p := &PollIndex{store: s, now: now, began: now(), shards: make([]pollShard, pollShards)}
	p.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for i := range p.shards {
		p.shards[i].max = max/pollShards + 1
	}
	return p
}

// Trust lets entries be used until the moment. Whoever follows the events of
// other processes calls it after each look.
func (p *PollIndex) Trust(until time.Time) { p.trusted.Store(int64(until.Sub(p.began))) }

// TrustAlways is for a process that is alone with its database.
func (p *PollIndex) TrustAlways() { p.trusted.Store(math.MaxInt64) }

// Known returns the target's standing if it is in the index. Such a target's
// action has no window.
func (p *PollIndex) Known(t tenant.ID, id fleet.ControllerID) (Standing, bool) {
	return p.known(p.key(t, id))
}

func (p *PollIndex) known(k nameKey) (st Standing, ok bool) {
	if until := p.trusted.Load(); until != math.MaxInt64 && int64(p.now().Sub(p.began)) >= until {
		return st, false
	}
	s := &p.shards[k[0]%pollShards]
	s.mu.RLock()
	e := s.find(k)
	if e == nil {
		s.mu.RUnlock()
		return st, false
	}
	st, readAt := e.standing, e.readAt
	s.mu.RUnlock()
	return st, !p.drops.since(readAt, st.Target)
}

// Lookup returns the target's standing and the window of its action, or
// fault.NotFound.
func (p *PollIndex) Lookup(ctx context.Context, t *tenant.Tenant, id fleet.ControllerID) (Standing, Window, error) {
	k := p.key(t.ID, id)
	if st, ok := p.known(k); ok {
		return st, Window{}, nil
	}
	before := p.drops.position()
	pace := paceOf(t, p.now())
	st, w, err := p.store.Standing(ctx, t.ID, id, pace)
	if err != nil || st.Volatile || pace.volatile() {
		return st, w, err
	}
	// If it was dropped meanwhile the entry is void from the start.
	s := &p.shards[k[0]%pollShards]
	s.mu.Lock()
	s.put(entry{key: k, readAt: before, standing: st})
	s.mu.Unlock()
	return st, w, nil
}

// Drop makes void what the events may have changed. It is called before a
// change is acknowledged.
func (p *PollIndex) Drop(events []event.Event) {
	for _, e := range events {
		switch e.Reach {
		case event.NoTarget:
		case event.AnyTarget:
			p.drops.addAll()
		default:
			p.drops.add(fleet.TargetID(e.Reach))
		}
	}
}

// nameKey is a fingerprint of tenant and controller id under two secret seeds,
// so that nobody can make two of them meet.
type nameKey [2]uint64

func (p *PollIndex) key(t tenant.ID, id fleet.ControllerID) nameKey {
	const odd = 0x9e3779b97f4a7c15 // tells the same id of two tenants apart
	return nameKey{
		maphash.String(p.seeds[0], string(id)) ^ uint64(t)*odd,
		maphash.String(p.seeds[1], string(id)) ^ uint64(t)*odd,
	}
}

// drops knows when each target was dropped last, counted in drops. A standing
// that was read before is void. Targets whose ids are a multiple of dropSlots
// apart are dropped together.
type drops struct {
	count atomic.Uint64
	all   atomic.Uint64            // when all targets were dropped
	last  [dropSlots]atomic.Uint64 // memory only where there are targets, as ids are given in order
}

const dropSlots = 1 << 20

// position is now, to be taken before reading what a drop may make void.
func (d *drops) position() uint64 { return d.count.Load() }

func (d *drops) add(id fleet.TargetID) { raise(&d.last[uint64(id)%dropSlots], d.count.Add(1)) }
func (d *drops) addAll()               { raise(&d.all, d.count.Add(1)) }

// since reports whether the target was dropped after the position.
func (d *drops) since(position uint64, id fleet.TargetID) bool {
	return d.last[uint64(id)%dropSlots].Load() > position || d.all.Load() > position
}

// raise makes v at least n.
func raise(v *atomic.Uint64, n uint64) {
	for {
		if old := v.Load(); old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// An entry is what one target heard, as of a position in the drops. It holds no
// pointers, so that a million of them cost the garbage collector nothing.
type entry struct {
	key      nameKey
	readAt   uint64
	standing Standing
}

// A pollShard is a hash table that only ever grows to its bound. A map would
// take half as much memory again.
type pollShard struct {
	mu     sync.RWMutex
	max    int
	used   int
	slots  []uint32 // open addressing, at most half full: the number of an entry plus one, or 0
	blocks [][]entry
}

// blockSize is how many entries are allocated at once.
const blockSize = 64

func (s *pollShard) entry(n uint32) *entry { return &s.blocks[n/blockSize][n%blockSize] }

// slot returns where the key's entry is, or would be.
func (s *pollShard) slot(k nameKey) int {
	i := int(k[1] % uint64(len(s.slots)))
	for s.slots[i] != 0 && s.entry(s.slots[i]-1).key != k {
		i = (i + 1) % len(s.slots)
	}
	return i
}

// find returns the key's entry, or nil.
func (s *pollShard) find(k nameKey) *entry {
	if s.used == 0 {
		return nil
	}
	if n := s.slots[s.slot(k)]; n != 0 {
		return s.entry(n - 1)
	}
	return nil
}

// put keeps the entry in place of an older one of its key, and, if the shard is
// full, in place of any other.
func (s *pollShard) put(e entry) {
	if old := s.find(e.key); old != nil {
		*old = e
		return
	}
	n := uint32(s.used)
	if s.used < s.max {
		s.grow()
		s.used++
	} else {
		n = rand.Uint32N(uint32(s.used)) //nolint:gosec // any will do
		s.unlink(s.slot(s.entry(n).key))
	}
	s.slots[s.slot(e.key)] = n + 1
	*s.entry(n) = e
}

// grow makes room for one more entry.
func (s *pollShard) grow() {
	if s.used == len(s.blocks)*blockSize {
		s.blocks = append(s.blocks, make([]entry, blockSize))
	}
	if 2*(s.used+1) <= len(s.slots) {
		return
	}
	s.slots = make([]uint32, max(16, 2*len(s.slots)))
	for n := range uint32(s.used) {
		s.slots[s.slot(s.entry(n).key)] = n + 1
	}
}

// unlink frees a slot and moves those behind it up, so that each stays within
// reach of where its search begins.
func (s *pollShard) unlink(free int) {
	size := len(s.slots)
	for i := (free + 1) % size; s.slots[i] != 0; i = (i + 1) % size {
		begins := int(s.entry(s.slots[i] - 1).key[1] % uint64(size))
		if (i-begins+size)%size >= (i-free+size)%size {
			s.slots[free], free = s.slots[i], i
		}
	}
	s.slots[free] = 0
}
