package deployment

import (
	"strings"
	"time"

	"github.com/otaria/otaria/cron"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
)

// A Window says when a device may install what it was told to: a maintenance
// window opens whenever Schedule fires on the clock of Timezone, and stays open
// for Duration (spec device-apis A.14, update-domain 3.5). The texts are kept as
// they were sent. The zero Window is none: no restriction, no next start.
//
// The methods read the texts anew each time, in a few microseconds. A window
// that cannot be read, which Validate lets nobody store, never opens.
type Window struct {
	Schedule string // Quartz cron expression, see package cron
	Duration string // time of day below 24 h: 02:30, 02:30:00, 02:30:00.5
	Timezone string // offset: Z, +02:00, -0930
}

// Longest texts of a window, in characters (spec management-api 1.12).
const (
	maxSchedule = 128
	maxDuration = 16
)

// ParseWindow makes a window of three texts and checks it as Validate does. A
// text that was not given is empty; without any the window is none.
func ParseWindow(schedule, duration, timezone string, now time.Time) (Window, error) {
	w := Window{Schedule: schedule, Duration: duration, Timezone: timezone}
	if err := w.Validate(now); err != nil {
		return Window{}, err
	}
	return w, nil
}

// IsZero reports whether there is no window.
func (w Window) IsZero() bool { return w == Window{} }

// Validate checks that the window can be read and is open now or will open
// later (spec management-api 1.16). The errors are faults of kind
// MaintenanceWindow, of kind Invalid for a text that is too long.
func (w Window) Validate(now time.Time) error {
	if w.IsZero() {
		return nil
	}
	if missing := w.missing(); len(missing) > 0 {
		return fault.New(fault.MaintenanceWindow, "A maintenance window needs schedule, duration and timezone, but has no %s. Give all three, or none for an update at any time.", strings.Join(missing, " and no "))
	}
	var v freetext.Violations
	v.Length("maintenanceWindow.schedule", w.Schedule, 1, maxSchedule)
	v.Length("maintenanceWindow.duration", w.Duration, 1, maxDuration)
	if err := v.Err(); err != nil {
		return err
	}
	p, err := w.parse()
	if err != nil {
		return err
	}
	if _, ok := p.next(now); !ok {
		return fault.New(fault.MaintenanceWindow, "The maintenance schedule %q has no window left: none is open now and none will open later.", w.Schedule)
	}
	return nil
}

// missing names the texts that were not given.
func (w Window) missing() []string {
	var names []string
	for _, text := range []struct{ name, value string }{
		{"schedule", w.Schedule}, {"duration", w.Duration}, {"timezone", w.Timezone},
	} {
		if text.value == "" {
			names = append(names, text.name)
		}
	}
	return names
}

// Available reports whether an installation may begin now: always without a
// window, else from the moment the schedule fires until the duration has
// passed. A duration of zero never opens.
func (w Window) Available(now time.Time) bool {
	if w.IsZero() {
		return true
	}
	start, ok := w.Next(now)
	return ok && !start.After(now)
}

// Next returns when the open window began, or else when the next one will
// begin; false if there is none any more, or no window at all. Where windows
// overlap it is the earliest that is still open.
func (w Window) Next(now time.Time) (start time.Time, ok bool) {
	if w.IsZero() {
		return time.Time{}, false
	}
	p, err := w.parse()
	if err != nil {
		return time.Time{}, false
	}
	return p.next(now)
}

// Over reports whether the window will not open any more, so that an action
// waiting for it can only be canceled. No window is never over.
func (w Window) Over(now time.Time) bool {
	if w.IsZero() {
		return false
	}
	_, ok := w.Next(now)
	return !ok
}

// PollInterval returns how long a device should sleep until its next poll so
// that it asks about count times before the window opens: never longer than
// base, its usual interval, and never shorter than minimum (spec device-apis
// A.13). Once the window is open, and for a count of zero, it is base. A
// negative count gives the minimum, as it does in hawkBit.
func (w Window) PollInterval(now time.Time, base, minimum time.Duration, count int) time.Duration {
	start, ok := w.Next(now)
	if !ok || !start.After(now) || count == 0 {
		return base
	}
	return min(base, max(minimum, start.Sub(now)/time.Duration(count)))
}

// parsed is a window that can be computed with.
type parsed struct {
	schedule cron.Schedule
	duration time.Duration
	zone     *time.Location
}

func (w Window) parse() (parsed, error) {
	duration, ok := timeOfDay(strings.TrimSpace(w.Duration))
	if !ok {
		return parsed{}, fault.New(fault.MaintenanceWindow, "The maintenance duration %q cannot be read. Give hours, minutes and, if need be, seconds, in all less than 24 hours: 02:30 or 02:30:00.", w.Duration)
	}
	schedule, err := cron.Parse(w.Schedule)
	if err != nil {
		return parsed{}, fault.New(fault.MaintenanceWindow, "The maintenance schedule %q cannot be read: %v. A schedule for 3 o'clock every Sunday is \"0 0 3 ? * SUN\".", w.Schedule, err)
	}
	offset, ok := offset(w.Timezone)
	if !ok {
		return parsed{}, fault.New(fault.MaintenanceWindow, "The maintenance timezone %q cannot be read. Give the offset from UTC, at most 18 hours: +02:00, -09:30 or Z. Names of zones are not known here.", w.Timezone)
	}
	return parsed{schedule: schedule, duration: duration, zone: time.FixedZone("", offset)}, nil
}

// next finds the first window that is not over yet.
func (p parsed) next(now time.Time) (time.Time, bool) {
	return p.schedule.Next(now.Add(-p.duration).In(p.zone))
}

// timeOfDay reads HH:mm, HH:mm:ss or HH:mm:ss.fraction with up to nine digits.
func timeOfDay(text string) (time.Duration, bool) {
	text, fraction, fractional := strings.Cut(text, ".")
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 || (fractional && len(parts) != 3) {
		return 0, false
	}
	var total time.Duration
	for i, part := range parts {
		limit, unit := 60, [3]time.Duration{time.Hour, time.Minute, time.Second}[i]
		if i == 0 {
			limit = 24
		}
		n, ok := twoDigits(part)
		if !ok || n >= limit {
			return 0, false
		}
		total += time.Duration(n) * unit
	}
	if !fractional {
		return total, true
	}
	if len(fraction) < 1 || len(fraction) > 9 {
		return 0, false
	}
	unit := time.Second
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		total += time.Duration(c-'0') * unit
	}
	return total, true
}

// offset reads Z, ±h, ±hh, ±hh:mm, ±hhmm, ±hh:mm:ss and ±hhmmss of at most 18
// hours, in seconds east of UTC.
func offset(text string) (int, bool) {
	if text == "Z" {
		return 0, true
	}
	if text == "" || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	sign := 1
	if text[0] == '-' {
		sign = -1
	}
	digits := text[1:]
	switch len(digits) {
	case 1:
		digits = "0" + digits
	case 5, 8: // with colons
		digits = strings.ReplaceAll(digits, ":", "")
		if len(digits) != 4 && len(digits) != 6 || text[3] != ':' || (len(digits) == 6 && text[6] != ':') {
			return 0, false
		}
	}
	seconds := 0
	unit := 3600
	for len(digits) > 0 {
		if unit == 0 || len(digits) < 2 {
			return 0, false
		}
		n, ok := twoDigits(digits[:2])
		if !ok || (unit < 3600 && n >= 60) {
			return 0, false
		}
		seconds += n * unit
		unit /= 60
		digits = digits[2:]
	}
	return sign * seconds, text[1:] != "" && seconds <= 18*3600
}

func twoDigits(text string) (int, bool) {
	if len(text) != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9' {
		return 0, false
	}
	return int(text[0]-'0')*10 + int(text[1]-'0'), true
}
