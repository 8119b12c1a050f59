package tenant

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/fault"
)

// Bounds of every polling interval and every sleep (spec device-apis A.13).
const (
	MinPolling = 30 * time.Second
	MaxPolling = 24*time.Hour - time.Second
)

// An Interval is how often a device polls: the base, spread by so many percent
// up and down so that a fleet does not come all at once.
type Interval struct {
	Base      time.Duration // whole seconds
	Deviation int           // percent, 0 to 99
}

// Sleep draws how long a device shall sleep: the base with its spread, within
// the bounds. chance returns numbers in [0, 1).
func (i Interval) Sleep(chance func() float64) time.Duration {
	if i.Deviation == 0 {
		return i.Base
	}
	spread := (2*chance() - 1) * float64(i.Deviation) / 100
	return min(max(i.Base+time.Duration(spread*float64(i.Base)), MinPolling), MaxPolling)
}

// Longest is the longest sleep that Sleep can draw.
func (i Interval) Longest() time.Duration {
	return min(i.Base+i.Base*time.Duration(i.Deviation)/100, MaxPolling)
}

// NextExpected returns when a device that polled last will have polled again
// (spec update-domain 5.5).
func (i Interval) NextExpected(last time.Time) time.Time { return last.Add(i.Longest()) }

// Overdue reports whether a device that polled last should have been heard of
// since; grace is what it is let off, see Settings.OverdueAfter.
func (i Interval) Overdue(last, now time.Time, grace time.Duration) bool {
	return now.Sub(i.NextExpected(last)) > grace
}

// String returns the interval as ParsePolling reads it.
func (i Interval) String() string {
	text := FormatSleep(i.Base)
	if i.Deviation > 0 {
		text += "~" + strconv.Itoa(i.Deviation) + "%"
	}
	return text
}

// Polling is how often a tenant's devices poll: the base interval, and others
// for the targets that match a query, the first match counting.
type Polling struct {
	Base      Interval
	Overrides []PollingOverride
}

// A PollingOverride is an interval of its own for the targets that match.
type PollingOverride struct {
	Query    string // over targets; Rules.CheckQuery says whether it is right
	Interval Interval
}

// At returns the base for 0 and the n-th override for n.
func (p Polling) At(n int) Interval {
	if n <= 0 || n > len(p.Overrides) {
		return p.Base
	}
	return p.Overrides[n-1].Interval
}

// String returns the plan as ParsePolling reads it.
func (p Polling) String() string {
	var b strings.Builder
	b.WriteString(p.Base.String())
	for _, o := range p.Overrides {
		fmt.Fprintf(&b, ", %s -> %s", o.Query, o.Interval)
	}
	return b.String()
}

// ParsePolling reads "INTERVAL[, <query> -> INTERVAL]*" (spec device-apis A.13).
// An INTERVAL is a duration of ParseDuration with an optional deviation, ~N% or
// ~NN%, within the bounds; fractions of a second are dropped.
//
// A query goes up to its arrow, so that it may have commas anywhere (they are
// its "or") but no arrow, not even in quotes. The error is a fault: ConfigValue,
// or QuerySyntax where a query is empty.
func ParsePolling(text string) (Polling, error) {
	base, rest, more := strings.Cut(text, ",")
	var p Polling
	var err error
	if p.Base, err = parseInterval(base); err != nil {
		return Polling{}, err
	}
	for more {
		query, tail, ok := strings.Cut(rest, "->")
		query = strings.TrimSpace(query)
		if !ok {
			return Polling{}, fault.New(fault.ConfigValue, "The setting %q cannot be read at %s: behind the comma belongs an override such as group==Europe -> 00:01:00.", KeyPollingTime, quote(query))
		}
		if query == "" {
			return Polling{}, fault.New(fault.QuerySyntax, "The setting %q has an override without a query: before the arrow belongs one that says which targets it is for, such as group==Europe.", KeyPollingTime)
		}
		var interval string
		interval, rest, more = strings.Cut(tail, ",")
		o := PollingOverride{Query: query}
		if o.Interval, err = parseInterval(interval); err != nil {
			return Polling{}, err
		}
		p.Overrides = append(p.Overrides, o)
	}
	return p, nil
}

func parseInterval(text string) (Interval, error) {
	text = strings.TrimSpace(text)
	base, deviation, deviates := strings.Cut(text, "~")
	var i Interval
	if deviates {
		digits, percent := strings.CutSuffix(deviation, "%")
		n, err := strconv.ParseUint(digits, 10, 8)
		if !percent || err != nil || len(digits) > 2 {
			return Interval{}, fault.New(fault.ConfigValue, "The setting %q has the interval %s, whose deviation is none from ~0%% to ~99%%.", KeyPollingTime, quote(text))
		}
		i.Deviation = int(n)
	}
	d, err := ParseDuration(strings.TrimSpace(base))
	if err != nil {
		return Interval{}, fault.New(fault.ConfigValue, "The setting %q has an interval that cannot be read: %v.", KeyPollingTime, err)
	}
	if d < MinPolling || d > MaxPolling {
		return Interval{}, fault.New(fault.ConfigValue, "The setting %q has the interval %s, which is not from %s to %s.", KeyPollingTime, quote(text), FormatSleep(MinPolling), FormatSleep(MaxPolling))
	}
	i.Base = d.Truncate(time.Second)
	return i, nil
}

// FormatSleep writes a sleep as every client reads it: HH:mm:ss, below a day.
// Fractions of a second are dropped.
func FormatSleep(d time.Duration) string {
	s := int(min(max(d, 0), MaxPolling) / time.Second)
	text := []byte("00:00:00")
	for i, n := range [3]int{s / 3600, s / 60 % 60, s % 60} {
		text[3*i] += byte(n / 10)
		text[3*i+1] += byte(n % 10)
	}
	return string(text)
}
