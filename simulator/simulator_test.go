package simulator_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/simulator"
)

func fleet(t *testing.T, n int) *simulator.Fleet {
	t.Helper()
	f, err := simulator.NewFleet("dev-%03d", 1, n)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// simulate runs until nothing is left to do.
func simulate(t *testing.T, c simulator.Config) simulator.Report {
	t.Helper()
	if c.Interval == 0 {
		c.Interval = 20 * time.Millisecond
	}
	if c.Duration == 0 {
		c.Duration = 30 * time.Second
	}
	c.UntilIdle = true
	s, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDevices(t *testing.T) {
	t.Parallel()
	const n = 20
	tests := []struct {
		name    string
		server  func(*ddi)
		config  simulator.Config
		said    map[string]int
		updates simulator.Updates
		errors  map[string]int64
	}{
		{
			name:    "update without download",
			config:  simulator.Config{Reports: 2},
			said:    map[string]int{"poll, deployment, proceeding none, proceeding none, download none, downloaded none, closed success": n},
			updates: simulator.Updates{Started: n, Succeeded: n},
		},
		{
			name:    "attributes, download, and time to install",
			config:  simulator.Config{Attributes: true, Download: true, Install: 30 * time.Millisecond},
			said:    map[string]int{"poll, attributes, deployment, download none, artifact, downloaded none, closed success": n},
			updates: simulator.Updates{Started: n, Succeeded: n},
		},
		{
			name:    "all fail",
			config:  simulator.Config{Failures: 1},
			said:    map[string]int{"poll, deployment, download none, downloaded none, closed failure": n},
			updates: simulator.Updates{Started: n, Failed: n},
		},
		{
			name:    "all are silent",
			config:  simulator.Config{Silent: 1},
			said:    map[string]int{"poll, deployment": n},
			updates: simulator.Updates{Started: n, Silent: n},
		},
		{
			name:    "wrong bytes",
			server:  func(s *ddi) { s.broken = true },
			config:  simulator.Config{Download: true},
			said:    map[string]int{"poll, deployment, download none, artifact, closed failure": n},
			updates: simulator.Updates{Started: n, Failed: n},
			errors:  map[string]int64{"download: wrong sha256": n},
		},
		{
			name:    "called off",
			server:  func(s *ddi) { s.cancel = true },
			said:    map[string]int{"poll, cancellation, stop closed success": n},
			updates: simulator.Updates{Canceled: n},
		},
		{
			name:    "asked for consent",
			server:  func(s *ddi) { s.consent = true },
			said:    map[string]int{"poll, question, confirmed, poll, deployment, download none, downloaded none, closed success": n},
			updates: simulator.Updates{Confirmed: n, Started: n, Succeeded: n},
		},
		{
			name:    "download only",
			server:  func(s *ddi) { s.update = "skip" },
			said:    map[string]int{"poll, deployment, download none, downloaded none": n},
			updates: simulator.Updates{Started: n},
		},
		{
			name:    "server that misses the last report",
			server:  func(s *ddi) { s.deaf = true },
			said:    map[string]int{"poll, deployment, download none, downloaded none, closed success, poll, deployment, download none, downloaded none, closed success": n},
			updates: simulator.Updates{Started: 2 * n, Succeeded: n},
			errors:  map[string]int64{"feedback: 503": n},
		},
	}
	for _, fast := range []bool{false, true} {
		for _, test := range tests {
			name := test.name
			if fast {
				name += ", fast"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server := newDDI(t)
				if test.server != nil {
					test.server(server)
				}
				c := test.config
				c.URL, c.Fleet, c.Fast = server.URL, fleet(t, n), fast
				r := simulate(t, c)
				if diff := cmp.Diff(test.said, server.said()); diff != "" {
					t.Error("conversations (-want +got):\n" + diff)
				}
				if diff := cmp.Diff(test.updates, r.Updates); diff != "" {
					t.Error("updates (-want +got):\n" + diff)
				}
				if diff := cmp.Diff(test.errors, r.Errors); diff != "" {
					t.Error("errors (-want +got):\n" + diff)
				}
				if r.Ended != "idle" {
					t.Errorf("ended by %s, want idle", r.Ended)
				}
			})
		}
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	tokens, err := simulator.ReadFleet(strings.NewReader("dev-1 secret-1\ndev-2 secret-2\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		config simulator.Config
		right  func(*http.Request) bool
	}{
		{simulator.Config{Mode: simulator.TargetToken, Fleet: tokens}, func(r *http.Request) bool {
			_, number, _ := strings.Cut(r.PathValue("id"), "-")
			return r.Header.Get("Authorization") == "TargetToken secret-"+number
		}},
		{simulator.Config{Mode: simulator.GatewayToken, Secret: "shared"}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "GatewayToken shared"
		}},
		{simulator.Config{Mode: simulator.TrustedProxy, Secret: "aabb"}, func(r *http.Request) bool {
			return r.Header.Get("X-Controller-Id") == r.PathValue("id") && r.Header.Get("X-Authority") == "aabb"
		}},
		{simulator.Config{Mode: simulator.Anonymous}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && r.Header.Get("X-Controller-Id") == ""
		}},
	}
	for _, fast := range []bool{false, true} {
		for _, test := range tests {
			server := newDDI(t)
			server.authorized = test.right
			c := test.config
			c.URL, c.Fast, c.Attributes, c.Download = server.URL, fast, true, true
			if c.Fleet == nil {
				c.Fleet = fleet(t, 2)
			}
			r := simulate(t, c)
			if r.Failures() != 0 || r.Updates.Succeeded != 2 {
				t.Errorf("%s, fast %t: %+v", c.Mode, fast, r)
			}
		}
	}
}

// play runs until stop says so, once a second.
func play(t *testing.T, c simulator.Config, stop func(simulator.Progress) bool) simulator.Report {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	c.Progress = func(p simulator.Progress) {
		if stop(p) {
			interrupt()
		}
	}
	s, err := simulator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ended != "interrupted" {
		t.Errorf("ended by %s, want interrupted", r.Ended)
	}
	return r
}

func TestFaultsAreCounted(t *testing.T) {
	t.Parallel()
	closed, locked := newDDI(t), newDDI(t)
	closed.Close()
	locked.authorized = func(*http.Request) bool { return false }
	for _, fast := range []bool{false, true} {
		for server, want := range map[*ddi]string{closed: "poll: connection refused", locked: "poll: 401"} {
			c := simulator.Config{URL: server.URL, Fleet: fleet(t, 3), Fast: fast, Interval: time.Hour, Ramp: time.Millisecond}
			r := play(t, c, func(p simulator.Progress) bool { return p.Errors >= 3 })
			if diff := cmp.Diff(map[string]int64{want: 3}, r.Errors); diff != "" {
				t.Errorf("fast %t: %s", fast, diff)
			}
		}
	}
}

func TestFlood(t *testing.T) {
	t.Parallel()
	const n = 50
	for _, fast := range []bool{false, true} {
		server := newDDI(t)
		ctx, interrupt := context.WithCancel(t.Context())
		server.enough, server.end = 10*n, interrupt
		s, err := simulator.New(simulator.Config{URL: server.URL, Fleet: fleet(t, n), Flood: true, Connections: 4, Fast: fast, Silent: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ended != "interrupted" || len(r.Errors) > 0 {
			t.Errorf("fast %t: %+v", fast, r)
		}
		if diff := cmp.Diff(map[string]int{"poll, deployment": n}, server.said()); diff != "" {
			t.Errorf("fast %t: every device should have had its turn (-want +got):\n%s", fast, diff)
		}
	}
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config simulator.Config
	}{
		{"of the server, one second", simulator.Config{}},
		{"our own", simulator.Config{Interval: time.Second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newDDI(t)
			c := test.config
			c.URL, c.Fleet, c.Silent, c.Ramp = server.URL, fleet(t, 10), 1, time.Millisecond
			r := play(t, c, func(p simulator.Progress) bool { return p.Polls >= 30 })
			if r.Seconds < 2 {
				t.Errorf("three polls of each device took %.1f s, which is too fast", r.Seconds)
			}
		})
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	server := newDDI(t)
	r := simulate(t, simulator.Config{URL: server.URL, Fleet: fleet(t, 1000), Failures: 0.25, Silent: 0.1, Seed: 3, Fast: true})
	u := r.Updates
	if u.Started != 1000 || u.Succeeded+u.Failed+u.Silent != 1000 {
		t.Errorf("devices are missing: %+v", u)
	}
	if u.Silent < 70 || u.Silent > 130 || u.Failed < 180 || u.Failed > 270 {
		t.Errorf("about 100 should be silent and 225 fail: %+v", u)
	}
}

func TestSleepOfTheServer(t *testing.T) {
	t.Parallel()
	server := newDDI(t) // says one second
	s, err := simulator.New(simulator.Config{URL: server.URL, Fleet: fleet(t, 10), Silent: 1, Ramp: time.Millisecond, Duration: 2500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Answered(simulator.Poll); got != 30 {
		t.Errorf("10 devices polled %d times in 2.5 s, want 30", got)
	}
}

func TestPollsOnly(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, 20 * time.Millisecond} { // what the server says; their own
		server := newDDI(t)
		s, err := simulator.New(simulator.Config{URL: server.URL, Fleet: fleet(t, 10), Interval: interval, Ramp: time.Millisecond, Attributes: true, PollsOnly: true, UntilIdle: true, Duration: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Ended != "idle" || len(r.Requests) != 1 || r.Answered(simulator.Poll) < 10 || server.said()["poll"] != 10 || r.Failures() > 0 {
			t.Errorf("devices that only poll: %+v, and said %v", r, server.said())
		}
	}
}

func TestLaps(t *testing.T) {
	t.Parallel()
	server := newDDI(t)
	all := make(chan struct{})
	var once sync.Once
	s, err := simulator.New(simulator.Config{URL: server.URL, Fleet: fleet(t, 10), Interval: time.Hour, Ramp: time.Millisecond, Silent: 1, Progress: func(p simulator.Progress) {
		if p.Polls == 10 { // each device polls once
			once.Do(func() { close(all) })
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	last := make(chan simulator.Report)
	go func() {
		r, err := s.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		last <- r
	}()
	<-all
	first := s.Lap()
	end()
	r := <-last
	if n := first.Answered(simulator.Poll); n != 10 {
		t.Errorf("%d polls before the lap", n)
	}
	if n := r.Answered(simulator.Poll); n != 0 || r.Updates.Silent != 10 {
		t.Errorf("%d polls after the lap, %+v", n, r.Updates)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	ok := simulator.Config{URL: "http://127.0.0.1:1", Fleet: fleet(t, 1)}
	tests := []struct {
		name   string
		change func(*simulator.Config)
		says   string
	}{
		{"no devices", func(c *simulator.Config) { c.Fleet = nil }, "no devices"},
		{"no address", func(c *simulator.Config) { c.URL = "127.0.0.1:8080" }, "http://HOST:PORT"},
		{"a path", func(c *simulator.Config) { c.URL += "/rest" }, "http://HOST:PORT"},
		{"fast with TLS", func(c *simulator.Config) { c.URL, c.Fast = "https://h", true }, "plain HTTP"},
		{"share above one", func(c *simulator.Config) { c.Failures = 3 }, "between 0 and 1"},
		{"no tokens", func(c *simulator.Config) { c.Mode = simulator.TargetToken }, "dev-001 has no target token"},
		{"no gateway token", func(c *simulator.Config) { c.Mode = simulator.GatewayToken }, "needs a secret"},
		{"unknown mode", func(c *simulator.Config) { c.Mode = "tls" }, "unknown"},
		{"negative time", func(c *simulator.Config) { c.Install = -1 }, "negative"},
	}
	for _, test := range tests {
		c := ok
		test.change(&c)
		if _, err := simulator.New(c); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.says)
		}
	}
}
