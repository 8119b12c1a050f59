package deployment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
)

// instant reads a time of the tests.
func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestWindowValidate plays the windows that were sent to the model server.
func TestWindowValidate(t *testing.T) {
	t.Parallel()
	const ok = fault.Internal // no fault at all
	yearly := "0 0 3 1 1 ? 2090"
	tests := []struct {
		name   string
		window deployment.Window
		want   fault.Kind
		says   string // a part of the message
	}{
		{"with window", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "+02:00"}, ok, ""},
		{"west", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "-09:30"}, ok, ""},
		{"in UTC", deployment.Window{Schedule: "15 30 12 24 12 ? 2080", Duration: "00:00:01", Timezone: "+00:00"}, ok, ""},
		{"of long duration", deployment.Window{Schedule: yearly, Duration: "23:59:59", Timezone: "+02:00"}, ok, ""},
		{"by weekday", deployment.Window{Schedule: "0 0 3 ? 1 SUN#1 2090", Duration: "02:00:00", Timezone: "+02:00"}, ok, ""},
		{"every night", deployment.Window{Schedule: "0 0 3 * * ?", Duration: "02:00:00", Timezone: "+02:00"}, ok, ""},
		{"every night with Z", deployment.Window{Schedule: "0 0 3 * * ?", Duration: "02:00:00", Timezone: "Z"}, ok, ""},
		{"open now", deployment.Window{Schedule: "0 * * * * ?", Duration: "00:10:00", Timezone: "+00:00"}, ok, ""},
		{"empty texts", deployment.Window{}, ok, ""},
		{"duration 0", deployment.Window{Schedule: yearly, Duration: "00:00:00", Timezone: "+02:00"}, ok, ""},
		{"duration without seconds", deployment.Window{Schedule: yearly, Duration: "02:00", Timezone: "+02:00"}, ok, ""},
		{"year after the name of the day", deployment.Window{Schedule: "0 0 3 ? * SUN 2099", Duration: "01:00:00", Timezone: "+00:00"}, ok, ""},
		{"blanks around the duration", deployment.Window{Schedule: yearly, Duration: " 02:00:00 ", Timezone: "+02:00"}, ok, ""},
		{"duration with a fraction", deployment.Window{Schedule: yearly, Duration: "02:00:00.125", Timezone: "+02:00"}, ok, ""},
		{"still open from before", deployment.Window{Schedule: "0 0 11 22 11 ? 2026", Duration: "02:00:00", Timezone: "Z"}, ok, ""},
		{"zone without minutes", deployment.Window{Schedule: yearly, Duration: "02:00", Timezone: "+2"}, ok, ""},
		{"zone without colon", deployment.Window{Schedule: yearly, Duration: "02:00", Timezone: "+0200"}, ok, ""},

		{"schedule only", deployment.Window{Schedule: yearly}, fault.MaintenanceWindow, "no duration and no timezone"},
		{"duration only", deployment.Window{Duration: "02:00:00"}, fault.MaintenanceWindow, "no schedule and no timezone"},
		{"zone only", deployment.Window{Timezone: "+02:00"}, fault.MaintenanceWindow, "no schedule and no duration"},
		{"without zone", deployment.Window{Schedule: yearly, Duration: "02:00:00"}, fault.MaintenanceWindow, "has no timezone"},
		{"without duration", deployment.Window{Schedule: yearly, Timezone: "+02:00"}, fault.MaintenanceWindow, "has no duration"},
		{"without schedule", deployment.Window{Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "has no schedule"},
		{"in the past", deployment.Window{Schedule: "0 0 3 1 1 ? 2020", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "no window left"},
		{"that never comes", deployment.Window{Schedule: "0 0 3 30 2 ? 2090", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "no window left"},
		{"just over", deployment.Window{Schedule: "0 0 10 22 11 ? 2026", Duration: "02:00:00", Timezone: "Z"}, fault.MaintenanceWindow, "no window left"},
		{"bad schedule", deployment.Window{Schedule: "every night", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "2 fields"},
		{"schedule of five fields", deployment.Window{Schedule: "0 3 * * *", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "5 fields"},
		{"schedule with two days", deployment.Window{Schedule: "0 0 3 1 1 1 2090", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "exactly one"},
		{"schedule with 61 seconds", deployment.Window{Schedule: "61 0 3 1 1 ? 2090", Duration: "02:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "seconds: 61 is not from 0 to 59"},
		{"bad duration", deployment.Window{Schedule: yearly, Duration: "two hours", Timezone: "+02:00"}, fault.MaintenanceWindow, "duration"},
		{"another bad duration", deployment.Window{Schedule: yearly, Duration: "1 hour", Timezone: "+02:00"}, fault.MaintenanceWindow, "duration"},
		{"duration in ISO form", deployment.Window{Schedule: yearly, Duration: "PT2H", Timezone: "+02:00"}, fault.MaintenanceWindow, "duration"},
		{"duration of 25 hours", deployment.Window{Schedule: yearly, Duration: "25:00:00", Timezone: "+02:00"}, fault.MaintenanceWindow, "duration"},
		{"zone by name", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "UTC"}, fault.MaintenanceWindow, "timezone"},
		{"zone by a long name", deployment.Window{Schedule: yearly, Duration: "02:00", Timezone: "Europe/Berlin"}, fault.MaintenanceWindow, "timezone"},
		{"zone from elsewhere", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "Mars"}, fault.MaintenanceWindow, "timezone"},
		{"zone without sign", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "02:00"}, fault.MaintenanceWindow, "timezone"},
		{"zone too far", deployment.Window{Schedule: yearly, Duration: "02:00:00", Timezone: "+25:00"}, fault.MaintenanceWindow, "timezone"},

		{"schedule too long", deployment.Window{Schedule: "0 0 3 1 1 ? " + strings.Repeat("2090,", 24) + "2090", Duration: "02:00", Timezone: "Z"}, fault.Invalid, "128"},
		{"duration too long", deployment.Window{Schedule: yearly, Duration: "02:00:00.12345678", Timezone: "Z"}, fault.Invalid, "16"},
	}
	now := instant(t, "2026-11-22T12:00:00Z")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, err := deployment.ParseWindow(test.window.Schedule, test.window.Duration, test.window.Timezone, now)
			if test.want == ok {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.window, w); diff != "" {
					t.Errorf("the texts are not kept as sent:\n%s", diff)
				}
				return
			}
			if !fault.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want one of kind %d with %q", err, test.want, test.says)
			}
		})
	}
}

func TestWindowOpens(t *testing.T) {
	t.Parallel()
	night := deployment.Window{Schedule: "0 0 23 * * ?", Duration: "02:00:00", Timezone: "+02:00"} // 21:00 to 23:00 UTC
	midnight := deployment.Window{Schedule: "0 0 23 31 12 ? 2026", Duration: "03:00", Timezone: "-05:00"}
	hourly := deployment.Window{Schedule: "0 0 * * * ?", Duration: "02:30", Timezone: "Z"}
	never := deployment.Window{Schedule: "0 0 3 * * ?", Duration: "00:00", Timezone: "Z"}
	blink := deployment.Window{Schedule: "0 0 3 * * ?", Duration: "00:00:00.5", Timezone: "Z"}
	leap := deployment.Window{Schedule: "0 0 0 29 2 ?", Duration: "23:59", Timezone: "+05:45"}
	unreadable := deployment.Window{Schedule: "at night", Duration: "02:00", Timezone: "Z"}
	tests := []struct {
		name   string
		window deployment.Window
		now    string
		open   bool
		next   string // "" for none
	}{
		{"none", deployment.Window{}, "2026-11-22T12:00:00Z", true, ""},
		{"before", night, "2026-11-22T20:59:59.999Z", false, "2026-11-22T21:00:00Z"},
		{"at its beginning", night, "2026-11-22T21:00:00Z", true, "2026-11-22T21:00:00Z"},
		{"within", night, "2026-11-22T22:30:00Z", true, "2026-11-22T21:00:00Z"},
		{"until the last moment", night, "2026-11-22T22:59:59.999Z", true, "2026-11-22T21:00:00Z"},
		{"at its end", night, "2026-11-22T23:00:00Z", false, "2026-11-23T21:00:00Z"},
		{"over midnight and the year", midnight, "2027-01-01T06:59:59Z", true, "2027-01-01T04:00:00Z"},
		{"the year is over", midnight, "2027-01-01T07:00:00Z", false, ""},
		{"overlapping windows", hourly, "2026-11-22T12:10:00Z", true, "2026-11-22T10:00:00Z"},
		{"no duration", never, "2026-11-22T03:00:00Z", false, "2026-11-23T03:00:00Z"},
		{"half a second", blink, "2026-11-22T03:00:00.499Z", true, "2026-11-22T03:00:00Z"},
		{"after half a second", blink, "2026-11-22T03:00:00.5Z", false, "2026-11-23T03:00:00Z"},
		{"leap day far off", leap, "2026-11-22T12:00:00Z", false, "2028-02-28T18:15:00Z"},
		{"leap day", leap, "2028-02-29T12:00:00Z", true, "2028-02-28T18:15:00Z"},
		{"unreadable", unreadable, "2026-11-22T12:00:00Z", false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := instant(t, test.now)
			next := ""
			if start, ok := test.window.Next(now); ok {
				next = start.UTC().Format(time.RFC3339)
			}
			if open := test.window.Available(now); open != test.open || next != test.next {
				t.Errorf("open %v, next %q; want %v, %q", open, next, test.open, test.next)
			}
			if over := test.window.Over(now); over != (next == "" && !test.window.IsZero()) {
				t.Errorf("over is %v", over)
			}
		})
	}
}

// TestWindowNextAsRecorded holds the starts that the model server gave.
func TestWindowNextAsRecorded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		window deployment.Window
		want   int64
	}{
		{deployment.Window{Schedule: "0 0 3 1 1 ? 2090", Duration: "02:00:00", Timezone: "+02:00"}, 3786915600000},
		{deployment.Window{Schedule: "0 0 3 1 1 ? 2090", Duration: "02:00:00", Timezone: "-09:30"}, 3786957000000},
		{deployment.Window{Schedule: "15 30 12 24 12 ? 2080", Duration: "00:00:01", Timezone: "+00:00"}, 3502269015000},
		{deployment.Window{Schedule: "0 0 3 1 1 ? 2090", Duration: "23:59:59", Timezone: "+02:00"}, 3786915600000},
		{deployment.Window{Schedule: "0 0 3 ? 1 SUN#1 2090", Duration: "02:00:00", Timezone: "+02:00"}, 3786915600000},
		{deployment.Window{Schedule: "0 0 3 ? * SUN 2099", Duration: "01:00:00", Timezone: "+00:00"}, 4071178800000},
	}
	now := instant(t, "2026-11-22T12:00:00Z")
	for _, test := range tests {
		start, ok := test.window.Next(now)
		if !ok || start.UnixMilli() != test.want {
			t.Errorf("%v begins at %d, want %d", test.window, start.UnixMilli(), test.want)
		}
	}
}

func TestWindowTimezones(t *testing.T) {
	t.Parallel()
	tests := []struct {
		timezone string
		hours    float64 // east of UTC; 99 when it cannot be read
	}{
		{"Z", 0},
		{"+00:00", 0},
		{"-00:00", 0},
		{"+2", 2},
		{"+02", 2},
		{"+0200", 2},
		{"+02:00", 2},
		{"-9", -9},
		{"-09:30", -9.5},
		{"+05:45", 5.75},
		{"+013000", 1.5},
		{"+18:00", 18},
		{"-18:00", -18},
		{"+18:01", 99},
		{"+19", 99},
		{"+2:00", 99},
		{"+02:60", 99},
		{"+02:0", 99},
		{"+020", 99},
		{"+02000", 99},
		{"+0200000", 99},
		{"+02:000", 99},
		{"+0:2:0:0", 99},
		{"+", 99},
		{"-", 99},
		{"z", 99},
		{"UTC", 99},
		{" Z", 99},
		{"+٠٢", 99},
	}
	now := instant(t, "2026-11-22T12:00:00Z")
	for _, test := range tests {
		w := deployment.Window{Schedule: "0 0 0 1 1 ? 2030", Duration: "01:00", Timezone: test.timezone}
		start, ok := w.Next(now)
		got := 99.0
		if ok {
			got = instant(t, "2030-01-01T00:00:00Z").Sub(start).Hours()
		}
		if got != test.hours {
			t.Errorf("%q is %v hours east, want %v", test.timezone, got, test.hours)
		}
	}
}

func TestWindowDurations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		duration string
		want     time.Duration // below zero when it cannot be read
	}{
		{"00:00", 0},
		{"00:00:01", time.Second},
		{"02:30", 150 * time.Minute},
		{"23:59:59", 24*time.Hour - time.Second},
		{"23:59:59.999999", 24*time.Hour - time.Microsecond},
		{"00:00:00.5", 500 * time.Millisecond},
		{" 01:00 ", time.Hour},
		{"24:00", -1},
		{"00:60", -1},
		{"00:00:60", -1},
		{"1:00", -1},
		{"01:0", -1},
		{"01", -1},
		{"01:00:00:00", -1},
		{"01:00.5", -1},
		{"01:00:00.", -1},
		{"01:00:00.x", -1},
		{"01:00:00,5", -1},
		{"-01:00", -1},
		{"+1:00", -1},
		{"01:00Z", -1},
		{"PT1H", -1},
	}
	start := instant(t, "2030-01-01T00:00:00Z")
	for _, test := range tests {
		w := deployment.Window{Schedule: "0 0 0 1 1 ? 2030", Duration: test.duration, Timezone: "Z"}
		if test.want < 0 {
			if err := w.Validate(start); !fault.Is(err, fault.MaintenanceWindow) {
				t.Errorf("%q: the error is %v", test.duration, err)
			}
			continue
		}
		if w.Available(start.Add(test.want)) || test.want > 0 && !w.Available(start.Add(test.want-1)) {
			t.Errorf("%q does not close after %v", test.duration, test.want)
		}
	}
}

func TestWindowPollInterval(t *testing.T) {
	t.Parallel()
	const base, minimum = 5 * time.Minute, 30 * time.Second
	start := instant(t, "2026-11-22T12:00:00Z")
	w := deployment.Window{Schedule: "0 0 12 22 11 ? 2026", Duration: "00:10", Timezone: "Z"}
	tests := []struct {
		name   string
		before time.Duration
		base   time.Duration
		count  int
		want   time.Duration
	}{
		{"far", 12 * time.Minute, base, 2, base},
		{"a third", 12 * time.Minute, base, 3, 4 * time.Minute},
		{"a tenth", 12 * time.Minute, base, 10, 72 * time.Second},
		{"a hundredth", 12 * time.Minute, base, 100, minimum},
		{"near", 20 * time.Second, base, 1, minimum},
		{"usual interval at the minimum", 20 * time.Minute, minimum, 3, minimum},
		{"longer usual interval", 40 * time.Minute, 8 * time.Minute, 3, 8 * time.Minute},
		{"open", 0, base, 3, base},
		{"open for long", -9 * time.Minute, base, 3, base},
		{"over", -11 * time.Minute, base, 3, base},
		{"count of none", time.Minute, base, 0, base},
		{"count below none", time.Minute, base, -1, minimum},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := w.PollInterval(start.Add(-test.before), test.base, minimum, test.count); got != test.want {
				t.Errorf("sleeps %v, want %v", got, test.want)
			}
		})
	}
	if got := (deployment.Window{}).PollInterval(start, base, minimum, 3); got != base {
		t.Errorf("without a window it sleeps %v", got)
	}
}

// FuzzWindow holds what every readable window promises: if one is open, it
// began; if none is open, the next begins later; what Validate takes is not over.
func FuzzWindow(f *testing.F) {
	f.Add("0 0 3 ? * SUN", "02:00:00", "+02:00", int64(1_795_348_800))
	f.Add("0 0 23 L * ? 2026-2030", "23:59:59.5", "-0930", int64(1_798_700_000))
	f.Add("", "", "", int64(0))
	f.Fuzz(func(t *testing.T, schedule, duration, timezone string, unix int64) {
		w := deployment.Window{Schedule: schedule, Duration: duration, Timezone: timezone}
		now := time.Unix(unix%(1<<33), 0)
		err := w.Validate(now)
		if kind := fault.KindOf(err); err != nil && kind != fault.MaintenanceWindow && kind != fault.Invalid {
			t.Errorf("%v: kind %d", err, kind)
		}
		start, ok := w.Next(now)
		if err == nil && !w.IsZero() && !ok {
			t.Errorf("%v is valid at %v, but never opens", w, now)
		}
		if ok && w.Available(now) == start.After(now) {
			t.Errorf("%v at %v begins at %v", w, now, start)
		}
		if got := w.PollInterval(now, time.Minute, time.Second, 3); got < time.Second || got > time.Minute {
			t.Errorf("sleeps %v", got)
		}
	})
}
