package event_test

import (
	"math"
	"testing"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
)

func TestPositionsAreOrdered(t *testing.T) {
	t.Parallel()
	list := []event.Position{{}, {0, 1}, {0, 10}, {1, 0}, {1, 5}, {2, 1}, {math.MaxInt64, math.MaxInt64}}
	for i, p := range list {
		for j, q := range list {
			if got := p.Compare(q); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v to %v: %d", p, q, got)
			}
		}
	}
}

// What is read prints as it was written, and what is printed is read back.
func FuzzParsePosition(f *testing.F) {
	for _, text := range []string{"", "-", "0-0", "0-42", "12-34", "01-2", "1-+2", "-1-2", "1--2", "1-2-3", " 1-2", "9223372036854775807-9223372036854775808", "١-٢", "1-2\n"} {
		f.Add(text, int64(0), int64(0))
	}
	f.Fuzz(func(t *testing.T, text string, tx, id int64) {
		if p, err := event.ParsePosition(text); err == nil {
			if p.String() != text || p.Tx < 0 || p.ID < 0 {
				t.Errorf("%q is read as %v", text, p)
			}
		} else if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
		p := event.Position{Tx: max(tx, 0), ID: max(id, 0)}
		if q, err := event.ParsePosition(p.String()); err != nil || p != q {
			t.Errorf("%v comes back as %v, %v", p, q, err)
		}
	})
}
