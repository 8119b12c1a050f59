package simulator

import (
	"context"
	"sync"
	"time"
)

// An agenda says which device has its turn. It is a timer wheel: a ring of
// lists, one for each millisecond, linked through the devices' numbers. A turn
// beyond one round of the ring stays in its list until its round has come. All
// operations take the same time however many devices there are.
type agenda struct {
	start time.Time

	mu     sync.Mutex
	more   sync.Cond
	done   bool
	passed time.Duration   // since start: turns up to then are ready
	now    uint32          // the same in milliseconds
	ring   [ringSize]int32 // first device of each list, or none
	turns  []turn          // one for each device
	ready  struct{ first, last int32 }
}

// A turn is a device's place in the agenda.
type turn struct {
	next int32  // the next device in the same list, or none
	due  uint32 // milliseconds since start, which wrap after 49 days
}

const (
	ringSize = 1 << 15
	none     = -1

	// longest is how far ahead a turn may lie, so that wrapped times compare.
	longest = 20 * 24 * time.Hour
)

func newAgenda(devices int, start time.Time) *agenda {
	a := &agenda{start: start, turns: make([]turn, devices)}
	a.more.L = &a.mu
	for i := range a.ring {
		a.ring[i] = none
	}
	a.ready.first, a.ready.last = none, none
	return a
}

// run moves turns from the ring to the ready list as time goes by, until ctx
// is done. Then nobody waits in take any more.
func (a *agenda) run(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.mu.Lock()
			a.done = true
			a.mu.Unlock()
			a.more.Broadcast()
			return
		case t := <-tick.C:
			a.advance(t.Sub(a.start))
		}
	}
}

// advance makes ready what is due when passed has gone by since the start.
func (a *agenda) advance(passed time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.passed = passed.Truncate(time.Millisecond)
	to := uint32(a.passed / time.Millisecond)
	moved := 0
	for steps := 0; a.now != to && steps < ringSize; steps++ { // a longer pause than a round sees each list once
		a.now++
		moved += a.expire(a.now%ringSize, to)
	}
	a.now = to
	for range moved {
		a.more.Signal()
	}
}

// expire moves from one list what is due by then.
func (a *agenda) expire(slot, by uint32) (moved int) {
	i := a.ring[slot]
	a.ring[slot] = none
	for i != none {
		next := a.turns[i].next
		if int32(a.turns[i].due-by) <= 0 {
			a.append(i)
			moved++
		} else {
			a.turns[i].next, a.ring[slot] = a.ring[slot], i
		}
		i = next
	}
	return moved
}

func (a *agenda) append(i int32) {
	a.turns[i].next = none
	if a.ready.last == none {
		a.ready.first = i
	} else {
		a.turns[a.ready.last].next = i
	}
	a.ready.last = i
}

// put gives a device its next turn. A device has one turn at most: it must not
// be in the agenda already.
func (a *agenda) put(i int32, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait := min(at.Sub(a.start)-a.passed, longest)
	a.turns[i].due = a.now + uint32(max(wait, 0)/time.Millisecond)
	if a.turns[i].due == a.now {
		a.append(i)
		a.more.Signal()
		return
	}
	slot := a.turns[i].due % ringSize
	a.turns[i].next, a.ring[slot] = a.ring[slot], i
}

// take waits until a device has its turn, and returns it and for how long its
// turn has been due. It returns false when the agenda has ended.
func (a *agenda) take() (i int32, late time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.ready.first == none && !a.done {
		a.more.Wait()
	}
	if a.done {
		return none, 0, false
	}
	i = a.ready.first
	a.ready.first = a.turns[i].next
	if a.ready.first == none {
		a.ready.last = none
	}
	return i, time.Duration(a.now-a.turns[i].due) * time.Millisecond, true
}
