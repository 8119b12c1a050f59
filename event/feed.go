package event

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/tenant"
)

// An Entry is an event as it is read, in its place in the order.
type Entry struct {
	Event
	Position Position

	// What Store.Describe found about it, as far as it is still there. It never
	// changes for as long as the thing is there, so it does not matter when it is
	// looked up.
	Target  string // the controller id of the target that it happened to
	Set     int64  // of an action: what it installs
	Rollout int64  // of an action: what made it, or 0
}

// A Page is a part of the order of events, without holes.
type Page struct {
	Entries []Entry
	End     Position // all events up to here have been read
	Full    bool     // there may be more behind End
	Forgot  Position // events up to here are not kept any more
}

// Store reads events. All calls see events in one order, into which no event
// comes at a place that was read before.
type Store interface {
	// EventsAfter returns the events behind the position, limit at most. With a
	// limit of 0 it tells where the order ends at present.
	EventsAfter(ctx context.Context, after Position, limit int) (Page, error)

	// Describe fills in what Entry has besides the event, for all at once.
	Describe(ctx context.Context, list []Entry) error
}

// Feed lets many read the events of one process's database: it reads what
// happens once for all of them, and keeps the newest in memory. Who is behind
// what is kept reads from the database at a pace of their own, until they have
// caught up. Nobody waits for anybody.
//
// A reader sees each event that it wants in the order, each once. A reader that
// begins anew at a position may see events behind it a second time.
type Feed struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time

	// Shared says that other processes record events, too: those are looked for
	// every quarter of a second. The events of this process wake the feed (Wake).
	Shared bool

	// MaxReaders bounds the readers of all tenants, MaxPerTenant those of one; 0: no bound.
	MaxReaders, MaxPerTenant int

	wake    chan struct{} // has room for one; made by start
	started sync.Once
	readers atomic.Int64

	mu        sync.Mutex
	perTenant map[tenant.ID]int
	closed    bool
	live      bool     // recent is kept up to date
	era       int      // how often the order began anew, because the database is another one
	from, end Position // recent holds what is between them
	recent    []Entry  // nobody changes it but by adding, so that parts of it may be handed out
	more      chan struct{}
}

const (
	// keepRecent is how many events are kept in memory, of some 200 bytes each;
	// up to twice as many for a moment.
	keepRecent = 8192

	pageSize   = 500                    // events read at once
	lookEvery  = 250 * time.Millisecond // for events of other processes
	alone      = 5 * time.Second        // likewise where there are none; in case a wake-up is missed
	breath     = 20 * time.Millisecond  // between two readings, so that thousands of changes a second are some tens of queries
	retryAfter = time.Second            // when the database cannot be read
)

// ErrClosed is what readers get when the feed is closed.
var ErrClosed = errors.New("the feed of events is closed")

// start makes what the zero Feed lacks.
func (f *Feed) start() {
	f.started.Do(func() {
		f.wake = make(chan struct{}, 1)
		f.mu.Lock()
		f.perTenant, f.more = map[tenant.ID]int{}, make(chan struct{})
		f.mu.Unlock()
	})
}

// Wake tells that something was recorded. It returns at once.
func (f *Feed) Wake() {
	if f.readers.Load() == 0 {
		return // nobody is here to hear of it
	}
	f.start()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Close ends all readers with ErrClosed, for good.
func (f *Feed) Close() {
	f.start()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.announce()
}

// announce wakes the readers that wait. The caller holds the lock.
func (f *Feed) announce() {
	close(f.more)
	f.more = make(chan struct{})
}

// Run reads what happens, while there are readers, until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	f.start()
	every := alone
	if f.Shared {
		every = lookEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.wake:
		}
		if f.readers.Load() == 0 {
			f.rest()
			continue
		}
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) { // that is told elsewhere
			f.Log.WarnContext(ctx, "events cannot be read; their readers wait", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(breath):
		}
	}
}

// rest keeps nothing, until the next reader comes.
func (f *Feed) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers.Load() == 0 { // a reader is admitted under the lock
		f.live, f.recent = false, nil
	}
}

// catchUp reads what happened since the last time.
func (f *Feed) catchUp(ctx context.Context) error {
	f.mu.Lock()
	live, end := f.live, f.end
	f.mu.Unlock()
	if !live {
		return nil // the first reader is still opening
	}
	for {
		p, err := f.Store.EventsAfter(ctx, end, pageSize)
		if err != nil {
			return err
		}
		switch {
		case p.End.Compare(end) < 0: // the order ends before what we have read of it
			f.begin(p.End, true)
			return nil
		case p.Forgot.Compare(end) > 0: // forgotten before we read it; who has not read it will find out
			f.begin(p.End, false)
			return nil
		}
		if err := f.Store.Describe(ctx, p.Entries); err != nil {
			return err
		}
		f.add(p)
		end = p.End
		if !p.Full {
			return nil
		}
	}
}

// begin keeps what happens behind the position.
func (f *Feed) begin(at Position, anew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live, f.from, f.end, f.recent = true, at, at, nil
	if anew {
		f.era++
	}
	f.announce()
}

func (f *Feed) add(p Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := p.End != f.end
	f.end = p.End
	if len(f.recent)+len(p.Entries) > 2*keepRecent {
		f.recent = slices.Clone(f.recent[max(0, len(f.recent)-keepRecent):])
	}
	f.recent = append(f.recent, p.Entries...)
	if drop := len(f.recent) - keepRecent; drop > 0 {
		f.from = f.recent[drop-1].Position
		f.recent = f.recent[drop:]
	}
	if moved {
		f.announce()
	}
}

// A Reader reads the events of one tenant. One goroutine uses it.
type Reader struct {
	feed   *Feed
	tenant tenant.ID
	wants  func(Kind) bool
	at     Position
	era    int
	lost   bool // tell of a gap first
	asked  Position
}

// A Batch is what a reader gets at once.
type Batch struct {
	Entries []Entry
	End     Position // where to begin anew to get what follows

	// Gap says that events between Asked and End are not kept any more, or that
	// the database is another one than that of Asked. Entries is empty then.
	Gap   bool
	Asked Position
}

// Open returns a reader of the tenant's events of the kinds that it wants, from
// behind the position, or if it is nil, of what happens from now on. Close must
// be called. fault.Quota when there are too many readers.
func (f *Feed) Open(ctx context.Context, t tenant.ID, after *Position, wants func(Kind) bool) (*Reader, error) {
	f.start()
	if err := f.admit(t); err != nil {
		return nil, err
	}
	r := &Reader{feed: f, tenant: t, wants: wants}
	p, err := f.Store.EventsAfter(ctx, Position{}, 0)
	if err != nil {
		f.leave(t)
		return nil, err
	}
	f.mu.Lock()
	if !f.live { // what happens from now on is kept for all who come
		f.live, f.from, f.end, f.recent = true, p.End, p.End, nil
	}
	r.era = f.era
	f.mu.Unlock()
	r.at = p.End
	if after != nil {
		if after.Compare(p.End) > 0 {
			r.lost, r.asked = true, *after
		} else {
			r.at = *after
		}
	}
	f.Wake()
	return r, nil
}

func (f *Feed) admit(t tenant.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return fault.New(fault.Unavailable, "The server is stopping.")
	case f.MaxReaders > 0 && int(f.readers.Load()) >= f.MaxReaders:
		return fault.New(fault.Quota, "This server has %d streams of events open, which is its limit: close some, or ask another server.", f.MaxReaders)
	case f.MaxPerTenant > 0 && f.perTenant[t] >= f.MaxPerTenant:
		return fault.New(fault.Quota, "The tenant has %d streams of events open on this server, which is the limit: close some, or let one program read and tell the others.", f.MaxPerTenant)
	}
	f.perTenant[t]++
	f.readers.Add(1)
	return nil
}

func (f *Feed) leave(t tenant.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.perTenant[t]--; f.perTenant[t] == 0 {
		delete(f.perTenant, t)
	}
	f.readers.Add(-1)
}

// Place returns where the reader is, unless it is to hear of a gap first.
func (r *Reader) Place() (at Position, ok bool) { return r.at, !r.lost }

// Close ends the reader.
func (r *Reader) Close() { r.feed.leave(r.tenant) }

// Next returns what follows, at once if there is something, or nothing after the
// time. It returns ErrClosed when the feed is closed, and ctx's error when that
// ends. While the database cannot be read it waits.
func (r *Reader) Next(ctx context.Context, wait time.Duration) (Batch, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		b, more, ok, err := r.remembered()
		if err != nil || ok {
			return b, err
		}
		again := time.Duration(0) // until the next try, if nothing is announced
		if more == nil {          // further back than what is remembered
			b, full, err := r.page(ctx)
			switch {
			case err == nil && (b.Gap || len(b.Entries) > 0):
				return b, nil
			case err == nil && full:
				again = time.Nanosecond
			case err == nil:
				again = lookEvery
			case ctx.Err() == nil && fault.Is(err, fault.Unavailable):
				again = retryAfter
			default:
				return b, err
			}
			more = r.feed.announced()
		}
		var retry <-chan time.Time
		if again > 0 {
			retry = time.After(again)
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-deadline.C:
			return Batch{End: r.at}, nil
		case <-more:
		case <-retry:
		}
	}
}

// Rest returns what follows without waiting for more, straight from the
// database: a batch, and whether it is the last.
func (r *Reader) Rest(ctx context.Context) (b Batch, last bool, err error) {
	if r.lost {
		return r.gap(r.asked, r.at), false, nil
	}
	b, full, err := r.page(ctx)
	return b, !full && !b.Gap, err
}

func (f *Feed) announced() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.more
}

func (r *Reader) gap(asked, at Position) Batch {
	r.lost, r.at = false, at
	return Batch{Gap: true, Asked: asked, End: at}
}

// remembered takes what follows from memory. Without a batch, more is closed
// when there may be one; nil if what follows is not in memory.
func (r *Reader) remembered() (b Batch, more <-chan struct{}, ok bool, err error) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return b, nil, false, ErrClosed
	case r.lost:
		return r.gap(r.asked, r.at), nil, true, nil
	case r.era != f.era:
		r.era = f.era
		return r.gap(r.at, f.from), nil, true, nil
	case !f.live || r.at.Compare(f.from) < 0:
		return b, nil, false, nil
	}
	first, _ := slices.BinarySearchFunc(f.recent, r.at, func(e Entry, at Position) int {
		if e.Position.Compare(at) <= 0 {
			return -1
		}
		return 1
	})
	for i := first; i < len(f.recent) && len(b.Entries) < pageSize; i++ {
		e := &f.recent[i]
		r.at = e.Position
		if e.Tenant == r.tenant && r.wants(e.Kind) {
			b.Entries = append(b.Entries, *e)
		}
	}
	if len(b.Entries) < pageSize && r.at.Compare(f.end) < 0 {
		r.at = f.end
	}
	b.End = r.at
	return b, f.more, len(b.Entries) > 0, nil
}

// page takes what follows from the database.
func (r *Reader) page(ctx context.Context) (b Batch, full bool, err error) {
	p, err := r.feed.Store.EventsAfter(ctx, r.at, pageSize)
	if err != nil {
		return b, false, err
	}
	if p.Forgot.Compare(r.at) > 0 {
		return r.gap(r.at, p.Forgot), true, nil
	}
	for _, e := range p.Entries {
		if e.Tenant == r.tenant && r.wants(e.Kind) {
			b.Entries = append(b.Entries, e)
		}
	}
	if err := r.feed.Store.Describe(ctx, b.Entries); err != nil {
		return Batch{}, false, err
	}
	if p.End.Compare(r.at) > 0 {
		r.at = p.End
	}
	b.End = r.at
	return b, p.Full, nil
}
