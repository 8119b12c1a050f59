package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/otaria/otaria/fault"
)

// Visit is one target's newest check-in.
type Visit struct {
	Target TargetID
	SeenAt int64 // milliseconds
}

// VisitStore saves check-ins.
type VisitStore interface {
	// SaveVisits saves all of them in one transaction. Visits are sorted by
	// target. A target that is gone is left out; an older visit never replaces
	// a newer one.
	SaveVisits(ctx context.Context, visits []Visit) error
}

// Visits gathers check-ins and saves them in one statement a second, each
// target's newest alone. A crash loses at most that second of last-seen times,
// and nothing else. The zero Visits works once Store and Log are set.
type Visits struct {
	Store VisitStore
	Log   *slog.Logger

	flushing sync.Mutex // one flush at a time: what it saves stands in the shards
	shards   [visitShards]visitShard
}

// visitShards spreads the lock; a power of two.
const visitShards = 64

type visitShard struct {
	mu     sync.Mutex
	seen   map[TargetID]int64 // since the last flush
	saving map[TargetID]int64 // being saved, still to be shown
	_      [32]byte           // keeps neighbours' locks off one cache line
}

// maxWaiting bounds what is kept per shard while the database does not take
// anything: beyond it, further targets are not noted until it does.
const maxWaiting = 64 << 10

// Note remembers that the target checked in. It never blocks on the database.
func (v *Visits) Note(id TargetID, now time.Time) {
	s := &v.shards[id%visitShards]
	s.mu.Lock()
	if s.seen == nil {
		s.seen = make(map[TargetID]int64, 64)
	}
	if _, known := s.seen[id]; known || len(s.seen) < maxWaiting {
		s.seen[id] = now.UnixMilli()
	}
	s.mu.Unlock()
}

// SeenAt returns the check-in of the target that is not saved yet, if there is one.
func (v *Visits) SeenAt(id TargetID) (at time.Time, ok bool) {
	s := &v.shards[id%visitShards]
	s.mu.Lock()
	ms, ok := s.seen[id]
	if !ok {
		ms, ok = s.saving[id]
	}
	s.mu.Unlock()
	return time.UnixMilli(ms), ok
}

// saveLast bounds how long the last save may take: whoever stops the server
// does not wait for a database that is gone.
const saveLast = 5 * time.Second

// Run saves once every interval until ctx ends, and then once more. The error
// says that this last time failed. Of the others the log hears, unless the
// database cannot be used, which the store tells itself.
func (v *Visits) Run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := v.Flush(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
				v.Log.Warn("check-ins could not be saved and are kept for the next try", slog.Any("error", err))
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLast)
			defer cancel()
			if err := v.Flush(last); err != nil {
				return fmt.Errorf("the check-ins of the last second are not saved: %w", err)
			}
			return nil
		}
	}
}

// Flush saves what was noted. What cannot be saved is kept.
func (v *Visits) Flush(ctx context.Context) error {
	v.flushing.Lock()
	defer v.flushing.Unlock()
	var all []Visit
	for i := range v.shards {
		s := &v.shards[i]
		s.mu.Lock()
		s.saving, s.seen = s.seen, make(map[TargetID]int64, len(s.seen))
		for id, at := range s.saving {
			all = append(all, Visit{id, at})
		}
		s.mu.Unlock()
	}
	var err error
	if len(all) > 0 {
		slices.SortFunc(all, func(a, b Visit) int { return int(a.Target - b.Target) })
		err = v.Store.SaveVisits(ctx, all)
	}
	for i := range v.shards {
		s := &v.shards[i]
		s.mu.Lock()
		if err != nil {
			for id, at := range s.saving {
				if _, newer := s.seen[id]; !newer && len(s.seen) < maxWaiting {
					s.seen[id] = at
				}
			}
		}
		s.saving = nil
		s.mu.Unlock()
	}
	return err
}
