package rollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func percentages(list ...float32) []share {
	out := make([]share, len(list))
	for i, p := range list {
		out[i].percentage = p
	}
	return out
}

func equal(n int) []share {
	out := make([]share, n)
	for i := range out {
		out[i].percentage = 100 / float32(n)
	}
	return out
}

// The numbers of update-domain 4.2.
func TestSplit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		shares []share
		want   []int64
		rest   int64
	}{
		{"2", equal(2), []int64{4, 3}, 0},
		{"3", equal(3), []int64{2, 2, 3}, 0},
		{"4", equal(4), []int64{2, 2, 2, 1}, 0},
		{"5", equal(5), []int64{1, 2, 1, 2, 1}, 0},
		{"6", equal(6), []int64{1, 1, 1, 1, 1, 2}, 0},
		{"8", equal(8), []int64{1, 1, 1, 1, 1, 1, 1, 0}, 0},
		{"10", equal(10), []int64{1, 1, 1, 1, 1, 0, 1, 0, 1, 0}, 0},
		{"20 30 50", percentages(20, 30, 50), []int64{1, 2, 4}, 0},
		{"10 10 80", percentages(10, 10, 80), []int64{1, 1, 5}, 0},
		{"1 1 98", percentages(1, 1, 98), []int64{0, 0, 7}, 0},
		{"50 49 1", percentages(50, 49, 1), []int64{4, 3, 0}, 0},
		{"99 1", percentages(99, 1), []int64{7, 0}, 0},
		{"60 60", percentages(60, 60), []int64{4, 3}, 0},
		{"50", percentages(50), []int64{4}, 3},
	}
	for _, test := range tests {
		got, rest := split(test.shares, 7)
		if diff := cmp.Diff(test.want, got); diff != "" || rest != test.rest {
			t.Errorf("%s: %d left, %s", test.name, rest, diff)
		}
	}
}

func TestPool(t *testing.T) {
	t.Parallel()
	from := func(a, b int64) (list []int64) {
		for ; a <= b; a++ {
			list = append(list, a)
		}
		return list
	}
	type group struct {
		filter     string
		percentage float32
		matching   []int64 // nil: all
	}
	tests := []struct {
		name   string
		groups []group
		want   []int64
		rest   int64
	}{
		{"overlapping", []group{{"a", 100, from(1, 3)}, {"b", 100, from(2, 4)}, {"", 100, nil}}, []int64{3, 1, 3}, 0},
		{"what is left counts for the next", []group{{"a", 50, from(1, 4)}, {"b", 100, from(3, 5)}, {"", 100, nil}}, []int64{2, 3, 2}, 0},
		{"the same filter twice", []group{{"a", 50, from(1, 4)}, {"a", 50, from(1, 4)}, {"", 100, nil}}, []int64{2, 2, 3}, 0},
		{"a rest", []group{{"a", 50, from(1, 4)}, {"b", 100, from(5, 7)}}, []int64{2, 3}, 2},
		{"no rest", []group{{"a", 50, from(1, 4)}, {"b", 100, from(3, 7)}}, []int64{2, 5}, 0},
		{"beyond the pool", []group{{"a", 100, from(0, 99)}}, []int64{7}, 0},
		{"nothing matches", []group{{"a", 100, []int64{}}, {"", 100, nil}}, []int64{0, 7}, 0},
	}
	for _, test := range tests {
		pool := NewPool(from(1, 7))
		var shares []share
		for _, g := range test.groups {
			shares = append(shares, share{g.filter, g.percentage})
		}
		var got []int64
		for i, percent := range ofRest(shares) {
			if m := test.groups[i].matching; m != nil {
				got = append(got, pool.take(percent, m))
			} else {
				got = append(got, pool.takeAll(percent))
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || pool.rest() != test.rest {
			t.Errorf("%s: %d left, %s", test.name, pool.rest(), diff)
		}
	}
}
