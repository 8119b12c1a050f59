package rollout

import (
	"context"
	"log/slog"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/tenant"
)

// Busy is one thing that a kind of background work has something to do for.
type Busy[ID ~int64] struct {
	Tenant  tenant.ID
	ID      ID
	Waiting string // what was noted on it
}

// A worker does one kind of background work: it gives each thing that is due a
// share of time, one after the other, while this process has the lease. S is
// what it remembers of a thing between its turns; losing that costs a turn too
// early.
type worker[ID ~int64, S any] struct {
	lease  string
	keeper *lease.Keeper
	every  time.Duration // how long a thing is left alone after its turn, at least
	now    func() time.Time
	log    *slog.Logger
	noun   string // names a thing in the log

	// busy lists the things, the oldest first.
	busy func(context.Context) ([]Busy[ID], error)
	// turn begins the turn of a thing, or its next share.
	turn func(st *S, now time.Time)
	// step does some of the work, and reports whether there is more in this turn.
	step func(ctx context.Context, b Busy[ID], st *S, held *lease.Held) (more bool, err error)
	// rest says how long to leave a thing alone after a turn whose last share took
	// this long.
	rest func(st *S, took time.Duration) time.Duration
	// pause says how long to leave the machine to others between two steps, of which
	// the first took so long.
	pause func(st *S, took time.Duration) time.Duration
	// wait lets so much time pass; nil: by the machine's clock.
	wait func(ctx context.Context, d time.Duration)
	// remark is what people should know of the thing after a turn that did not
	// fail; nil: nothing.
	remark func(st *S) string
	// note records on the thing why its step failed, or a remark.
	note func(ctx context.Context, t tenant.ID, id ID, why string) error

	items map[ID]*item[S]
}

type item[S any] struct {
	state S
	due   time.Time
	noted string
}

// shareOfTime is how long a thing may take steps before the next one has its share.
const shareOfTime = 500 * time.Millisecond

// run works until ctx ends.
func (w *worker[ID, S]) run(ctx context.Context) error {
	w.items = map[ID]*item[S]{}
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-idle.C:
		}
		idle.Reset(w.round(ctx))
	}
}

// round gives each thing that is due its share, and says when to come back.
func (w *worker[ID, S]) round(ctx context.Context) time.Duration {
	busy, err := w.busy(ctx)
	if err != nil || len(busy) == 0 {
		clear(w.items)
		return w.every // whoever serves requests reports a database that is gone
	}
	there := make(map[ID]bool, len(busy))
	next := w.every
	for _, b := range busy {
		there[b.ID] = true
		held, err := w.keeper.Hold(ctx, w.lease)
		if err != nil || held == nil || ctx.Err() != nil {
			clear(w.items)
			return w.every
		}
		if w.share(ctx, b, held) {
			next = 0
		}
	}
	for id := range w.items {
		if !there[id] {
			delete(w.items, id)
		}
	}
	for _, it := range w.items {
		next = min(next, max(it.due.Sub(w.now()), 0))
	}
	return next
}

// share lets one thing take steps, and reports whether it has more to do.
func (w *worker[ID, S]) share(ctx context.Context, b Busy[ID], held *lease.Held) (more bool) {
	it := w.items[b.ID]
	if it == nil {
		it = &item[S]{noted: b.Waiting}
		w.items[b.ID] = it
	}
	now := w.now()
	if now.Before(it.due) {
		return false
	}
	w.turn(&it.state, now)
	ctx = caller.With(ctx, caller.Caller{Tenant: b.Tenant, User: caller.System})
	for {
		began := w.now()
		more, err := w.step(ctx, b, &it.state, held)
		end := w.now()
		switch {
		case err != nil:
			w.failed(ctx, b, it, err)
			more = false
		case !more || w.remark == nil:
			why := ""
			if w.remark != nil {
				why = w.remark(&it.state)
			}
			w.say(ctx, b, it, why)
		}
		if !more {
			it.due = end.Add(max(w.every, w.rest(&it.state, end.Sub(now))))
			return false
		}
		if w.pause != nil {
			w.breathe(ctx, w.pause(&it.state, end.Sub(began)))
		}
		if w.now().Sub(now) > shareOfTime || ctx.Err() != nil {
			return true
		}
	}
}

// breathe lets time pass, until ctx ends.
func (w *worker[ID, S]) breathe(ctx context.Context, d time.Duration) {
	switch {
	case d <= 0:
		return
	case w.wait != nil:
		w.wait(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// failed notes on the thing why it does not go on. It is tried again.
func (w *worker[ID, S]) failed(ctx context.Context, b Busy[ID], it *item[S], err error) {
	if lease.Lost(err) {
		w.keeper.Lose(w.lease)
		return
	}
	if ctx.Err() != nil || fault.Is(err, fault.Unavailable) {
		return // said elsewhere
	}
	why := "A fault of the server keeps it from going on; its log says more."
	if m := fault.Message(err); m != "" {
		why = m
	}
	if it.noted != why {
		w.log.WarnContext(ctx, w.noun+" does not go on; it is tried again", slog.Int64("id", int64(b.ID)), slog.Any("error", err))
	}
	w.say(ctx, b, it, why)
}

// say notes on the thing what people should know of it.
func (w *worker[ID, S]) say(ctx context.Context, b Busy[ID], it *item[S], why string) {
	if it.noted == why {
		return
	}
	if err := w.note(ctx, b.Tenant, b.ID, why); err != nil {
		if ctx.Err() == nil {
			w.log.WarnContext(ctx, "what "+w.noun+" waits for cannot be noted", slog.Int64("id", int64(b.ID)), slog.Any("error", err))
		}
		return
	}
	it.noted = why
}
