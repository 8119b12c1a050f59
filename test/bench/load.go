package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/otaria/otaria/simulator"
)

// password is the administrator's of every server measured.
const password = "measured"

// simulate runs otactl simulate against a server and returns its report.
func (p *plan) simulate(ctx context.Context, url, fleet string, flags ...string) (*simulator.Report, error) {
	args := []string{
		"simulate", "--url", url, "--file", fleet, "--auth", "target", "--fast", "--connections", strconv.Itoa(p.clients),
		"--quiet", "--strict", "--output", "json",
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "otactl"), append(args, flags...)...) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), "OTARIA_PASSWORD="+password)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("otactl simulate: %w\n%s%s", err, out, stderr.String())
	}
	var r simulator.Report
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, fmt.Errorf("report of otactl simulate: %w", err)
	}
	return &r, nil
}

// requests returns what the report says of one kind.
func requests(r *simulator.Report, kind simulator.Kind) simulator.Requests {
	for _, q := range r.Requests {
		if q.Kind == kind.String() {
			return q
		}
	}
	return simulator.Requests{}
}

// A sample is one measurement.
type sample struct {
	perSecond     float64
	p50, p99      float64 // milliseconds
	late99        float64 // milliseconds that requests were sent after their time
	cpu, database float64 // microseconds of the server, and of PostgreSQL, for each request
	memory, files float64 // resident MiB: of its own, and of files that it has mapped
}

// watched is a server to be measured.
type watched struct {
	*process
	database int // PostgreSQL's process, or 0
}

// spent is how long the server, and PostgreSQL, have computed so far.
func (w *watched) spent() (server, database time.Duration, err error) {
	if server, err = cpu(w.cmd.Process.Pid, false); err == nil && w.database != 0 {
		database, err = cpu(w.database, true)
	}
	return server, database, err
}

// during measures what a server spends while play runs. The load's warm-up is
// part of it: what is spent is shared among all requests that count tells.
func (w *watched) during(play func() (*simulator.Report, error), kind simulator.Kind, count func(*simulator.Report) float64) (sample, error) {
	server, database, err := w.spent()
	if err != nil {
		return sample{}, err
	}
	r, err := play()
	if err != nil {
		return sample{}, err
	}
	serverAfter, databaseAfter, err := w.spent()
	if err != nil {
		return sample{}, err
	}
	s := sample{late99: r.Late.P99}
	q := requests(r, kind)
	s.perSecond, s.p50, s.p99 = q.PerSecond, q.P50, q.P99
	if n := count(r); n > 0 {
		s.cpu = float64((serverAfter - server).Microseconds()) / n
		s.database = float64((databaseAfter - database).Microseconds()) / n
	}
	s.memory, s.files, err = memory(w.cmd.Process.Pid)
	return s, err
}

// polls measures a server with as many polls as it can answer, or with a rate
// of them if it is not 0.
func (p *plan) polls(ctx context.Context, w *watched, fleet string, rate float64) (sample, error) {
	how := []string{"--flood"}
	if rate > 0 {
		how = []string{"--rate", strconv.FormatFloat(rate, 'f', -1, 64)}
	}
	// Warming up is a run of its own, so that what the server spends is what it
	// spends on the polls that are counted.
	if _, err := p.simulate(ctx, w.url, fleet, append(how, "--no-attributes", "--duration", p.warmup.String())...); err != nil {
		return sample{}, err
	}
	return w.during(func() (*simulator.Report, error) {
		return p.simulate(ctx, w.url, fleet, append(how, "--no-attributes", "--duration", p.measure.String())...)
	}, simulator.Poll, func(r *simulator.Report) float64 { return float64(r.Answered(simulator.Poll)) })
}
