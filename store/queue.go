package store

import (
	"context"
	"slices"
	"sync"

	"github.com/otaria/otaria/fault"
)

// A queue carries out changes of one sort that come at the same time in one
// transaction: each statement reads or writes what all of them need, and the
// disk is waited for once. A change waits for nobody while a worker is idle.
//
// No two changes that have a key in common are under way at a time, so that
// each sees what the last one left.
type queue[K comparable, C queued[K]] struct {
	db *DB

	// change makes the changes. Each knows afterwards what its own rules said
	// against it; what change returns befalls all.
	change func(*Tx, context.Context, []C) error

	mu      sync.Mutex
	waiting []C            // in the order they came
	busy    map[K]struct{} // what the batches under way are about
	workers int            // that run
}

// queued is a change in a queue: a pointer to what embeds a call.
type queued[K comparable] interface {
	comparable
	self() *call

	// keys are what the change is about.
	keys() []K

	// reset forgets what became of the change, before it is tried again.
	reset()
}

// A call is the part of a change in which its caller hears what became of it.
type call struct {
	ctx      context.Context //nolint:containedctx // of the caller, who may leave before its turn
	done     chan struct{}
	err      error
	panicked any
}

func (c *call) self() *call { return c }

func (c *call) reset() { c.err, c.panicked = nil, nil }

// left reports whether the caller has left, who hears so.
func (c *call) left() bool {
	c.err = c.ctx.Err()
	return c.err != nil
}

const (
	// queueWorkers is how many batches of a queue are under way at most: one
	// computes while another waits for the disk.
	queueWorkers = 2

	// maxBatch bounds a batch, so that the first in it does not wait for long.
	maxBatch = 256
)

func newQueue[K comparable, C queued[K]](db *DB, change func(*Tx, context.Context, []C) error) *queue[K, C] {
	return &queue[K, C]{db: db, change: change, busy: map[K]struct{}{}}
}

// do makes the change and returns once it is on disk, or undone. It panics when
// the change did.
func (q *queue[K, C]) do(ctx context.Context, c C) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mine := c.self()
	mine.ctx, mine.done = ctx, make(chan struct{})
	if q.add(c) {
		if next := q.next(q.carry([]C{c})); len(next) > 0 {
			go q.work(next)
		}
	} else {
		ctx, cancel := q.db.patient(ctx)
		defer cancel()
		select {
		case <-mine.done:
		case <-ctx.Done():
			if q.withdraw(c) {
				return q.db.fault(errPatience(ctx, ctx.Err()))
			}
			<-mine.done // it is under way
		}
	}
	if mine.panicked != nil {
		panic(mine.panicked)
	}
	return mine.err
}

// add reports whether the change is its caller's to carry out, as the first of a
// batch, since nobody else is there. Otherwise a worker will take it.
func (q *queue[K, C]) add(c C) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	idle := q.workers < queueWorkers
	if idle {
		q.workers++
	}
	if idle && len(q.waiting) == 0 && q.claim(c) {
		return true
	}
	q.waiting = append(q.waiting, c)
	if idle {
		go func() { q.work(q.next(nil)) }()
	}
	return false
}

// withdraw takes the change out of the queue, if it is still there.
func (q *queue[K, C]) withdraw(c C) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// work carries out batch after batch until nothing waits that it may take. What
// waits for a key of another worker's batch is taken by that worker.
func (q *queue[K, C]) work(batch []C) {
	for len(batch) > 0 {
		batch = q.next(q.carry(batch))
	}
}

// carry runs the batch, and what joins it, and tells their callers.
func (q *queue[K, C]) carry(batch []C) []C {
	batch = q.run(batch)
	for _, c := range batch {
		close(c.self().done)
	}
	return batch
}

// next releases what the last batch held and takes the next one.
func (q *queue[K, C]) next(last []C) (batch []C) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range last {
		for _, k := range c.keys() {
			delete(q.busy, k)
		}
	}
	if batch = q.take(nil); len(batch) == 0 {
		q.workers--
	}
	return batch
}

// more adds to a batch what has come since it was taken.
func (q *queue[K, C]) more(batch []C) []C {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take(batch)
}

// take adds to the batch what waits and may run now. The caller holds the lock.
func (q *queue[K, C]) take(batch []C) []C {
	var left []C
	for i, c := range q.waiting {
		if len(batch) == maxBatch {
			left = append(left, q.waiting[i:]...)
			break
		}
		if q.claim(c) {
			batch = append(batch, c)
		} else {
			left = append(left, c)
		}
	}
	q.waiting = left
	return batch
}

// claim reports whether the change may run now, and notes that it does.
func (q *queue[K, C]) claim(c C) bool {
	keys := c.keys()
	for _, k := range keys {
		if _, held := q.busy[k]; held {
			return false
		}
	}
	for _, k := range keys {
		q.busy[k] = struct{}{}
	}
	return true
}

// run carries the batch out, with what has come when its transaction begins,
// and returns all that. When the fault may be that of one of them, each is tried
// alone.
func (q *queue[K, C]) run(batch []C) []C {
	batch, err := q.attempt(batch, q.more)
	if err == nil || len(batch) == 1 || fault.Is(err, fault.Unavailable) {
		return batch
	}
	for i := range batch {
		if _, err := q.attempt(batch[i:i+1], nil); fault.Is(err, fault.Unavailable) {
			for _, c := range batch[i+1:] {
				c.reset()
				c.self().err = err
			}
			break
		}
	}
	return batch
}

// attempt carries the batch out in one transaction, with what more, if it is not
// nil, adds to it once that has begun. It returns all that, and why it failed.
// Each change knows how it went, then: what its own rules said against it, or
// else what befell the transaction.
func (q *queue[K, C]) attempt(first []C, more func([]C) []C) (batch []C, err error) {
	batch = first
	reset := func() {
		for _, c := range batch {
			c.reset()
		}
	}
	reset()
	ctx := context.Background() // no caller's: they all share the outcome
	defer func() {
		p := recover() // of the store itself; each caller hears of it as if it were alone
		for _, c := range batch {
			if mine := c.self(); mine.err == nil && mine.panicked == nil {
				mine.err, mine.panicked = err, p
			}
		}
	}()
	err = q.db.updateKeyed(ctx, func(tx *Tx) error {
		if more != nil {
			batch, more = more(batch), nil
		}
		reset() // of an earlier run
		return q.change(tx, ctx, batch)
	})
	return batch, err
}
