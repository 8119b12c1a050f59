package tenant_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/tenant"
)

// every makes an interval of so many seconds.
func every(seconds, deviation int) tenant.Interval {
	return tenant.Interval{Base: time.Duration(seconds) * time.Second, Deviation: deviation}
}

func TestParsePolling(t *testing.T) {
	t.Parallel()
	only := func(seconds, deviation int) tenant.Polling { return tenant.Polling{Base: every(seconds, deviation)} }
	tests := []struct {
		text string
		want tenant.Polling
	}{
		// The sleeps that the model server gave.
		{"00:05:00", only(300, 0)},
		{"23:59:59", only(86399, 0)},
		{"00:02:03", only(123, 0)},
		{"PT1M", only(60, 0)},
		{"PT1H30M", only(5400, 0)},
		{"PT90S", only(90, 0)},
		{"PT23H59M59S", only(86399, 0)},
		{"60", only(60, 0)},
		{"1:30", only(90, 0)},
		{"02:30", only(150, 0)},
		{"0:1:0", only(60, 0)},
		{"00:00:90", only(90, 0)},
		{"00:90:00", only(5400, 0)},
		{" 00:01:00", only(60, 0)},
		{"00:01:00 ", only(60, 0)},
		{"000:001:000", only(60, 0)},
		{"PT30.5S", only(30, 0)},
		{"60000", only(60000, 0)},
		{"PT2M-30S", only(90, 0)},
		{"+PT+1M", only(60, 0)},

		{"00:01:00~0%", only(60, 0)},
		{"00:05:00~10%", only(300, 10)},
		{"00:05:00 ~5%", only(300, 5)},
		{" PT5M~99% ", only(300, 99)},
		{"300~05%", only(300, 5)},

		{"00:02:00, controllerid == 4711 -> 00:01:00, group == 'Europe' -> 00:05:05~10%", tenant.Polling{
			Base: every(120, 0),
			Overrides: []tenant.PollingOverride{
				{Query: "controllerid == 4711", Interval: every(60, 0)},
				{Query: "group == 'Europe'", Interval: every(305, 10)},
			},
		}},
		{"00:05:00,group==x->00:01:00", tenant.Polling{Base: every(300, 0), Overrides: []tenant.PollingOverride{{Query: "group==x", Interval: every(60, 0)}}}},
		{"300, id =in= (a,b) -> 60, name=='a, b' -> 90", tenant.Polling{Base: every(300, 0), Overrides: []tenant.PollingOverride{
			{Query: "id =in= (a,b)", Interval: every(60, 0)}, {Query: "name=='a, b'", Interval: every(90, 0)},
		}}},
		{"300, id==a,id==b -> 60", tenant.Polling{Base: every(300, 0), Overrides: []tenant.PollingOverride{{Query: "id==a,id==b", Interval: every(60, 0)}}}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got, err := tenant.ParsePolling(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the plan differs (-want +got):\n%s", diff)
			}
			again, err := tenant.ParsePolling(got.String())
			if err != nil || cmp.Diff(got, again) != "" {
				t.Errorf("%q does not read back: %v, %v", got.String(), again, err)
			}
		})
	}
}

// TestParsePollingRefuses is for what the recorded values of TestConvertAsRecorded leave out.
func TestParsePollingRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want fault.Kind
	}{
		{"PT29.9S", fault.ConfigValue},
		{"PT23H59M59.5S", fault.ConfigValue},
		{"PT5", fault.ConfigValue},
		{"PT", fault.ConfigValue},
		{"P", fault.ConfigValue},
		{"PT1M1H", fault.ConfigValue},
		{"PT1M1M", fault.ConfigValue},
		{"P1M", fault.ConfigValue},
		{"PT1.5M", fault.ConfigValue},
		{"PT60.1234567890S", fault.ConfigValue},
		{"PT60.-1S", fault.ConfigValue},
		{"xPT1M", fault.ConfigValue},
		{"PT1Mx", fault.ConfigValue},
		{":60", fault.ConfigValue},
		{"60:", fault.ConfigValue},
		{"+60", fault.ConfigValue},
		{"0:-1:120", fault.ConfigValue},
		{"٦٠", fault.ConfigValue},
		{"99999999999999999999", fault.ConfigValue},
		{"9223372036854775807", fault.ConfigValue},
		{"9223372036:99999999999:1", fault.ConfigValue},
		{"PT9223372036854775807S", fault.ConfigValue},
		{"P9999999DT99999999H", fault.ConfigValue},
		{"300~+5%", fault.ConfigValue},
		{"300~005%", fault.ConfigValue},
		{"300~10%~5%", fault.ConfigValue},
		{",", fault.ConfigValue},
		{"300,,", fault.ConfigValue},
		{"300, -> 60", fault.QuerySyntax},
		{"300, group==x -> 60 -> 90", fault.ConfigValue},
		{"300, name=='a -> b' -> 60", fault.ConfigValue},
	}
	for _, test := range tests {
		if p, err := tenant.ParsePolling(test.text); !fault.Is(err, test.want) {
			t.Errorf("%q: %v, %v", test.text, p, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration
	}{
		{"0", 0},
		{"99:00:00", 99 * time.Hour},
		{"P2D", 48 * time.Hour},
		{"P1DT1H1M1.001S", 25*time.Hour + time.Minute + time.Second + time.Millisecond},
		{"PT0S", 0},
		{"PT0,5S", 500 * time.Millisecond},
		{"PT1.S", time.Second},
		{"-PT1M", -time.Minute},
		{"PT-1M", -time.Minute},
		{"-PT-0.5S", 500 * time.Millisecond},
		{"-P1DT-24H", 0},
		{"9223372036", 9223372036 * time.Second},
	}
	for _, test := range tests {
		if got, err := tenant.ParseDuration(test.text); err != nil || got != test.want {
			t.Errorf("%q is %v, %v; want %v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", " ", "9223372037", "1:2:3:4", "pt1m", "00:05:00 ", "1e3", "0x10", "1_0"} {
		if got, err := tenant.ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestIntervalSleep(t *testing.T) {
	t.Parallel()
	constant := func(c float64) func() float64 { return func() float64 { return c } }
	tests := []struct {
		interval tenant.Interval
		chance   float64
		want     string
	}{
		{every(300, 0), 0.99, "00:05:00"},
		{every(600, 10), 0, "00:09:00"},
		{every(600, 10), 0.5, "00:10:00"},
		{every(600, 10), 0.75, "00:10:30"},
		{every(600, 99), 0, "00:00:30"},
		{every(30, 50), 0, "00:00:30"},
		{every(86399, 10), math.Nextafter(1, 0), "23:59:59"},
	}
	for _, test := range tests {
		if got := tenant.FormatSleep(test.interval.Sleep(constant(test.chance))); got != test.want {
			t.Errorf("%v at %v sleeps %s, want %s", test.interval, test.chance, got, test.want)
		}
	}
}

// TestIntervalSleepStaysWithin draws as the recorded conversation did.
func TestIntervalSleepStaysWithin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text      string
		low, high time.Duration
	}{
		{"00:10:00~10%", 540 * time.Second, 660 * time.Second},
		{"00:10:00~99%", 30 * time.Second, 1194 * time.Second},
		{"00:00:30~50%", 30 * time.Second, 45 * time.Second},
		{"23:59:59~10%", 77000 * time.Second, 86399 * time.Second},
		{"PT10M~1%", 594 * time.Second, 606 * time.Second},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range tests {
		p, err := tenant.ParsePolling(test.text)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for range 200 {
			d := p.Base.Sleep(random.Float64)
			if d < test.low || d > test.high || d > p.Base.Longest() {
				t.Errorf("%s sleeps %v", test.text, d)
			}
			seen[tenant.FormatSleep(d)] = true
		}
		if len(seen) < 5 {
			t.Errorf("%s hardly varies: %v", test.text, seen)
		}
	}
}

func TestFormatSleep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "00:00:00"},
		{0, "00:00:00"},
		{999 * time.Millisecond, "00:00:00"},
		{30*time.Second + 900*time.Millisecond, "00:00:30"},
		{12*time.Hour + 34*time.Minute + 56*time.Second, "12:34:56"},
		{tenant.MaxPolling, "23:59:59"},
		{24 * time.Hour, "23:59:59"},
		{math.MaxInt64, "23:59:59"},
	}
	for _, test := range tests {
		if got := tenant.FormatSleep(test.d); got != test.want {
			t.Errorf("%v is %s, want %s", test.d, got, test.want)
		}
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	last := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	i := every(600, 10)
	if got, want := i.NextExpected(last), last.Add(11*time.Minute); !got.Equal(want) {
		t.Errorf("the next poll is expected at %v, want %v", got, want)
	}
	for _, test := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false},
		{11 * time.Minute, false},
		{16 * time.Minute, false},
		{16*time.Minute + time.Millisecond, true},
	} {
		if got := i.Overdue(last, last.Add(test.after), 5*time.Minute); got != test.want {
			t.Errorf("%v later overdue is %v", test.after, got)
		}
	}

	s, problems := tenant.NewSettings(tenant.Record{Overrides: []tenant.Override{
		{Key: tenant.KeyPollingTime, Value: "00:10:00~10%, id==a -> 60"},
		{Key: tenant.KeyPollingOverdue, Value: "00:05:00"},
	}})
	if got, want := s.OverdueSince(last), last.Add(-16*time.Minute); len(problems) > 0 || !got.Equal(want) {
		t.Errorf("overdue since %v, want %v", got, want)
	}
}

func TestPollingAt(t *testing.T) {
	t.Parallel()
	p, err := tenant.ParsePolling("300, id==a -> 60, id==b -> 90")
	if err != nil {
		t.Fatal(err)
	}
	got := []tenant.Interval{p.At(-1), p.At(0), p.At(1), p.At(2), p.At(3)}
	want := []tenant.Interval{every(300, 0), every(300, 0), every(60, 0), every(90, 0), every(300, 0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzParsePolling holds that what is printed reads back, and that a sleep is
// always within the bounds.
func FuzzParsePolling(f *testing.F) {
	f.Add("00:05:00", 0.3)
	f.Add("PT5M~10%, id =in= (a, b) -> 90, name=='x' -> PT30.5S ~99%", 0.0)
	f.Fuzz(func(t *testing.T, text string, chance float64) {
		p, err := tenant.ParsePolling(text)
		if err != nil {
			if !fault.Is(err, fault.ConfigValue) && !fault.Is(err, fault.QuerySyntax) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := tenant.ParsePolling(p.String())
		if err != nil {
			t.Fatalf("%q prints as %q, which does not read: %v", text, p, err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("%q prints as %q, which is another plan:\n%s", text, p, diff)
		}
		chance = math.Abs(math.Mod(chance, 1))
		if math.IsNaN(chance) {
			return
		}
		for n := range len(p.Overrides) + 1 {
			d := p.At(n).Sleep(func() float64 { return chance })
			if d < tenant.MinPolling || d > tenant.MaxPolling || d > p.At(n).Longest() {
				t.Errorf("%v sleeps %v", p.At(n), d)
			}
		}
	})
}

// FuzzParseDuration holds that no text breaks the parser or the clock.
func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"00:05:00", "-P1DT1H1M1.001S", "P9999999DT99999999H", "9223372036"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := tenant.ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 && !strings.Contains(text, "-") {
			t.Errorf("%q is %v", text, d)
		}
	})
}
