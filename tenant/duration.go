package tenant

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxSeconds is the longest duration that is read, some 292 years.
const maxSeconds = math.MaxInt64 / int64(time.Second)

// ParseDuration reads a duration as settings have them (spec management-api
// 4.2): HH:mm:ss, mm:ss or plain seconds, whose parts may exceed 59, or an
// upper-case ISO-8601 duration of days and smaller units, such as PT5M, which
// may be negative and have a fraction of a second.
func ParseDuration(text string) (time.Duration, error) {
	parse := parseClock
	if strings.Contains(text, "P") {
		parse = parseISO
	}
	d, ok := parse(text)
	if !ok {
		return 0, errors.New(quote(text) + " is no duration such as 00:05:00, 300 (seconds) or PT5M")
	}
	return d, nil
}

// parseClock reads [[HH:]mm:]ss.
func parseClock(text string) (time.Duration, bool) {
	fields := strings.Split(text, ":")
	if len(fields) > 3 {
		return 0, false
	}
	var total int64
	for _, f := range fields {
		n, err := strconv.ParseUint(f, 10, 63)
		if err != nil || total > maxSeconds/60 || int64(n) > maxSeconds-60*total {
			return 0, false
		}
		total = 60*total + int64(n)
	}
	return time.Duration(total) * time.Second, true
}

// parseISO reads PnDTnHnMnS. A sign may stand before the P and before each
// number.
func parseISO(text string) (time.Duration, bool) {
	sign, rest := signOf(text)
	rest, ok := strings.CutPrefix(rest, "P")
	date, clock, timed := strings.Cut(rest, "T")
	if !ok || rest == "" || timed && clock == "" {
		return 0, false
	}
	var total time.Duration
	add := func(amount string, unit time.Duration) bool {
		d, ok := component(amount, unit)
		total += d
		return ok
	}
	for _, part := range []struct {
		letter string
		unit   time.Duration
		text   *string
	}{
		{"D", 24 * time.Hour, &date}, {"H", time.Hour, &clock}, {"M", time.Minute, &clock}, {"S", time.Second, &clock},
	} {
		amount, after, ok := strings.Cut(*part.text, part.letter)
		if !ok {
			continue
		}
		if !add(amount, part.unit) {
			return 0, false
		}
		*part.text = after
	}
	return total * time.Duration(sign), date == "" && clock == ""
}

// component reads the number before a unit; that of seconds may have a fraction
// of up to nine digits.
func component(text string, unit time.Duration) (time.Duration, bool) {
	sign, digits := signOf(text)
	fraction := ""
	if i := strings.IndexAny(digits, ".,"); i >= 0 && unit == time.Second {
		digits, fraction = digits[:i], digits[i+1:]
	}
	// Four components of less than a quarter of the longest cannot overflow.
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) >= maxSeconds/4/int64(unit/time.Second) || len(fraction) > 9 {
		return 0, false
	}
	d := time.Duration(n) * unit
	if fraction != "" {
		nanos, err := strconv.ParseUint(fraction+"000000000"[len(fraction):], 10, 31)
		if err != nil {
			return 0, false
		}
		d += time.Duration(nanos)
	}
	return d * time.Duration(sign), true
}

// signOf takes the sign off a number.
func signOf(text string) (sign int, rest string) {
	switch {
	case strings.HasPrefix(text, "-"):
		return -1, text[1:]
	case strings.HasPrefix(text, "+"):
		return 1, text[1:]
	default:
		return 1, text
	}
}
