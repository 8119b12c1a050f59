package rollout

import (
	"math"
	"math/bits"

	"github.com/otaria/otaria/fault"
)

// A share is a group's claim on the targets that match its filter.
type share struct {
	filter     string
	percentage float32 // of all that match, not of what is left
}

// ofRest turns each share's percentage into one of what the earlier shares of
// the same filter leave (update-domain 4.2): 20, 30, 50 become 20, 37.5, 100. All
// in single precision, as clients know the outcome.
func ofRest(shares []share) []float32 {
	out := make([]float32, len(shares))
	left := map[string]float32{}
	for i, s := range shares {
		rest, seen := left[s.filter]
		if !seen {
			rest = 100
		}
		switch {
		case rest <= 1:
			out[i] = 100
		default:
			out[i] = min(s.percentage/rest*100, 100)
		}
		left[s.filter] = rest - s.percentage
	}
	return out
}

// portion is so many percent of n, rounded half up.
func portion(percent float32, n int64) int64 {
	return min(int64(math.Floor(float64(percent)/100*float64(n)+0.5)), n)
}

// split says how many of total targets each share gets when all have the same
// filter, and how many are left over.
func split(shares []share, total int64) (sizes []int64, rest int64) {
	sizes, rest = make([]int64, len(shares)), total
	for i, percent := range ofRest(shares) {
		sizes[i] = portion(percent, rest)
		rest -= sizes[i]
	}
	return sizes, rest
}

// A Pool is the targets that match a rollout, by their place in the order in
// which groups take them.
type Pool struct {
	ids   []int64
	taken []uint64 // a bit for each
}

// NewPool makes a pool of the ids of targets, in ascending order.
func NewPool(ids []int64) *Pool { return &Pool{ids: ids, taken: make([]uint64, (len(ids)+63)/64)} }

// take gives a group the share of those that match and that no earlier group
// took. Matching are ids in ascending order; those outside of the pool do not
// count.
func (p *Pool) take(percent float32, matching []int64) (n int64) {
	free := make([]uint64, len(p.taken))
	at := 0
	for _, id := range matching {
		for at < len(p.ids) && p.ids[at] < id {
			at++
		}
		if at < len(p.ids) && p.ids[at] == id {
			free[at/64] |= 1 << (at % 64)
		}
	}
	return p.takeOf(percent, free)
}

// takeAll is take of a group without a filter of its own.
func (p *Pool) takeAll(percent float32) int64 {
	free := make([]uint64, len(p.taken))
	for i := range p.ids {
		free[i/64] |= 1 << (i % 64)
	}
	return p.takeOf(percent, free)
}

func (p *Pool) takeOf(percent float32, free []uint64) (n int64) {
	count := int64(0)
	for i := range free {
		free[i] &^= p.taken[i]
		count += int64(bits.OnesCount64(free[i]))
	}
	n = portion(percent, count)
	left := n
	for i := range free {
		for w := free[i]; w != 0 && left > 0; w &= w - 1 {
			p.taken[i] |= w & -w
			left--
		}
	}
	return n
}

// rest is how many no group took.
func (p *Pool) rest() int64 {
	n := int64(len(p.ids))
	for _, w := range p.taken {
		n -= int64(bits.OnesCount64(w))
	}
	return n
}

func errRest(n int64) error {
	return fault.New(fault.Rejected, "The groups leave %d targets of the rollout in no group: let the last group take 100 percent, without a filter.", n)
}
