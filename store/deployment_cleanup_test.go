package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/tenant"
)

// cleaner is one whose tenants keep actions for a day.
func (w *world) cleaner(holder int64, statuses ...string) *deployment.Cleaner {
	now := func() time.Time { return w.now }
	w.settings.CleanupExpiry, w.settings.CleanupStatuses = 24*time.Hour, statuses
	return &deployment.Cleaner{
		Store: Deployment{w.db}, Tenants: w, Every: time.Millisecond, Now: now, Log: slog.New(slog.DiscardHandler),
		Lease: &lease.Keeper{Store: Leases{w.db}, Holder: holder, For: 10 * time.Second, Now: now},
	}
}

// action makes an action as old as it says, with an entry of its history.
func (w *world) action(tb testing.TB, of tenant.ID, target fleet.TargetID, set int64, s deployment.Status, active bool, age, reported time.Duration) int64 {
	tb.Helper()
	id := w.insert(tb, `INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, weight, initiated_by, created_by, created_at, modified_by, modified_at)
		VALUES ($1, $2, $3, $4, $5, $7, 0, 1000, 'bob', 'bob', $6, 'bob', $6) RETURNING id`, int64(of), int64(target), set, int(s), active, w.now.Add(-age).UnixMilli(), filedAs(s, active))
	w.insert(tb, "INSERT INTO action_status (tenant_id, action_id, status, occurred_at, reported_at, messages) VALUES ($1, $2, $3, $4, $4, '[]') RETURNING id", int64(of), id, int(s), w.now.Add(-reported).UnixMilli())
	return id
}

// dump is all rows of a statement as text.
func (w *world) dump(tb testing.TB, text string, args ...any) (rows []string) {
	tb.Helper()
	if err := w.db.view(context.WithoutCancel(w.ctx), func(q querier) error {
		found, err := q.query(w.ctx, text, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		columns, err := found.Columns()
		if err != nil {
			return err
		}
		for found.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := found.Scan(dest...); err != nil {
				return err
			}
			rows = append(rows, fmt.Sprint(values...))
		}
		return found.Err()
	}); err != nil {
		tb.Fatal(err)
	}
	return rows
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := int64(w.set(t, "app"))
		one, two := w.target(t, "one"), w.target(t, "two")
		const old, young = 25 * time.Hour, 23 * time.Hour
		type kept struct {
			what string
			id   int64
		}
		var stay []kept
		var goes []int64
		keep := func(what string, id int64) { stay = append(stay, kept{what, id}) }
		add := func(s deployment.Status, active bool, age, reported time.Duration) int64 {
			return w.action(t, w.tenant, one, set, s, active, age, reported)
		}
		goes = append(goes, add(deployment.Error, false, old, old), add(deployment.Canceled, false, old, old))
		keep("finished", add(deployment.Finished, false, old, old))
		keep("young", add(deployment.Error, false, young, young))
		keep("reported on of late", add(deployment.Error, false, old, young))
		goes = append(goes, w.action(t, w.tenant, two, set, deployment.Running, true, old, old)) // its status is listed
		keep("active", w.action(t, w.tenant, two, set, deployment.Retrieved, true, old, old))

		targets := "SELECT * FROM target t JOIN target_state h ON h.target_id = t.id ORDER BY t.id"
		before := w.dump(t, targets)
		w.events = nil
		if err := w.cleaner(1, "ERROR", "CANCELED", "RUNNING", "NO_SUCH_STATUS").Round(w.ctx); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, k := range stay {
			want = append(want, fmt.Sprint(k.id))
		}
		if d := cmp.Diff(want, w.dump(t, "SELECT id FROM action ORDER BY id")); d != "" {
			t.Errorf("actions that stay (%v): -want +got:\n%s", stay, d)
		}
		if d := cmp.Diff(want, w.dump(t, "SELECT action_id FROM action_status ORDER BY action_id")); d != "" {
			t.Errorf("entries that stay: -want +got:\n%s", d)
		}
		if d := cmp.Diff(before, w.dump(t, targets)); d != "" {
			t.Errorf("targets changed: -want +got:\n%s", d)
		}
		var told []int64
		for _, e := range w.events {
			if e.Kind != event.ActionDeleted || e.Tenant != w.tenant || e.Reach <= 0 {
				t.Errorf("event %+v", e)
			}
			told = append(told, e.Subject)
		}
		if slices.Sort(told); !slices.Equal(told, goes) {
			t.Errorf("told of %v, want %v", told, goes)
		}
	})
}

// A tenant that set no expiry, or another tenant's, loses nothing.
func TestCleanupOff(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set, target := int64(w.set(t, "app")), w.target(t, "one")
		w.action(t, w.tenant, target, set, deployment.Error, false, 9000*time.Hour, 9000*time.Hour)
		c := w.cleaner(1, "ERROR")
		w.settings.CleanupExpiry = -1
		if err := c.Round(w.ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(w.dump(t, "SELECT id FROM action")); n != 1 {
			t.Errorf("%d actions are left", n)
		}
		_, removed, err := Deployment{w.db}.CleanActions(w.ctx, w.tenant+1, deployment.Cleanup{Statuses: []deployment.Status{deployment.Error}, Before: w.now, Limit: 10, Now: w.now})
		if err != nil || removed != 0 {
			t.Errorf("for another tenant %d were removed, %v", removed, err)
		}
	})
}

// What is too much for one step is removed by several, each of which goes on
// where the last one ended.
func TestCleanupInSteps(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set, target := int64(w.set(t, "app")), int64(w.target(t, "one"))
		const n = 3 * lookedThrough
		w.exec(t, `INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, weight, initiated_by, created_by, created_at, modified_by, modified_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $5)
			SELECT $1, $2, $3, CASE WHEN i > 90 AND i < 95 THEN 1 ELSE 0 END, $4, CASE WHEN i > 90 AND i < 95 THEN 1 ELSE 0 END, 0, 1, 'bob', 'bob', 1, 'bob', 1 FROM n`, int64(w.tenant), target, set, false, n)
		c := deployment.Cleanup{Statuses: []deployment.Status{deployment.Error}, Before: w.now, Limit: 1, Now: w.now}
		var steps []string
		for {
			next, removed, err := Deployment{w.db}.CleanActions(w.ctx, w.tenant, c)
			if err != nil {
				t.Fatal(err)
			}
			steps = append(steps, fmt.Sprintf("%d removed", removed))
			if next == 0 {
				break
			}
			if next <= c.After {
				t.Fatalf("after %d comes %d", c.After, next)
			}
			c.After = next
		}
		// Nothing among the first fifty; then one by one; then fifty and the rest without any.
		want := "0 removed, 1 removed, 1 removed, 1 removed, 1 removed, 0 removed, 0 removed"
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("steps: %s, want %s", got, want)
		}
		if left := w.dump(t, "SELECT count(*) FROM action"); left[0] != fmt.Sprint(n-4) {
			t.Errorf("%s are left", left)
		}
	})
}

// One process cleans at a time, and a holder that was taken for dead removes nothing.
func TestCleanupLease(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set, target := int64(w.set(t, "app")), w.target(t, "one")
		id := w.action(t, w.tenant, target, set, deployment.Error, false, 30*time.Hour, 30*time.Hour)
		one, two := w.cleaner(1, "ERROR"), w.cleaner(2, "ERROR")
		held, err := one.Lease.Hold(w.ctx, deployment.CleanupLease)
		if err != nil || held == nil {
			t.Fatal(held, err)
		}
		if err := two.Round(w.ctx); err != nil {
			t.Fatal(err)
		}
		there := func() bool { return len(w.dump(t, "SELECT id FROM action WHERE id = $1", id)) == 1 }
		if !there() {
			t.Error("removed without the lease")
		}
		w.now = w.now.Add(11 * time.Second) // the first one is taken for dead
		if h, err := two.Lease.Hold(w.ctx, deployment.CleanupLease); err != nil || h == nil {
			t.Fatal(h, err)
		}
		_, _, err = Deployment{w.db}.CleanActions(w.ctx, w.tenant, deployment.Cleanup{Held: held, Statuses: []deployment.Status{deployment.Error}, Before: w.now, Limit: 10, Now: w.now})
		if !lease.Lost(err) || !there() {
			t.Errorf("with a lost lease: %v, there: %t", err, there())
		}
		if err := two.Round(w.ctx); err != nil || there() {
			t.Errorf("with the lease: %v, there: %t", err, there())
		}
	})
}

// The first run comes soon after the start.
func TestCleanerRuns(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set, target := int64(w.set(t, "app")), w.target(t, "one")
		w.action(t, w.tenant, target, set, deployment.Error, false, 30*time.Hour, 30*time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		w.db.Listen(func(events []event.Event) {
			if slices.ContainsFunc(events, func(e event.Event) bool { return e.Kind == event.ActionDeleted }) {
				stop()
			}
		})
		if err := w.cleaner(1, "ERROR").Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(w.dump(t, "SELECT id FROM action")); n != 0 {
			t.Errorf("%d actions are left", n)
		}
	})
}
