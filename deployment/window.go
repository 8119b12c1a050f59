package deployment

import (
	"strings"
	"time"

	"github.com/reugn/go-quartz/quartz"

	"github.com/otaria/otaria/fault"
)

// Window is a maintenance window: a Quartz cron schedule of when it opens, how
// long it stays open, and the offset of the clock that the schedule means
// (device-apis A.14). The texts are kept as they were given. The zero Window is
// none.
type Window struct {
	Schedule string
	Duration string
	Timezone string
}

// opening is a window that was read.
type opening struct {
	trigger  *quartz.CronTrigger
	duration time.Duration
}

func (w Window) parse() (opening, error) {
	var o opening
	if w.Schedule == "" || w.Duration == "" || w.Timezone == "" {
		return o, fault.New(fault.MaintenanceWindow, "A maintenance window needs all of schedule, duration and timezone, or none of them.")
	}
	d, err := parseTimeOfDay(strings.TrimSpace(w.Duration))
	if err != nil {
		return o, fault.Wrap(fault.MaintenanceWindow, err, "The duration %q is not readable: use HH:mm or HH:mm:ss, below 24 hours.", w.Duration)
	}
	fields := strings.Fields(w.Schedule)
	if len(fields) != 6 && len(fields) != 7 {
		return o, fault.New(fault.MaintenanceWindow, "The schedule %q has %d fields; a Quartz cron expression has 6 or 7: second minute hour day-of-month month day-of-week [year].", w.Schedule, len(fields))
	}
	// The library takes two days side by side; Quartz, and devices' operators, want one to be "?".
	if fields[3] != "?" && fields[5] != "?" || fields[3] == "?" && fields[5] == "?" {
		return o, fault.New(fault.MaintenanceWindow, "The schedule %q must have ? for exactly one of day-of-month and day-of-week.", w.Schedule)
	}
	zone, err := parseOffset(strings.TrimSpace(w.Timezone))
	if err != nil {
		return o, fault.Wrap(fault.MaintenanceWindow, err, "The timezone %q is no offset such as +02:00 or Z, so no window can be found.", w.Timezone)
	}
	t, err := quartz.NewCronTriggerWithLoc(strings.Join(fields, " "), zone)
	if err != nil {
		return o, fault.Wrap(fault.MaintenanceWindow, err, "The schedule %q is not readable: %v.", w.Schedule, err)
	}
	return opening{t, d}, nil
}

// parseTimeOfDay reads HH:mm, HH:mm:ss or HH:mm:ss.fraction as a duration.
func parseTimeOfDay(s string) (time.Duration, error) {
	var err error
	for _, layout := range []string{"15:04:05", "15:04"} { // a fraction is read with the first
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil && len(s) >= len(layout) {
			return t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)), nil
		}
	}
	return 0, err
}

func parseOffset(s string) (*time.Location, error) {
	var err error
	for _, layout := range []string{"Z07:00", "Z0700", "Z07"} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			_, offset := t.Zone()
			return time.FixedZone(s, offset), nil
		}
	}
	return nil, err
}

// Validate refuses a window that is not readable, or that is neither open now
// nor ever again, with fault.MaintenanceWindow. No window at all is valid.
func (w Window) Validate(now time.Time) error {
	if w == (Window{}) {
		return nil
	}
	if _, err := w.parse(); err != nil {
		return err
	}
	if _, ok := w.Next(now); !ok {
		return fault.New(fault.MaintenanceWindow, "The schedule %q has no maintenance window that is open now or opens later.", w.Schedule)
	}
	return nil
}

// Next returns when the window that is open now opened, or else when the next
// one opens; false when there is none any more.
func (w Window) Next(now time.Time) (time.Time, bool) {
	o, err := w.parse()
	if err != nil {
		return time.Time{}, false
	}
	// The first hit after now minus duration is open as long as it is not after now.
	at, err := o.trigger.NextFireTime(now.Add(-o.duration).UnixNano())
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, at), true
}

// Available reports whether a window is open now.
func (w Window) Available(now time.Time) bool {
	if w == (Window{}) {
		return false
	}
	at, ok := w.Next(now)
	return ok && !at.After(now)
}

// PollInterval shortens a device's sleep before the window, so that it polls
// some count times until then and once inside: (start-now)/count, between the
// minimum and the base (device-apis A.13).
func (w Window) PollInterval(now time.Time, base, minimum time.Duration, count int) time.Duration {
	at, ok := w.Next(now)
	if !ok || !at.After(now) {
		return base
	}
	return max(minimum, min(base, at.Sub(now)/time.Duration(max(1, count))))
}
