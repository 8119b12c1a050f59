package event

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/otaria/otaria/fault"
)

// A Position is a place in the order of all events: behind the event that has
// it. The zero Position is before all events.
//
// Tx is the number of the transaction on PostgreSQL, whose numbers are in the
// order in which events become readable (store.DB.EventsAfter); SQLite, which
// has one writer, leaves it 0 and orders by ID.
type Position struct{ Tx, ID int64 }

// Compare is less than, equal to or greater than 0 as p stands before, at or
// behind q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Tx, q.Tx), cmp.Compare(p.ID, q.ID))
}

// String returns the position as ParsePosition reads it.
func (p Position) String() string {
	return strconv.FormatInt(p.Tx, 10) + "-" + strconv.FormatInt(p.ID, 10)
}

// ParsePosition reads what String wrote, and nothing else: two texts are never
// the same position. Anything else is fault.Invalid.
func ParsePosition(text string) (Position, error) {
	tx, id, ok := strings.Cut(text, "-")
	if ok {
		p := Position{}
		var err1, err2 error
		p.Tx, err1 = strconv.ParseInt(tx, 10, 64)
		p.ID, err2 = strconv.ParseInt(id, 10, 64)
		if err1 == nil && err2 == nil && p.Tx >= 0 && p.ID >= 0 && p.String() == text {
			return p, nil
		}
	}
	return Position{}, fault.New(fault.Invalid, "%.60q is no position in the stream of events: send the id of an event as it was received, such as 0-42; or 0-0 for all that is kept, or nothing for what happens from now on.", text)
}
