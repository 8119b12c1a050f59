package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A large heap is nearly all poll index, which holds no pointers: collecting
// garbage costs as much as in a small one, and room to grow by as much again, which
// is what the runtime leaves, costs a lot of memory. So a heap gets this much room
// between two collections, and no more than the runtime would leave it.
const (
	heapRoom = 24 << 20
	// leastPercent keeps the room of a very large heap from being used up before it
	// is noticed that the heap has grown.
	leastPercent = 10
)

// heapPercent is by how much a heap of so many live bytes may grow, where usual is
// what holds for a small one.
func heapPercent(live uint64, usual int) int {
	if usual < 0 { // no collections at all
		return usual
	}
	percent := 100 * heapRoom / max(live, 1)
	percent -= percent % leastPercent // changing it stops everything for a moment
	return min(usual, max(leastPercent, int(min(percent, 1<<20))))
}

// watchHeap bounds the room of the heap until ctx ends. What GOGC says is the
// most, in percent.
func watchHeap(ctx context.Context) error {
	usual := debug.SetGCPercent(100)
	debug.SetGCPercent(usual)
	defer debug.SetGCPercent(usual)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := usual
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(live)
		if want := heapPercent(live[0].Value.Uint64(), usual); want != now {
			debug.SetGCPercent(want)
			now = want
		}
	}
}
