package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/otaria/otaria/client"
	"github.com/otaria/otaria/simulator"
)

// batch is how many targets one request creates.
const batch = 1000

// fill creates count targets by the management API, unless the file is there
// that tells their tokens.
func fill(ctx context.Context, api *client.Client, file string, count int) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := api.Set(ctx, map[string]any{"authentication.targettoken.enabled": true}); err != nil {
		return fmt.Errorf("let targets authenticate: %w", err)
	}
	made := make([][]client.Target, (count+batch-1)/batch)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for n := range made {
		g.Go(func() (err error) {
			var wanted []client.Target
			for i := n * batch; i < min((n+1)*batch, count); i++ {
				wanted = append(wanted, client.Target{ControllerID: name(i)})
			}
			made[n], err = api.CreateTargets(gctx, wanted)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("create targets: %w", err)
	}
	fleet := &simulator.Fleet{}
	for _, targets := range made {
		for _, t := range targets {
			if err := fleet.Add(t.ControllerID, t.SecurityToken); err != nil {
				return fmt.Errorf("targets just created: %w", err)
			}
		}
	}
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return fmt.Errorf("keep the tokens: %w", err)
	}
	_, err = fleet.WriteTo(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep the tokens: %w", err)
	}
	return os.Rename(file+".new", file)
}

// name is the controller id of a target.
func name(i int) string { return fmt.Sprintf("dev-%07d", i+1) }

// assign makes a distribution set and assigns it to the first count targets.
// Sets are told apart by number.
func assign(ctx context.Context, api *client.Client, number string, count int) error {
	module, err := api.CreateModule(ctx, client.Module{Type: "os", Name: "bench", Version: number})
	if err != nil {
		return fmt.Errorf("create a module: %w", err)
	}
	set, err := api.CreateSet(ctx, client.Set{Type: "os", Name: "bench", Version: number}, module.ID)
	if err != nil {
		return fmt.Errorf("create a set: %w", err)
	}
	for from := 0; from < count; from += batch {
		var to []client.Assignment
		for i := from; i < min(from+batch, count); i++ {
			to = append(to, client.Assignment{Target: name(i)})
		}
		done, err := api.Assign(ctx, set.ID, to)
		if err != nil {
			return fmt.Errorf("assign the set: %w", err)
		}
		if done.Assigned != len(to) {
			return fmt.Errorf("%d of %s targets were assigned", done.Assigned, strconv.Itoa(len(to)))
		}
	}
	return nil
}
