package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

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

	memory float64 // MiB of the server's own, at most

	idle, busy float64 // p99 of polls before, and until the second group ran, in milliseconds
}

// rolloutGroups is how many groups a measured rollout has.
const rolloutGroups = 10

// rollout measures a rollout over the whole fleet, with devices polling meanwhile.
func (p *plan) rollout(ctx context.Context, c *contender) (out campaign, err error) {
	out = campaign{targets: c.size}
	rate := min(p.rate, 5000)
	polls := func(ctx context.Context, d time.Duration) (float64, error) {
		r, err := p.simulate(ctx, c.url, c.fleet, "--rate", strconv.FormatFloat(rate, 'f', -1, 64), "--no-attributes", "--duration", d.String())
		if err != nil {
			return 0, err
		}
		return requests(r, simulator.Poll).P99, nil
	}
	if out.idle, err = polls(ctx, p.measure); err != nil {
		return out, fmt.Errorf("polls before: %w", err)
	}
	stop, watching := context.WithCancel(ctx)
	var side sync.WaitGroup
	defer side.Wait()
	defer watching()
	side.Go(func() { out.memory = peak(stop, c.cmd.Process.Pid) })
	var busy []float64
	var busyErr error
	side.Go(func() {
		for stop.Err() == nil {
			p99, err := polls(ctx, p.measure)
			if err != nil {
				busyErr = err
				return
			}
			busy = append(busy, p99)
		}
	})
	if err := p.roll(ctx, c, &out); err != nil {
		return out, err
	}
	watching()
	side.Wait()
	if busyErr != nil {
		return out, fmt.Errorf("polls meanwhile: %w", busyErr)
	}
	slices.Sort(busy)
	out.busy = busy[len(busy)/2]
	return out, p.finish(ctx, c, &out)
}

// roll creates and starts the rollout, and two of its groups.
func (p *plan) roll(ctx context.Context, c *contender, out *campaign) error {
	api := c.api()
	number := strconv.FormatInt(time.Now().UnixNano(), 36)
	module, err := api.CreateModule(ctx, client.Module{Type: "os", Name: "rolled", Version: number})
	if err != nil {
		return fmt.Errorf("create a module: %w", err)
	}
	set, err := api.CreateSet(ctx, client.Set{Type: "os", Name: "rolled", Version: number}, module.ID)
	if err != nil {
		return fmt.Errorf("create a set: %w", err)
	}
	at := time.Now()
	lap := func(of *time.Duration) {
		*of = time.Since(at)
		at = time.Now()
	}
	var made rolled
	if err := api.Do(ctx, "POST", "/rest/v1/rollouts", map[string]any{
		"name": "bench " + number, "distributionSetId": set.ID, "targetFilterQuery": "name==*", "amountGroups": rolloutGroups,
		"successCondition": map[string]string{"condition": "THRESHOLD", "expression": "90"},
	}, &made); err != nil {
		return fmt.Errorf("create a rollout: %w", err)
	}
	out.rollout = made.ID
	lap(&out.created)
	path := fmt.Sprintf("/rest/v1/rollouts/%d", made.ID)
	if err := await(ctx, api, path, "ready"); err != nil {
		return err
	}
	lap(&out.filled)
	if err := api.Do(ctx, "POST", path+"/start", nil, nil); err != nil {
		return fmt.Errorf("start the rollout: %w", err)
	}
	if err := await(ctx, api, path, "running"); err != nil {
		return err
	}
	lap(&out.started)
	var groups client.Page[rolled]
	if err := api.Do(ctx, "GET", path+"/deploygroups?limit=500", nil, &groups); err != nil {
		return fmt.Errorf("list the groups: %w", err)
	}
	at = time.Now()
	if err := api.Do(ctx, "POST", path+"/triggerNextGroup", nil, nil); err != nil {
		return fmt.Errorf("start the second group: %w", err)
	}
	if err := await(ctx, api, fmt.Sprintf("%s/deploygroups/%d", path, groups.Content[1].ID), "running"); err != nil {
		return err
	}
	lap(&out.launched)
	return nil
}

// finish lets devices report until the rollout is over.
func (p *plan) finish(ctx context.Context, c *contender, out *campaign) error {
	if !p.toTheEnd {
		return nil
	}
	at := time.Now()
	path := fmt.Sprintf("/rest/v1/rollouts/%d", out.rollout)
	for {
		if _, err := p.simulate(ctx, c.url, c.fleet, "--flood", "--no-attributes", "--until-idle"); err != nil {
			return fmt.Errorf("reports: %w", err)
		}
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

// await looks at a rollout or a group until it has the status.
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
		case <-time.After(50 * time.Millisecond):
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
