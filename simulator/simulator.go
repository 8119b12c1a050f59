package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says what to simulate.
type Config struct {
	URL    string // of the server, such as http://127.0.0.1:8080
	Tenant string // as it stands in the path; "" is DEFAULT
	Fleet  *Fleet // the devices

	Mode   Mode   // how they authenticate; "" is Anonymous
	Secret string // the gateway's token, or the authority that the proxy names
	TLS    *tls.Config

	Interval time.Duration // between two polls of a device; 0 is what the server says
	Jitter   float64       // by which share an interval varies to both sides, 0 to 1
	Ramp     time.Duration // over which the first polls are spread; 0 is the interval, at most 10 s
	Flood    bool          // no waiting at all: as many requests as the server answers

	Failures   float64       // share of updates that end with an error, 0 to 1
	Silent     float64       // share of devices that fetch an update and never report, 0 to 1
	Download   bool          // fetch the artifacts and compare size and hashes
	Attributes bool          // send attributes when the server asks for them
	PollsOnly  bool          // only poll, whatever the server offers to do
	Reports    int           // how many intermediate reports a device sends for an update
	Install    time.Duration // how long it takes to install an update
	Seed       uint64        // decides who fails and who is silent

	Connections int           // visits at the same time, each over a connection of its own; 0 is 64
	Fast        bool          // a leaner HTTP client: plain HTTP to a server that sends Content-Length
	Timeout     time.Duration // for an answer; 0 is 30 s. A download may take 20 times as long

	Duration  time.Duration // after which to end; 0 is never
	Warmup    time.Duration // at the beginning, not measured; part of Duration
	UntilIdle bool          // end when each device's last poll brought nothing to do

	// Progress is called once a second, if set.
	Progress func(Progress)

	secret []byte
}

// A Progress is a glimpse at a running simulation.
type Progress struct {
	Passed    time.Duration
	Polls     int64   // in all
	PerSecond float64 // polls in the last second
	P99       time.Duration
	Unsettled int64 // devices that have something to do, or have not polled yet
	Updates   Updates
	Errors    int64
}

// A Simulation plays the devices of a fleet.
type Simulation struct {
	config    Config
	client    *http.Client // shared by workers that are not fast
	host      string
	devices   []device
	agenda    *agenda
	counted   counters
	unsettled atomic.Int64
	idle      chan struct{} // closed when no device is unsettled
	idleOnce  sync.Once

	mu    sync.Mutex
	since time.Time // when measuring began, or the lap
}

// New checks the config and fills in its defaults. A Simulation runs once.
func New(c Config) (*Simulation, error) {
	if c.Fleet == nil || c.Fleet.Len() == 0 {
		return nil, errors.New("there are no devices to simulate")
	}
	c.URL = strings.TrimRight(c.URL, "/")
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("the server's address %q is not of the form http://HOST:PORT or https://HOST:PORT", c.URL)
	}
	if c.Fast && u.Scheme != "http" {
		return nil, errors.New("the fast client speaks plain HTTP alone: leave it off for https")
	}
	if c.Tenant == "" {
		c.Tenant = "DEFAULT"
	}
	c.Tenant = url.PathEscape(c.Tenant)
	for _, share := range []struct {
		what string
		is   float64
	}{{"jitter", c.Jitter}, {"share of failures", c.Failures}, {"share of silent devices", c.Silent}} {
		if !(share.is >= 0 && share.is <= 1) {
			return nil, fmt.Errorf("the %s is %v: it has to be between 0 and 1", share.what, share.is)
		}
	}
	switch c.Mode {
	case "":
		c.Mode = Anonymous
	case Anonymous:
	case TargetToken:
		for i := range c.Fleet.Len() {
			if id, token := c.Fleet.Device(i); len(token) == 0 {
				return nil, fmt.Errorf("the device %s has no target token", id)
			}
		}
	case GatewayToken, TrustedProxy:
		if c.Secret == "" || strings.ContainsAny(c.Secret, "\r\n") {
			return nil, fmt.Errorf("authentication by %s needs a secret on one line", c.Mode)
		}
	default:
		return nil, fmt.Errorf("the mode of authentication %q is unknown: use none, target, gateway or header", c.Mode)
	}
	if c.Connections == 0 {
		c.Connections = 64
	}
	c.Connections = min(c.Connections, c.Fleet.Len())
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Ramp == 0 {
		c.Ramp = 10 * time.Second
		if c.Interval > 0 {
			c.Ramp = min(c.Ramp, c.Interval)
		}
	}
	if c.Connections < 0 || c.Reports < 0 || c.Interval < 0 || c.Ramp < 0 || c.Install < 0 || c.Timeout < 0 || c.Duration < 0 || c.Warmup < 0 {
		return nil, errors.New("numbers and times cannot be negative")
	}
	if c.Duration > 0 && c.Warmup >= c.Duration {
		return nil, errors.New("the warm-up has to be shorter than the whole run")
	}
	c.secret = []byte(c.Secret)
	s := &Simulation{config: c, host: u.Host, devices: make([]device, c.Fleet.Len()), idle: make(chan struct{})}
	if !c.Fast {
		s.client = newClient(&s.config)
	}
	return s, nil
}

// An endedError is the cause of an end that was asked for.
type endedError string

func (e endedError) Error() string { return string(e) }

// Run plays until the duration is over, until nothing is left to do, or until
// ctx is done: none of these is an error.
func (s *Simulation) Run(ctx context.Context) (Report, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	start := time.Now()
	s.lap(start)
	s.unsettled.Store(int64(len(s.devices)))
	s.agenda = newAgenda(len(s.devices), start)
	s.invite(start)

	var parts sync.WaitGroup
	parts.Go(func() { s.agenda.run(ctx) })
	for n := range s.config.Connections {
		parts.Go(func() { s.work(ctx, uint64(n)) })
	}
	s.watch(ctx, start, end)
	parts.Wait()

	report := s.report()
	report.Ended = "interrupted"
	var ended endedError
	if errors.As(context.Cause(ctx), &ended) {
		report.Ended = string(ended)
	}
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	return report, nil
}

// Lap reports what was measured since the last lap, or since measuring began, and
// begins the next one. It may be called while Run runs, whose own report is of the
// last lap then. What became of updates is counted from the start.
func (s *Simulation) Lap() Report {
	r := s.report()
	s.lap(time.Now())
	return r
}

func (s *Simulation) lap(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = at
	s.counted.reset()
}

func (s *Simulation) report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.counted.report(time.Since(s.since))
	r.Devices, r.Connections = len(s.devices), s.config.Connections
	if s.config.Flood {
		r.Late = Latency{} // there was no due time
	}
	return r
}

// invite gives every device its first turn, in an order that has nothing to do
// with their names: neighbours in the database are not neighbours in time.
func (s *Simulation) invite(start time.Time) {
	n := len(s.devices)
	order := rand.New(rand.NewPCG(s.config.Seed, 1)).Perm(n) //nolint:gosec // repeatable, not secret
	for k, i := range order {
		at := start
		if !s.config.Flood {
			at = at.Add(time.Duration(float64(s.config.Ramp) * float64(k) / float64(n)))
		}
		s.agenda.put(int32(i), at)
	}
}

// work plays visits until the agenda ends.
func (s *Simulation) work(ctx context.Context, n uint64) {
	w := &worker{Simulation: s, random: rand.New(rand.NewPCG(s.config.Seed, n+2))} //nolint:gosec // repeatable, not secret
	if s.config.Fast {
		w.wire = newLean(ctx, &s.config, s.host)
	} else {
		w.wire = &standard{config: &s.config, client: s.client}
	}
	defer w.wire.close()
	for {
		i, late, ok := s.agenda.take()
		if !ok {
			return
		}
		s.counted.late.Record(late)
		wait := w.visit(ctx, int(i))
		if ctx.Err() != nil {
			return
		}
		s.agenda.put(i, time.Now().Add(wait))
	}
}

// brake keeps a worker from hammering at a server that does not answer.
func (s *Simulation) brake(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// settle notes whether a device has something to do.
func (s *Simulation) settle(d *device, settled bool) {
	if d.settled == settled {
		return
	}
	d.settled = settled
	if !settled {
		s.unsettled.Add(1)
	} else if s.unsettled.Add(-1) == 0 {
		s.idleOnce.Do(func() { close(s.idle) })
	}
}

// watch reports progress and decides when to end.
func (s *Simulation) watch(ctx context.Context, start time.Time, end context.CancelCauseFunc) {
	after := func(d time.Duration) <-chan time.Time {
		if d == 0 {
			return nil
		}
		return time.After(d)
	}
	over, warm := after(s.config.Duration), after(s.config.Warmup)
	var idle <-chan struct{}
	if s.config.UntilIdle {
		idle = s.idle
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	last := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			end(endedError("duration"))
			return
		case <-idle:
			end(endedError("idle"))
			return
		case at := <-warm:
			s.lap(at)
			last = 0
		case now := <-second.C:
			if s.config.Progress == nil {
				continue
			}
			r := s.report()
			p := Progress{
				Passed: now.Sub(start), Polls: r.Answered(Poll), P99: s.counted.took[Poll].Quantile(0.99),
				Unsettled: s.unsettled.Load(), Updates: r.Updates, Errors: r.Failures(),
			}
			p.PerSecond = float64(max(p.Polls-last, 0))
			last = p.Polls
			s.config.Progress(p)
		}
	}
}
