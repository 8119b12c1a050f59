package simulator

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Each power of two of nanoseconds is divided into 2^precision buckets, so
// that a quantile is off by less than two percent.
const (
	precision = 6
	buckets   = (64 - precision) << precision
)

// A Histogram counts durations. Any number of goroutines may record at once.
// The zero value is empty.
type Histogram struct {
	counts  [buckets]atomic.Int64
	longest atomic.Int64
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))].Add(1)
	for {
		longest := h.longest.Load()
		if int64(d) <= longest || h.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
	h.longest.Store(0)
}

// Count tells how many durations were recorded.
func (h *Histogram) Count() int64 {
	var n int64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Max is the longest duration.
func (h *Histogram) Max() time.Duration { return time.Duration(h.longest.Load()) }

// Quantile returns a duration that the share q of all durations does not
// exceed, within two percent: Quantile(0.99) is p99. It is zero when there are
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(q * float64(h.Count()))
	var seen int64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen > rank {
			return min(time.Duration(lowest(i+1)-1), h.Max())
		}
	}
	return h.Max()
}

// bucket returns the index of the bucket that holds n.
func bucket(n uint64) int {
	shift := max(bits.Len64(n)-precision-1, 0)
	return shift<<precision + int(n>>shift)
}

// lowest returns the smallest number that falls into a bucket.
func lowest(i int) uint64 {
	shift := max(i>>precision-1, 0)
	return uint64(i-shift<<precision) << shift
}
