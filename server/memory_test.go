package server

import "testing"

func TestHeapPercent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		live  uint64
		usual int
		want  int
	}{
		{0, 100, 100},
		{10 << 20, 100, 100}, // the runtime leaves less by itself
		{10 << 20, 400, 240},
		{48 << 20, 100, 50},
		{100 << 20, 100, 20},
		{1 << 40, 100, leastPercent},
		{100 << 20, 5, 5},
		{100 << 20, -1, -1},
	} {
		if got := heapPercent(test.live, test.usual); got != test.want {
			t.Errorf("%d MiB live, GOGC=%d: %d, want %d", test.live>>20, test.usual, got, test.want)
		}
	}
}
