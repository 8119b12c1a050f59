package simulator_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/otaria/otaria/simulator"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	var h simulator.Histogram
	all := make([]time.Duration, 20_000)
	for i := range all {
		all[i] = time.Duration(math.Exp(random.Float64()*25)) - 1 // from nothing to two minutes
		h.Record(all[i])
	}
	slices.Sort(all)
	if h.Count() != int64(len(all)) || h.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %s; want %d, %s", h.Count(), h.Max(), len(all), all[len(all)-1])
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.Quantile(q); float64(got) < float64(want) || float64(got) > float64(want)*1.02+1 {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	h.Reset()
	if h.Count() != 0 || h.Max() != 0 || h.Quantile(0.5) != 0 {
		t.Error("something is left after a reset")
	}
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 63, 64, 65, 127, 128, math.MaxInt64 - 1, math.MaxInt64} {
		var h simulator.Histogram
		h.Record(d)
		if got := h.Quantile(0.5); got != max(d, 0) {
			t.Errorf("%d is told as %d", d, got)
		}
	}
}
