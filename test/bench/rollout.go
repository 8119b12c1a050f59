package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/otaria/otaria/client"
	"github.com/otaria/otaria/simulator"
)

// A campaign is what was measured of one rollout over all targets of a fleet.
type campaign struct {
	targets int
	rollout int64

	created  time.Duration // until the request to create it was answered
	filled   time.Duration // from then to READY
	started  time.Duration // from the start to RUNNING: all actions made, the first group started
	launched time.Duration // the second group, from the request to RUNNING
	finished time.Duration // from then on, by reports of simulated devices; zero: not measured
	reports  int64         // that were taken meanwhile

	aloneReady    time.Duration // from the creation of another rollout to READY, while no device polls
	aloneLaunched time.Duration // the third group, likewise

	memory        float64       // MiB of the server's own, at most, until the second group ran
	cpu, database time.Duration // that the server, and PostgreSQL, computed for from the creation until then

	polls [phases]simulator.Requests
}

// A phase is what a rollout is doing while polls are measured.
type phase int

const (
	idle      phase = iota // nothing: before it
	filling                // from its creation to READY
	starting               // from the start to RUNNING
	launching              // its second group
	phases
)

// worst returns the p99 of polls in the phase in which it was worst, as a multiple
// of what it was before.
func (c *campaign) worst() float64 {
	var most float64
	for _, q := range c.polls[idle+1:] {
		most = max(most, q.P99)
	}
	return most / max(c.polls[idle].P99, 0.001)
}

// rolloutGroups is how many groups a measured rollout has.
const rolloutGroups = 10

// rollout measures a rollout over the whole fleet, whose devices meanwhile poll and
// do nothing else.
func (p *plan) rollout(ctx context.Context, c *contender) (out campaign, err error) {
	out = campaign{targets: c.size}
	_, created, filled, err := p.create(ctx, c)
	if err != nil {
		return out, err
	}
	out.aloneReady = created + filled
	if err := p.besidePolls(ctx, c, &out); err != nil {
		return out, err
	}
	if out.aloneLaunched, err = p.launchNext(ctx, c, out.rollout); err != nil {
		return out, err
	}
	p.tell(c, &out)
	err = p.finish(ctx, c, &out)
	return out, err
}

// besidePolls measures the phases of a rollout until its second group runs, and the
// polls meanwhile.
func (p *plan) besidePolls(ctx context.Context, c *contender, out *campaign) (err error) {
	devices, err := p.devices(c)
	if err != nil {
		return err
	}
	defer precede()()
	pid := c.cmd.Process.Pid
	stop, end := context.WithCancel(ctx)
	var side errgroup.Group
	side.Go(func() error { out.memory = peak(stop, pid); return nil })
	side.Go(func() error { _, err := devices.Run(stop); return err })
	defer func() {
		end()
		err = errors.Join(err, side.Wait())
	}()
	lap := func(of phase) error {
		r := devices.Lap()
		out.polls[of] = requests(&r, simulator.Poll)
		if r.Failures() > 0 {
			return fmt.Errorf("polls went wrong: %v", r.Errors)
		}
		return nil
	}
	if err := pass(ctx, p.warmup); err != nil {
		return err
	}
	devices.Lap()
	if err := pass(ctx, p.measure); err != nil {
		return err
	}
	if err := lap(idle); err != nil {
		return err
	}
	server, database, err := c.spent()
	if err != nil {
		return err
	}
	if err := p.roll(ctx, c, out, lap); err != nil {
		return err
	}
	out.cpu, out.database, err = c.spent()
	out.cpu, out.database = out.cpu-server, out.database-database
	return err
}

// pass lets time go by.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// precede gives this process the processor before others, where it may do so, until
// the returned function is called. The devices that it plays are elsewhere in truth:
// that they wait for a processor here is not the server's.
func precede() func() {
	const before = -10
	renice := func(n int) {
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, n) // new threads get it from these
			}
		}
	}
	renice(before)
	return func() { renice(0) }
}

// tell says what was measured until the second group ran.
func (p *plan) tell(c *contender, r *campaign) {
	p.say("rollout: %-18s alone: ready in %.1f s, a group in %.2f s", c.name(), r.aloneReady.Seconds(), r.aloneLaunched.Seconds())
	p.say("rollout: %-18s created in %.1f s, ready %.1f s later; started in %.1f s; the second group in %.2f s; %.0f MiB; %.1f s of CPU (and %.1f of the database)",
		c.name(), r.created.Seconds(), r.filled.Seconds(), r.started.Seconds(), r.launched.Seconds(), r.memory, r.cpu.Seconds(), r.database.Seconds())
	for n, q := range r.polls {
		p.say("rollout: %-18s %s: %.0f polls/s, p50 %.2f ms, p99 %.2f ms", c.name(), [...]string{"before", "filling", "starting", "the second group"}[n], q.PerSecond, q.P50, q.P99)
	}
}

// devices are those of a fleet, which only poll, all together as often as planned.
// They are simulated in this process, so that phases follow each other without a
// break.
func (p *plan) devices(c *contender) (*simulator.Simulation, error) {
	file, err := os.Open(c.fleet)
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	fleet, err := simulator.ReadFleet(file, 0)
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	every := time.Duration(float64(fleet.Len()) / p.rolloutRate * float64(time.Second))
	return simulator.New(simulator.Config{
		URL: c.url, Fleet: fleet, Mode: simulator.TargetToken, Interval: every, Ramp: every, PollsOnly: true, Fast: true, Connections: p.clients,
	})
}

// create makes a rollout over the whole fleet, and says how long that took and how
// long it was from then until the rollout was READY.
func (p *plan) create(ctx context.Context, c *contender) (id int64, created, filled time.Duration, err error) {
	api := c.api()
	number := strconv.FormatInt(time.Now().UnixNano(), 36)
	module, err := api.CreateModule(ctx, client.Module{Type: "os", Name: "rolled", Version: number})
	if err != nil {
		return 0, 0, 0, fmt.Errorf("create a module: %w", err)
	}
	set, err := api.CreateSet(ctx, client.Set{Type: "os", Name: "rolled", Version: number}, module.ID)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("create a set: %w", err)
	}
	at := time.Now()
	var made rolled
	if err := api.Do(ctx, "POST", "/rest/v1/rollouts", map[string]any{
		"name": "bench " + number, "distributionSetId": set.ID, "targetFilterQuery": "name==*", "amountGroups": rolloutGroups,
		// The next group starts when half of one is done: with the last of one alone,
		// devices would poll a hundred times for each report.
		"successCondition": map[string]string{"condition": "THRESHOLD", "expression": "50"},
	}, &made); err != nil {
		return 0, 0, 0, fmt.Errorf("create a rollout: %w", err)
	}
	created = time.Since(at)
	at = time.Now()
	err = await(ctx, api, rolloutPath(made.ID), "ready")
	return made.ID, created, time.Since(at), err
}

func rolloutPath(id int64) string { return fmt.Sprintf("/rest/v1/rollouts/%d", id) }

// launchNext starts the next group and says how long that took, from the request
// until all its targets have something to do.
func (p *plan) launchNext(ctx context.Context, c *contender, rollout int64) (time.Duration, error) {
	api, path := c.api(), rolloutPath(rollout)
	var groups client.Page[rolled]
	if err := api.Do(ctx, "GET", path+"/deploygroups?limit=500", nil, &groups); err != nil {
		return 0, fmt.Errorf("list the groups: %w", err)
	}
	next := slices.IndexFunc(groups.Content, func(g rolled) bool { return g.Status == "scheduled" })
	if next < 0 {
		return 0, errors.New("no group is left to be started")
	}
	at := time.Now()
	if err := api.Do(ctx, "POST", path+"/triggerNextGroup", nil, nil); err != nil {
		return 0, fmt.Errorf("start a group: %w", err)
	}
	// In the list of groups, where they come without counts of their actions: counting
	// a large group would be a good part of what is measured.
	for groups.Content[next].Status != "running" {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for a group to run: %w", ctx.Err())
		case <-time.After(lookEvery):
		}
		if err := api.Do(ctx, "GET", path+"/deploygroups?limit=500", nil, &groups); err != nil {
			return 0, fmt.Errorf("list the groups: %w", err)
		}
	}
	return time.Since(at), nil
}

// roll creates and starts the rollout, and two of its groups.
func (p *plan) roll(ctx context.Context, c *contender, out *campaign, polled func(phase) error) (err error) {
	if out.rollout, out.created, out.filled, err = p.create(ctx, c); err != nil {
		return err
	}
	if err := polled(filling); err != nil {
		return err
	}
	api, path := c.api(), rolloutPath(out.rollout)
	at := time.Now()
	if err := api.Do(ctx, "POST", path+"/start", nil, nil); err != nil {
		return fmt.Errorf("start the rollout: %w", err)
	}
	if err := await(ctx, api, path, "running"); err != nil {
		return err
	}
	out.started = time.Since(at)
	if err := polled(starting); err != nil {
		return err
	}
	if out.launched, err = p.launchNext(ctx, c, out.rollout); err != nil {
		return err
	}
	return polled(launching)
}

// finish lets devices report, as briefly as they do, until the rollout is over.
func (p *plan) finish(ctx context.Context, c *contender, out *campaign) error {
	if !p.toTheEnd {
		return nil
	}
	at := time.Now()
	path := rolloutPath(out.rollout)
	for {
		said, err := p.simulate(ctx, c.url, c.fleet, "--flood", "--no-attributes", "--until-idle", "--reports", "0")
		if err != nil {
			return fmt.Errorf("reports: %w", err)
		}
		out.reports += said.Answered(simulator.Feedback)
		var r rolled
		if err := c.api().Do(ctx, "GET", path, nil, &r); err != nil {
			return fmt.Errorf("look at the rollout: %w", err)
		}
		if r.Status == "finished" {
			out.finished = time.Since(at)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second): // the engine starts the next group
		}
	}
}

// rolled is a rollout or one of its groups.
type rolled struct {
	ID     int64  `json:"id"`
	Status string `json:"status"`
}

// lookEvery is how often a program that waits looks: each look costs the server
// something, too.
const lookEvery = 200 * time.Millisecond

// await looks at a rollout until it has the status.
func await(ctx context.Context, api *client.Client, path, status string) error {
	for {
		var r rolled
		if err := api.Do(ctx, "GET", path, nil, &r); err != nil {
			return fmt.Errorf("wait for %s: %w", status, err)
		}
		if r.Status == status {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s, it is %s: %w", status, r.Status, ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

// peak is the most memory that a process has while it is watched, in MiB.
func peak(ctx context.Context, pid int) (most float64) {
	for {
		if own, _, err := memory(pid); err == nil {
			most = max(most, own)
		}
		select {
		case <-ctx.Done():
			return most
		case <-time.After(100 * time.Millisecond):
		}
	}
}
