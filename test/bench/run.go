package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/otaria/otaria/client"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/simulator"
)

// A contender is one server with one fleet.
type contender struct {
	watched
	database string // "" is the ceiling
	size     int
	fleet    string // file of its tokens
	address  string // of its database: a URL, or a file of SQLite
	restore  string // statement that makes devices' addresses those that they poll from; empty: none polls

	flood, paced, feedback []sample
	answers                []answer
	campaign               *campaign // nil: not measured
}

func (c *contender) name() string {
	if c.database == "" {
		return "ceiling"
	}
	return c.database + " " + strconv.Itoa(c.size)
}

// run measures everything.
func (p *plan) run(ctx context.Context) (f *figures, err error) {
	f = &figures{plan: p, machine: machine()}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	for _, database := range p.databases {
		if err := p.runDatabase(ctx, f, self, database); err != nil {
			return nil, fmt.Errorf("%s: %w", database, err)
		}
	}
	return f, nil
}

// runDatabase measures one database with all fleets, and the ceiling between them.
func (p *plan) runDatabase(ctx context.Context, f *figures, self, database string) (err error) {
	var postgres *testdb.Durable
	if database == "postgres" {
		if postgres, err = testdb.OpenDurable(ctx, filepath.Join(p.dir, "pg")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, postgres.Close(context.WithoutCancel(ctx))) }()
	}
	ceiling := &contender{}
	if ceiling.process, err = launch(ctx, nil, self, "ceiling"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ceiling.stop()) }()
	contenders := []*contender{ceiling}
	for _, size := range p.fleets {
		c, err := p.open(ctx, postgres, database, size)
		if err != nil {
			return fmt.Errorf("%d targets: %w", size, err)
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		contenders = append(contenders, c)
	}
	ceiling.fleet = contenders[1].fleet
	for round := range p.rounds {
		for _, c := range contenders {
			s, err := p.polls(ctx, &c.watched, c.fleet, 0)
			if err != nil {
				return fmt.Errorf("polls of %s: %w", c.name(), err)
			}
			c.flood = append(c.flood, s)
			p.say("round %d: %-18s %8.0f polls/s, p50 %.2f ms, p99 %.2f ms, %.1f µs of CPU each (and %.1f of the database), %.0f MiB and %.0f of files",
				round+1, c.name(), s.perSecond, s.p50, s.p99, s.cpu, s.database, s.memory, s.files)
		}
		if p.rate == 0 {
			continue
		}
		for _, c := range contenders {
			s, err := p.polls(ctx, &c.watched, c.fleet, p.rate)
			if err != nil {
				return fmt.Errorf("polls of %s: %w", c.name(), err)
			}
			c.paced = append(c.paced, s)
			p.say("round %d: %-18s at %.0f polls/s: p50 %.2f ms, p99 %.2f ms, begun late by %.1f ms", round+1, c.name(), s.perSecond, s.p50, s.p99, s.late99)
		}
	}
	if c := contenders[1]; p.feedback > 0 {
		for round := range p.rounds {
			s, err := p.feedbacks(ctx, c)
			if err != nil {
				return fmt.Errorf("feedback of %s: %w", c.name(), err)
			}
			c.feedback = append(c.feedback, s)
			p.say("round %d: %-18s %8.0f reports/s, p50 %.2f ms, p99 %.2f ms, %.1f µs of CPU each (and %.1f of the database)",
				round+1, c.name(), s.perSecond, s.p50, s.p99, s.cpu, s.database)
		}
	}
	if c := contenders[len(contenders)-1]; p.queries {
		if err := p.ask(ctx, c); err != nil {
			return fmt.Errorf("queries of %s: %w", c.name(), err)
		}
	}
	if c := contenders[len(contenders)-1]; p.rollouts {
		r, err := p.rollout(ctx, c)
		if err != nil {
			return fmt.Errorf("rollout of %s: %w", c.name(), err)
		}
		c.campaign = &r
		if p.toTheEnd {
			p.say("rollout: %-18s finished after %.0f s, %d reports", c.name(), r.finished.Seconds(), r.reports)
		}
	}
	f.add(database, contenders)
	return nil
}

// open starts a server, fills it with a fleet, and lets each device be known when
// measuring begins.
func (p *plan) open(ctx context.Context, postgres *testdb.Durable, database string, size int) (*contender, error) {
	c := &contender{database: database, size: size}
	dir := filepath.Join(p.dir, database+"-"+strconv.Itoa(size))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("directory of the server: %w", err)
	}
	c.fleet = filepath.Join(dir, "fleet.txt")
	c.address = filepath.Join(dir, "data", "otaria.db")
	env := []string{"OTARIA_ADMIN_PASSWORD=" + password, "OTARIA_QUOTAS=targetsPerRolloutGroup=0"}
	if postgres != nil {
		var err error
		if c.address, err = postgres.Database(ctx, "fleet"+strconv.Itoa(size)); err != nil {
			return nil, err
		}
		env = append(env, "OTARIA_DATABASE_URL="+c.address)
		if c.watched.database, err = postgres.PID(); err != nil {
			return nil, err
		}
	}
	var err error
	if c.process, err = launch(ctx, env, filepath.Join(p.bin, "otaria"), "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := fill(ctx, c.api(), c.fleet, size); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	p.say("%s: filled in %.1f s", c.name(), time.Since(began).Seconds())
	if p.rounds == 0 && p.feedback == 0 && !p.rollouts {
		return c, nil
	}
	began = time.Now()
	if err := p.introduce(ctx, c); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	p.say("%s: introduced in %.1f s", c.name(), time.Since(began).Seconds())
	began = time.Now()
	if _, err := p.simulate(ctx, c.url, c.fleet, "--flood", "--no-attributes", "--until-idle"); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	p.say("%s: all polled in %.1f s", c.name(), time.Since(began).Seconds())
	return c, nil
}

// api is the management API of the server.
func (c *contender) api() *client.Client {
	return &client.Client{URL: c.url, User: "admin", Password: password}
}

// feedbacks updates some devices and measures their reports, each kept in the
// history of its action. What else an update takes, a poll and a look at the
// deployment for each device, is part of the time.
func (p *plan) feedbacks(ctx context.Context, c *contender) (sample, error) {
	count := min(p.feedback, c.size)
	if err := assign(ctx, c.api(), strconv.FormatInt(time.Now().UnixNano(), 36), count); err != nil {
		return sample{}, err
	}
	return c.during(func() (*simulator.Report, error) {
		r, err := p.simulate(ctx, c.url, c.fleet, "--devices", strconv.Itoa(count), "--flood", "--no-attributes", "--until-idle", "--reports", strconv.Itoa(p.reports))
		if err == nil && r.Updates.Succeeded != int64(count) {
			err = fmt.Errorf("%d of %d devices were updated", r.Updates.Succeeded, count)
		}
		return r, err
	}, simulator.Feedback, func(r *simulator.Report) float64 { return float64(r.Answered(simulator.Feedback)) })
}

func (p *plan) say(format string, args ...any) {
	fmt.Fprintf(p.log, format+"\n", args...)
}
