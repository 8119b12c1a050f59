package tenant

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/fault"
)

// Bounds of every polling interval (device-apis A.13).
const (
	MinPolling = 30 * time.Second
	MaxPolling = 24*time.Hour - time.Second
)

// An Interval is how often a device polls: the base, spread by so many percent
// up and down.
type Interval struct {
	Base      time.Duration
	Deviation int // percent, 0 to 99
}

// Sleep returns the interval with its spread; chance returns numbers in [0, 1).
func (i Interval) Sleep(chance func() float64) time.Duration {
	d := i.Base
	if i.Deviation > 0 {
		d = time.Duration(float64(d) * (1 + (2*chance()-1)*float64(i.Deviation)/100))
	}
	return min(max(d, MinPolling), MaxPolling)
}

// Longest is the interval with its whole spread.
func (i Interval) Longest() time.Duration {
	return i.Base + i.Base*time.Duration(i.Deviation)/100
}

func (i Interval) String() string {
	s := FormatSleep(i.Base)
	if i.Deviation > 0 {
		s += "~" + strconv.Itoa(i.Deviation) + "%"
	}
	return s
}

// Polling is how often a tenant's devices poll: the base interval, and others
// for the targets that match a query, the first match counting.
type Polling struct {
	Base      Interval
	Overrides []PollingOverride
}

// A PollingOverride is an interval of its own for the targets that match.
type PollingOverride struct {
	Query    string // over targets, not checked here
	Interval Interval
}

// At returns the base for 0 and the n-th override for n.
func (p Polling) At(n int) Interval {
	if n <= 0 || n > len(p.Overrides) {
		return p.Base
	}
	return p.Overrides[n-1].Interval
}

func (p Polling) String() string {
	var b strings.Builder
	b.WriteString(p.Base.String())
	for _, o := range p.Overrides {
		fmt.Fprintf(&b, ", %s -> %s", o.Query, o.Interval)
	}
	return b.String()
}

// ParsePolling reads "INTERVAL[, <query> -> INTERVAL]*", an INTERVAL being a
// duration of ParseDuration with an optional ~NN%. Commas in parentheses and
// quotes of a query do not end it. The error is a fault.ConfigValue.
func ParsePolling(text string) (Polling, error) {
	parts := splitPolling(text)
	base, err := parseInterval(parts[0])
	if err != nil {
		return Polling{}, fault.Wrap(fault.ConfigValue, err, "pollingTime %q: %v", text, err)
	}
	p := Polling{Base: base}
	for _, part := range parts[1:] {
		query, interval, ok := strings.Cut(part, "->")
		if !ok || strings.TrimSpace(query) == "" {
			return Polling{}, fault.New(fault.ConfigValue, "pollingTime %q: %q is not of the form <query> -> <interval>.", text, strings.TrimSpace(part))
		}
		i, err := parseInterval(interval)
		if err != nil {
			return Polling{}, fault.Wrap(fault.ConfigValue, err, "pollingTime %q: %v", text, err)
		}
		p.Overrides = append(p.Overrides, PollingOverride{strings.TrimSpace(query), i})
	}
	return p, nil
}

// splitPolling splits at the commas that stand after an interval: those outside
// of parentheses and quotes whose part is complete.
func splitPolling(text string) []string {
	var parts []string
	depth, from := 0, 0
	var quoted byte
	for i := range len(text) {
		c := text[i]
		switch {
		case quoted != 0:
			if c == quoted && text[i-1] != '\\' {
				quoted = 0
			}
		case c == '"' || c == '\'':
			quoted = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth <= 0 && (len(parts) == 0 || strings.Contains(text[from:i], "->")):
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

func parseInterval(text string) (Interval, error) {
	base, spread, has := strings.Cut(strings.TrimSpace(text), "~")
	var i Interval
	if has {
		n, ok := strings.CutSuffix(strings.TrimSpace(spread), "%")
		v, err := strconv.Atoi(n)
		if !ok || err != nil || len(n) > 2 || v < 0 || n[0] == '+' {
			return i, fmt.Errorf("%q is no spread such as ~10%%", "~"+spread)
		}
		i.Deviation = v
	}
	d, err := ParseDuration(strings.TrimSpace(base))
	if err != nil {
		return i, err
	}
	if d < MinPolling || d > MaxPolling {
		return i, fmt.Errorf("the interval %s is not between %s and %s", strings.TrimSpace(base), FormatSleep(MinPolling), FormatSleep(MaxPolling))
	}
	i.Base = d
	return i, nil
}

// isoDuration is an upper-case ISO-8601 duration of days and smaller.
var isoDuration = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`) //nolint:gochecknoglobals // compiled once, never changed

// ParseDuration reads HH:mm:ss, mm:ss or plain seconds, whose parts may exceed
// 59, or an upper-case ISO-8601 duration such as PT5M.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration: use HH:mm:ss (00:05:00), seconds (300) or ISO-8601 (PT5M)", text)
	var fields []string
	var units []time.Duration
	if strings.HasPrefix(text, "P") {
		m := isoDuration.FindStringSubmatch(text)
		if m == nil || text == "P" || strings.HasSuffix(text, "T") {
			return 0, bad
		}
		fields, units = m[1:], []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}
	} else {
		fields = strings.Split(text, ":")
		units = []time.Duration{time.Hour, time.Minute, time.Second}
		if len(fields) > len(units) || text == "" {
			return 0, bad
		}
		units = units[len(units)-len(fields):]
	}
	var d time.Duration
	for i, f := range fields {
		if f == "" && strings.HasPrefix(text, "P") {
			continue
		}
		n, err := strconv.ParseUint(f, 10, 31)
		if err != nil {
			return 0, errors.Join(bad, err)
		}
		d += time.Duration(n) * units[i] //nolint:gosec // 31 bits
	}
	return d, nil
}

// FormatSleep writes a duration as clients read it: HH:mm:ss, below a day.
func FormatSleep(d time.Duration) string {
	s := int(min(max(d, 0), MaxPolling) / time.Second)
	b := [8]byte{'0', '0', ':', '0', '0', ':', '0', '0'}
	for i, v := range [3]int{s / 3600, s / 60 % 60, s % 60} {
		b[3*i], b[3*i+1] = byte('0'+v/10), byte('0'+v%10) //nolint:gosec // digits
	}
	return string(b[:])
}
