package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A large heap is nearly all poll index, which holds no pointers: collecting it
// often costs next to nothing, and room to grow by as much again costs a lot of
// memory. A small one is left as it is.
const (
	largeHeap        = 64 << 20
	largeHeapPercent = 40
)

// watchHeap lowers how much a large heap may grow between two collections,
// until ctx ends. What GOGC says holds for a small one, and for every one if it
// is less.
func watchHeap(ctx context.Context) error {
	usual := debug.SetGCPercent(largeHeapPercent)
	debug.SetGCPercent(usual)
	if usual < largeHeapPercent {
		return nil
	}
	defer debug.SetGCPercent(usual)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := usual
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(live)
		want := usual
		if live[0].Value.Uint64() > largeHeap {
			want = largeHeapPercent
		}
		if want != now {
			debug.SetGCPercent(want)
			now = want
		}
	}
}
