package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/cron"
)

// layout shows the day of the week, which most cases are about.
const layout = "Mon 2006-01-02 15:04:05"

func TestNext(t *testing.T) {
	t.Parallel()
	sunday := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		text string
		want []string // the first fire times; a last "" says that there are no more
	}{
		{"0 0 3 ? * SUN", []string{"Sun 2026-11-29 03:00:00", "Sun 2026-12-06 03:00:00"}},
		{"0 0 2 ? * 1", []string{"Sun 2026-11-29 02:00:00"}},
		{"0 0 12 ? * SUN", []string{"Sun 2026-11-29 12:00:00"}}, // strictly after
		{"1 0 12 ? * SUN", []string{"Sun 2026-11-22 12:00:01"}},
		{"0 30 10-13 ? * WED,FRI", []string{
			"Wed 2026-11-25 10:30:00", "Wed 2026-11-25 11:30:00", "Wed 2026-11-25 12:30:00", "Wed 2026-11-25 13:30:00",
			"Fri 2026-11-27 10:30:00",
		}},
		{"0 0/15 * * * ?", []string{"Sun 2026-11-22 12:15:00", "Sun 2026-11-22 12:30:00", "Sun 2026-11-22 12:45:00", "Sun 2026-11-22 13:00:00"}},
		{"/20 * * * * ?", []string{"Sun 2026-11-22 12:00:20", "Sun 2026-11-22 12:00:40", "Sun 2026-11-22 12:01:00"}},
		{"0 5-50/20 12 * * ?", []string{"Sun 2026-11-22 12:05:00", "Sun 2026-11-22 12:25:00", "Sun 2026-11-22 12:45:00", "Mon 2026-11-23 12:05:00"}},
		{"0 0 0 */10 * ?", []string{"Tue 2026-12-01 00:00:00", "Fri 2026-12-11 00:00:00", "Mon 2026-12-21 00:00:00", "Thu 2026-12-31 00:00:00", "Fri 2027-01-01 00:00:00"}},
		{"0 0 22-2/2 * * ?", []string{"Sun 2026-11-22 22:00:00", "Mon 2026-11-23 00:00:00", "Mon 2026-11-23 02:00:00", "Mon 2026-11-23 22:00:00"}},
		{"0 0 3 ? * FRI-MON", []string{"Mon 2026-11-23 03:00:00", "Fri 2026-11-27 03:00:00", "Sat 2026-11-28 03:00:00", "Sun 2026-11-29 03:00:00", "Mon 2026-11-30 03:00:00", "Fri 2026-12-04 03:00:00"}},
		{"0 0 3 ? * *", []string{"Mon 2026-11-23 03:00:00", "Tue 2026-11-24 03:00:00"}},
		{"  0  0 3\t* * ? ", []string{"Mon 2026-11-23 03:00:00"}},
		{"0 0 3 1 jan,Jul ?", []string{"Fri 2027-01-01 03:00:00", "Thu 2027-07-01 03:00:00", "Sat 2028-01-01 03:00:00"}},
		{"0 0 3 ? NOV-FEB mon#1", []string{"Mon 2026-12-07 03:00:00", "Mon 2027-01-04 03:00:00", "Mon 2027-02-01 03:00:00", "Mon 2027-11-01 03:00:00"}},

		// Months of unlike length, and leap days.
		{"0 0 3 31 * ?", []string{"Thu 2026-12-31 03:00:00", "Sun 2027-01-31 03:00:00", "Wed 2027-03-31 03:00:00", "Mon 2027-05-31 03:00:00"}},
		{"0 0 3 29 2 ?", []string{"Tue 2028-02-29 03:00:00", "Sun 2032-02-29 03:00:00"}},
		{"0 0 3 29 2 ? 2096-2099", []string{"Wed 2096-02-29 03:00:00", ""}},
		{"0 0 3 30 2 ?", []string{""}},
		{"0 0 3 31 4,6,9,11 ?", []string{""}},
		{"59 59 23 L 2 ?", []string{"Sun 2027-02-28 23:59:59", "Tue 2028-02-29 23:59:59"}},

		// L, W and #.
		{"0 15 10 L * ?", []string{"Mon 2026-11-30 10:15:00", "Thu 2026-12-31 10:15:00", "Sun 2027-01-31 10:15:00", "Sun 2027-02-28 10:15:00"}},
		{"0 15 10 L-3 * ?", []string{"Fri 2026-11-27 10:15:00", "Mon 2026-12-28 10:15:00"}},
		{"0 0 3 L-30 * ?", []string{"Tue 2026-12-01 03:00:00", "Fri 2027-01-01 03:00:00", "Mon 2027-03-01 03:00:00"}},
		{"0 0 12 LW * ?", []string{"Mon 2026-11-30 12:00:00", "Thu 2026-12-31 12:00:00", "Fri 2027-01-29 12:00:00", "Fri 2027-02-26 12:00:00"}},
		{"0 0 12 L-1W * ? 2027", []string{"Fri 2027-01-29 12:00:00", "Fri 2027-02-26 12:00:00", "Tue 2027-03-30 12:00:00"}},
		{"0 0 3 15W * ?", []string{"Tue 2026-12-15 03:00:00", "Fri 2027-01-15 03:00:00", "Mon 2027-02-15 03:00:00"}},
		{"0 0 3 1W 5,8 ?", []string{"Mon 2027-05-03 03:00:00", "Mon 2027-08-02 03:00:00"}}, // Saturday the 1st goes on, not back
		{"0 0 3 31W * ?", []string{"Thu 2026-12-31 03:00:00", "Fri 2027-01-29 03:00:00", "Wed 2027-03-31 03:00:00"}},
		{"0 0 3 1,L,15W * ?", []string{"Mon 2026-11-30 03:00:00", "Tue 2026-12-01 03:00:00", "Tue 2026-12-15 03:00:00", "Thu 2026-12-31 03:00:00", "Fri 2027-01-01 03:00:00"}},
		{"0 15 10 ? * 6L 2026-2030", []string{"Fri 2026-11-27 10:15:00", "Fri 2026-12-25 10:15:00", "Fri 2027-01-29 10:15:00"}},
		{"0 15 10 ? * fril", []string{"Fri 2026-11-27 10:15:00", "Fri 2026-12-25 10:15:00"}},
		{"0 0 3 ? * L", []string{"Sat 2026-11-28 03:00:00", "Sat 2026-12-05 03:00:00"}},
		{"0 15 10 ? * 6#3", []string{"Fri 2026-12-18 10:15:00", "Fri 2027-01-15 10:15:00"}},
		{"0 0 3 ? * SUN#5", []string{"Sun 2026-11-29 03:00:00", "Sun 2027-01-31 03:00:00", "Sun 2027-05-30 03:00:00"}},
		{"0 0 3 ? * MON#1,FRI#1,TUEL", []string{"Tue 2026-11-24 03:00:00", "Fri 2026-12-04 03:00:00", "Mon 2026-12-07 03:00:00", "Tue 2026-12-29 03:00:00"}},

		// Years.
		{"0 0 3 1 1 ? 2026", []string{""}},
		{"0 0 3 1 1 ? 2015", []string{""}},
		{"0 0 3 1 1 ? 2026,2028", []string{"Sat 2028-01-01 03:00:00", ""}},
		{"0 0 3 1 1 ? 2027/40", []string{"Fri 2027-01-01 03:00:00", "Sat 2067-01-01 03:00:00", ""}},
		{"0 0 3 1 1 ? 2090", []string{"Sun 2090-01-01 03:00:00", ""}},
		{"0 0 3 ? 1 SUN#1 2090", []string{"Sun 2090-01-01 03:00:00", ""}},
		{"0 0 3 31 12 ? 2098-2099", []string{"Wed 2098-12-31 03:00:00", "Thu 2099-12-31 03:00:00", ""}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			s, err := cron.Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for at, ok := s.Next(sunday); len(got) < len(test.want); at, ok = s.Next(at) {
				if !ok {
					got = append(got, "")
					break
				}
				got = append(got, at.Format(layout))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("fire times differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNextReadsTheClockOfTheZone(t *testing.T) {
	t.Parallel()
	s, err := cron.Parse("0 30 0 1 * ?")
	if err != nil {
		t.Fatal(err)
	}
	west := time.FixedZone("", -9*3600-30*60)
	got, ok := s.Next(time.Date(2026, 12, 1, 9, 59, 59, 999, time.UTC).In(west))
	want := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	if !ok || !got.Equal(want) {
		t.Errorf("next is %v, %v; want %v", got, ok, want)
	}
}

func TestNextFromLongAgo(t *testing.T) {
	t.Parallel()
	s, err := cron.Parse("0 0 0 1 1 ?")
	if err != nil {
		t.Fatal(err)
	}
	got, ok := s.Next(time.Date(1066, 10, 14, 9, 0, 0, 0, time.UTC))
	if want := time.Unix(0, 0); !ok || !got.Equal(want) {
		t.Errorf("next is %v, %v; want %v", got, ok, want)
	}
}

func TestZeroScheduleNeverFires(t *testing.T) {
	t.Parallel()
	if at, ok := (cron.Schedule{}).Next(time.Unix(0, 0)); ok {
		t.Errorf("fires at %v", at)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, says string }{
		{"", "0 fields"},
		{"every night", "2 fields"},
		{"0 3 * * *", "5 fields"},
		{"@daily", "1 fields"},
		{"0 0 3 * * ? 2027 1", "8 fields"},
		{"0 0 3 * * *", "exactly one"},
		{"0 0 3 1 1 1 2090", "exactly one"},
		{"0 0 3 ? * ?", "exactly one"},
		{"61 0 3 1 1 ?", "seconds: 61 is not from 0 to 59"},
		{"60 0 3 1 1 ?", "seconds: 60"},
		{"0 60 3 1 1 ?", "minutes: 60"},
		{"0 0 24 1 1 ?", "hours: 24"},
		{"0 0 3 0 1 ?", "day of month: 0"},
		{"0 0 3 32 1 ?", "day of month: 32"},
		{"0 0 3 1,99 1 ?", "day of month: 99"},
		{"0 0 3 1 0 ?", "month: 0"},
		{"0 0 3 1 13 ?", "month: 13"},
		{"0 0 3 1 JANUARY ?", `month: "JANUARY" cannot be read; it takes numbers from 1 to 12 or names from JAN to DEC`},
		{"0 0 3 1 ANF ?", `month: "ANF"`},
		{"0 0 3 ? * 0", "day of week: 0"},
		{"0 0 3 ? * 8", "day of week: 8"},
		{"0 0 3 ? * SUN#6", "day of week"},
		{"0 0 3 ? * SUN#0", "day of week"},
		{"0 0 3 ? * #2", "day of week"},
		{"0 0 3 ? * L-3", "day of week"},
		{"0 0 3 ? * 8L", "day of week: 8"},
		{"0 0 3 W * ?", "day of month"},
		{"0 0 3 32W * ?", "day of month: 32"},
		{"0 0 3 1-7W * ?", "day of month"},
		{"0 0 3 L-31 * ?", "day of month"},
		{"0 0 3 L3 * ?", "day of month"},
		{"0 0 3 WL * ?", "day of month"},
		{"0 0 3 ?,1 * ?", "day of month"},
		{"? 0 3 1 * ?", "seconds"},
		{"0/0 0 3 1 * ?", `the step "0" of "0/0"`},
		{"0/60 0 3 1 * ?", "step"},
		{"0/ 0 3 1 * ?", "step"},
		{"0/5/5 0 3 1 * ?", "step"},
		{", 0 3 1 * ?", "seconds"},
		{"1, 0 3 1 * ?", "seconds"},
		{"1-2-3 0 3 1 * ?", "seconds"},
		{"-5 0 3 1 * ?", "seconds"},
		{"+5 0 3 1 * ?", "seconds"},
		{"5.0 0 3 1 * ?", "seconds"},
		{"99999999999999999999 0 3 1 * ?", "seconds"},
		{"٣ 0 3 1 * ?", "seconds"},
		{"0 0 3 1 * ? 1969", "year: 1969"},
		{"0 0 3 1 * ? 2100", "year: 2100"},
		{"0 0 3 1 * ? 2030-2027", "ends before it begins"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			_, err := cron.Parse(test.text)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want one with %q", err, test.says)
			}
		})
	}
}

// FuzzParse holds Next against its promises: later, in order, on a whole
// second, and the very second before it leads to it as well.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"0 0 3 ? * SUN", "0 15 10 L-3,1W * ?", "0/7 5-50/20 22-2 ? FEB 6#3,7L 2026/3", "0 0 3 29 2 ? 2096", "* * * * * ?"} {
		f.Add(text, int64(1_795_348_800))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := cron.Parse(text)
		if err != nil {
			return
		}
		after := time.Unix(unix%(1<<33), 0).In(time.FixedZone("", int(unix%64800)))
		first, ok := s.Next(after)
		if !ok {
			return
		}
		if !first.After(after) || first.Nanosecond() != 0 {
			t.Errorf("%q after %v is %v", text, after, first)
		}
		again, ok := s.Next(first.Add(-time.Nanosecond))
		if !ok || !again.Equal(first) {
			t.Errorf("%q right before %v gives %v", text, first, again)
		}
		if second, ok := s.Next(first); ok && !second.After(first) {
			t.Errorf("%q after %v is %v", text, first, second)
		}
	})
}
