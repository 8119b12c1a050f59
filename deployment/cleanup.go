package deployment

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// CleanupStore removes old actions.
type CleanupStore interface {
	// Tenants lists all tenants.
	Tenants(ctx context.Context) ([]tenant.ID, error)

	// CleanActions takes one bounded step and returns where the next one goes on,
	// 0 at the end, and how many actions it removed with their history. What it
	// removes goes with its events in one transaction, which fails with
	// lease.ErrLost when the held lease is another's by now. Targets stay as they
	// are.
	CleanActions(ctx context.Context, t tenant.ID, c Cleanup) (next ActionID, removed int, err error)
}

// Cleanup says which actions a step removes.
type Cleanup struct {
	Held     *lease.Held
	After    ActionID  // only later ones
	Statuses []Status  // only in these, active or not
	Before   time.Time // only those that nobody changed or reported on since
	Limit    int       // at most so many
	Now      time.Time
}

// Cleaner removes old actions from time to time, as the settings
// action.cleanup.auto.* of each tenant say (spec update-domain 8.1). Any number
// of processes may run one; a lease lets one of them work at a time. What it has
// done is in the rows that are gone: after a crash it begins anew.
type Cleaner struct {
	Store   CleanupStore
	Tenants software.Settings
	Lease   *lease.Keeper
	Every   time.Duration // between two runs; the first comes within a minute
	Step    int           // how many actions go at once; 0: a thousand
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	// CleanupLease names the cleaner's lease.
	CleanupLease = "action-cleanup"
	// cleanupStep is how many actions go at once: others wait to write meanwhile.
	cleanupStep = 1000
	// firstCleanup is how long a start has the machine for itself.
	firstCleanup = time.Minute
)

// Run works until ctx ends.
func (c *Cleaner) Run(ctx context.Context) error {
	pause := time.NewTimer(min(c.Every, firstCleanup))
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		if err := c.Round(ctx); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			c.Log.WarnContext(ctx, "old actions could not be removed; it is tried again", slog.Any("error", err))
		}
		pause.Reset(c.Every)
	}
}

// Round goes through all tenants once. One that fails holds up no other.
func (c *Cleaner) Round(ctx context.Context) error {
	tenants, err := c.Store.Tenants(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, t := range tenants {
		switch err := c.clean(ctx, t); {
		case lease.Lost(err):
			c.Lease.Lose(CleanupLease)
			return errors.Join(failed...) // another process goes on
		case err != nil:
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// clean removes the old actions of a tenant.
func (c *Cleaner) clean(ctx context.Context, t tenant.ID) error {
	settings, err := c.Tenants.Settings(ctx, t)
	if err != nil {
		return err
	}
	statuses := statusesOf(settings.CleanupStatuses)
	if settings.CleanupExpiry < 0 || len(statuses) == 0 {
		return nil
	}
	ctx = caller.With(ctx, caller.Caller{Tenant: t, User: caller.System})
	began := c.Now()
	step := Cleanup{Statuses: statuses, Before: began.Add(-settings.CleanupExpiry), Limit: cmp.Or(c.Step, cleanupStep)}
	removed := 0
	defer func() {
		if removed > 0 {
			c.Log.InfoContext(ctx, "removed old actions", slog.Int64("tenant", int64(t)), slog.Int("actions", removed))
		}
	}()
	for {
		held, err := c.Lease.Hold(ctx, CleanupLease)
		if err != nil {
			return err
		}
		if held == nil {
			return lease.ErrLost
		}
		step.Held, step.Now = held, c.Now()
		next, n, err := c.Store.CleanActions(ctx, t, step)
		removed += n
		if err != nil || next == 0 {
			return err
		}
		step.After = next
		// As long as it worked it leaves the database to others.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Now().Sub(step.Now)):
		}
	}
}

// statusesOf returns the statuses that have one of the names, in upper case, in
// the order of their numbers. Other names are nobody's.
func statusesOf(upper []string) []Status {
	var list []Status
	for n, name := range names() {
		if slices.Contains(upper, strings.ToUpper(name)) {
			list = append(list, Status(n))
		}
	}
	return list
}
