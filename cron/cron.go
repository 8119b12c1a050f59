// Package cron reads Quartz cron expressions and says when they fire next.
//
// An expression has six fields or, with the year, seven: seconds, minutes,
// hours, day of month, month, day of week, year. Exactly one of the two days is
// "?" (spec device-apis A.14). What every field takes is a list, parted by
// commas, of
//
//   - every value
//     5        one value; months and days of the week by number or name (JAN, SUN), 1 is Sunday
//     8-17     a range; 22-2 and FRI-MON go on over the end
//     0/15     every fifteenth from 0 on; also */15 and 8-17/3
//
// and the days also
//
//	L, L-3   the last day of the month, the third before it
//	15W, LW  the weekday (Monday to Friday) nearest to the 15th, the last one; never in another month
//	6L, FRIL the last Friday of the month; L alone is Saturday, as in Quartz
//	6#3      the third Friday of the month
//
// A day that a month does not have (the 31st, a fifth Friday, 31W) does not
// fire in that month. Years go from 1970 to 2099.
package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// The years that an expression can name.
const (
	minYear = 1970
	maxYear = 2099
)

// A Schedule is a parsed expression. The zero value never fires.
type Schedule struct {
	seconds, minutes, hours, months set
	years                           [3]set // 64 years each, from minYear on
	days                            []day  // the union of them
}

// A set has the bit n for the value n.
type set uint64

func (s set) has(n int) bool { return s>>n&1 != 0 }

// from returns the smallest value that is at least n, or false.
func (s set) from(n int) (int, bool) {
	rest := s >> n
	if n > 63 || rest == 0 {
		return 0, false
	}
	return n + bits.TrailingZeros64(uint64(rest)), true
}

// A day is one way to choose days of a month.
type day struct {
	kind dayKind
	set  set // the days of the month, or of the week (1 is Sunday)
	n    int // which one, see the kinds
}

type dayKind int

const (
	inMonth     dayKind = iota // the days in the set
	inWeek                     // the days of the week in the set
	nthInWeek                  // the nth of the day of the week in the set
	lastInWeek                 // the last of the day of the week in the set
	lastInMonth                // n days before the last
	nearest                    // the weekday nearest to the nth
	nearestLast                // the weekday nearest to the day n before the last
)

// field is what a field may hold.
type field struct {
	name     string
	min, max int
	names    string // three letters each, in order from min on
}

// Parse reads an expression. Letters may be of either case, blanks of any
// number. The error says in which field the fault is and what it takes.
func Parse(text string) (Schedule, error) {
	parts := strings.Fields(strings.ToUpper(text))
	if len(parts) != 6 && len(parts) != 7 {
		return Schedule{}, fmt.Errorf("it has %d fields, but needs 6 (seconds, minutes, hours, day of month, month, day of week) or 7 (and the year)", len(parts))
	}
	dayOfMonth, dayOfWeek := parts[3], parts[5]
	if (dayOfMonth == "?") == (dayOfWeek == "?") {
		return Schedule{}, fmt.Errorf("exactly one of day of month (%q) and day of week (%q) has to be %q", dayOfMonth, dayOfWeek, "?")
	}

	var s Schedule
	var err error
	if s.seconds, err = (field{name: "seconds", min: 0, max: 59}).parse(parts[0]); err != nil {
		return Schedule{}, err
	}
	if s.minutes, err = (field{name: "minutes", min: 0, max: 59}).parse(parts[1]); err != nil {
		return Schedule{}, err
	}
	if s.hours, err = (field{name: "hours", min: 0, max: 23}).parse(parts[2]); err != nil {
		return Schedule{}, err
	}
	if s.months, err = (field{name: "month", min: 1, max: 12, names: "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"}).parse(parts[4]); err != nil {
		return Schedule{}, err
	}
	if dayOfWeek == "?" {
		s.days, err = daysOfMonth(dayOfMonth)
	} else {
		s.days, err = daysOfWeek(dayOfWeek)
	}
	if err != nil {
		return Schedule{}, err
	}
	year := "*"
	if len(parts) == 7 {
		year = parts[6]
	}
	if s.years, err = parseYears(year); err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// parse reads a list of values, ranges and steps below 64.
func (f field) parse(text string) (set, error) {
	var s set
	err := f.each(text, func(n int) { s |= 1 << n })
	return s, err
}

func parseYears(text string) ([3]set, error) {
	var years [3]set
	err := field{name: "year", min: minYear, max: maxYear}.each(text, func(year int) {
		n := year - minYear
		years[n/64] |= 1 << (n % 64)
	})
	return years, err
}

// each calls add for every value of a list.
func (f field) each(text string, add func(n int)) error {
	for item := range strings.SplitSeq(text, ",") {
		if err := f.item(item, add); err != nil {
			return err
		}
	}
	return nil
}

// item calls add for every value of one member of a list.
func (f field) item(item string, add func(n int)) error {
	span, every, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var ok bool
		if step, ok = number(every); !ok || step < 1 || step > f.max {
			return fmt.Errorf("%s: the step %q of %q is not a number from 1 to %d", f.name, every, item, f.max)
		}
	}

	first, last := f.min, f.max
	switch from, to, ranged := strings.Cut(span, "-"); {
	case span == "*", span == "" && stepped:
	case ranged:
		var err error
		if first, err = f.value(from); err != nil {
			return err
		}
		if last, err = f.value(to); err != nil {
			return err
		}
		if first > last && f.min == minYear {
			return fmt.Errorf("%s: the range %q ends before it begins", f.name, span)
		}
	default:
		var err error
		if first, err = f.value(span); err != nil {
			return err
		}
		if !stepped {
			last = first
		}
	}

	size := f.max - f.min + 1
	length := (last - first + size) % size
	for i := 0; i <= length; i += step {
		add(f.min + (first-f.min+i)%size)
	}
	return nil
}

// value reads one number or name.
func (f field) value(text string) (int, error) {
	if n, ok := f.named(text); ok {
		return n, nil
	}
	n, ok := number(text)
	if !ok {
		return 0, fmt.Errorf("%s: %q cannot be read; it takes %s", f.name, text, f.takes())
	}
	if n < f.min || n > f.max {
		return 0, fmt.Errorf("%s: %d is not from %d to %d", f.name, n, f.min, f.max)
	}
	return n, nil
}

// named finds a name; only whole ones count.
func (f field) named(text string) (int, bool) {
	if len(text) != 3 {
		return 0, false
	}
	for i := 0; i < len(f.names); i += 3 {
		if f.names[i:i+3] == text {
			return f.min + i/3, true
		}
	}
	return 0, false
}

func (f field) takes() string {
	numbers := fmt.Sprintf("numbers from %d to %d", f.min, f.max)
	if f.names == "" {
		return numbers
	}
	return fmt.Sprintf("%s or names from %s to %s", numbers, f.names[:3], f.names[len(f.names)-3:])
}

// number reads a decimal number of at most four digits, without a sign.
func number(text string) (int, bool) {
	if len(text) == 0 || len(text) > 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

func daysOfMonth(text string) ([]day, error) {
	f := field{name: "day of month", min: 1, max: 31}
	plain := day{kind: inMonth}
	var days []day
	for item := range strings.SplitSeq(text, ",") {
		d, ok, err := specialDayOfMonth(f, item)
		if err != nil {
			return nil, err
		}
		if ok {
			days = append(days, d)
			continue
		}
		if err := f.item(item, func(n int) { plain.set |= 1 << n }); err != nil {
			return nil, err
		}
	}
	return append(days, plain), nil
}

// specialDayOfMonth reads L, L-n, LW, L-nW and nW; false when it is none of them.
func specialDayOfMonth(f field, item string) (day, bool, error) {
	rest, weekday := strings.CutSuffix(item, "W")
	before, last := strings.CutPrefix(rest, "L")
	switch {
	case !last && !weekday:
		return day{}, false, nil
	case !last:
		n, err := f.value(rest)
		return day{kind: nearest, n: n}, true, err
	}
	d := day{kind: lastInMonth}
	if weekday {
		d.kind = nearestLast
	}
	if before == "" {
		return d, true, nil
	}
	digits, minus := strings.CutPrefix(before, "-")
	n, ok := number(digits)
	if !minus || !ok || n > 30 {
		return day{}, true, fmt.Errorf("%s: %q cannot be read; days before the last are L-1 to L-30", f.name, item)
	}
	d.n = n
	return d, true, nil
}

func daysOfWeek(text string) ([]day, error) {
	f := field{name: "day of week", min: 1, max: 7, names: "SUNMONTUEWEDTHUFRISAT"}
	plain := day{kind: inWeek}
	var days []day
	for item := range strings.SplitSeq(text, ",") {
		if name, count, ok := strings.Cut(item, "#"); ok {
			n, err := f.value(name)
			if err != nil {
				return nil, err
			}
			nth, ok := number(count)
			if !ok || nth < 1 || nth > 5 {
				return nil, fmt.Errorf("%s: %q cannot be read; behind # stands a number from 1 to 5", f.name, item)
			}
			days = append(days, day{kind: nthInWeek, set: 1 << n, n: nth})
			continue
		}
		if name, ok := strings.CutSuffix(item, "L"); ok {
			if name == "" {
				plain.set |= 1 << 7
				continue
			}
			n, err := f.value(name)
			if err != nil {
				return nil, err
			}
			days = append(days, day{kind: lastInWeek, set: 1 << n})
			continue
		}
		if err := f.item(item, func(n int) { plain.set |= 1 << n }); err != nil {
			return nil, err
		}
	}
	return append(days, plain), nil
}

// Next returns the first time after the given one at which the schedule fires,
// or false when there is none any more. Fields are compared with the clock of
// the time's location, which should have one offset all year round: where a
// clock changes, a skipped hour fires when time.Date says.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	zone := after.Location()
	start := after.Truncate(time.Second).Add(time.Second) // offsets are whole seconds
	year, month, first := start.Date()
	hour, minute, second := start.Clock()
	if year < minYear {
		year, month, first = minYear, time.January, 1
		hour, minute, second = 0, 0, 0
	}
	for ; year <= maxYear; year, month, first = year+1, time.January, 1 {
		if n := year - minYear; !s.years[n/64].has(n % 64) {
			hour, minute, second = 0, 0, 0
			continue
		}
		for ; month <= time.December; month, first = month+1, 1 {
			days := set(0)
			if s.months.has(int(month)) {
				days = s.daysIn(year, month)
			}
			for d, ok := days.from(first); ok; d, ok = days.from(d + 1) {
				if d != first {
					hour, minute, second = 0, 0, 0
				}
				if h, m, sec, ok := s.clockFrom(hour, minute, second); ok {
					return time.Date(year, month, d, h, m, sec, 0, zone), true
				}
			}
			hour, minute, second = 0, 0, 0
		}
	}
	return time.Time{}, false
}

// clockFrom returns the first time of day that is not before the given one.
func (s Schedule) clockFrom(hour, minute, second int) (h, m, sec int, ok bool) {
	if s.hours.has(hour) {
		if s.minutes.has(minute) {
			if sec, ok := s.seconds.from(second); ok {
				return hour, minute, sec, true
			}
		}
		if m, ok := s.minutes.from(minute + 1); ok {
			sec, ok := s.seconds.from(0)
			return hour, m, sec, ok
		}
	}
	h, ok = s.hours.from(hour + 1)
	m, okMinute := s.minutes.from(0)
	sec, okSecond := s.seconds.from(0)
	return h, m, sec, ok && okMinute && okSecond
}

// daysIn returns the days of the month on which the schedule fires.
func (s Schedule) daysIn(year int, month time.Month) set {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	firstWeekday := int(time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday()) // 0 is Sunday
	weekday := func(d int) int { return (firstWeekday+d-1)%7 + 1 }                 // 1 is Sunday
	var days set
	for _, rule := range s.days {
		switch rule.kind {
		case inMonth:
			days |= rule.set
		case lastInMonth:
			days |= bit(last - rule.n)
		case nearest:
			days |= nearestWeekday(rule.n, last, weekday)
		case nearestLast:
			days |= nearestWeekday(last-rule.n, last, weekday)
		case inWeek, nthInWeek, lastInWeek:
			for d := 1; d <= last; d++ {
				hit := rule.set.has(weekday(d)) &&
					(rule.kind != nthInWeek || (d+6)/7 == rule.n) &&
					(rule.kind != lastInWeek || d > last-7)
				if hit {
					days |= bit(d)
				}
			}
		}
	}
	return days & (1<<(last+1) - 2)
}

// nearestWeekday returns the day from Monday to Friday nearest to d within the
// month, nothing when the month has no such day.
func nearestWeekday(d, last int, weekday func(int) int) set {
	if d < 1 || d > last {
		return 0
	}
	switch weekday(d) {
	case 7: // Saturday
		if d == 1 {
			return bit(3)
		}
		return bit(d - 1)
	case 1: // Sunday
		if d == last {
			return bit(d - 2)
		}
		return bit(d + 1)
	default:
		return bit(d)
	}
}

// bit returns the set of one value; of none if the value is below zero.
func bit(n int) set {
	if n < 0 {
		return 0
	}
	return 1 << n
}
