package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
)

// rule makes an auto-assignment.
func (c *campaigns) rule(tb testing.TB, name, filter string, set software.SetID) *rollout.AutoAssignment {
	tb.Helper()
	a, err := c.rollouts.CreateAutoAssignment(c.ctx, rollout.Rule{Name: name, Filter: filter, Set: set, Type: deployment.Soft})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// look lets an auto-assignment look through all targets, so many in a step.
func (c *campaigns) look(tb testing.TB, id rollout.AutoAssignmentID, step int64) (full int64) {
	tb.Helper()
	for after := int64(0); ; {
		o, err := Rollouts{c.db}.AdvanceAutoAssignment(c.ctx, c.tenant, id, rollout.AutoAdvance{
			Policy: deployment.PolicyOf(&c.settings, c.rollouts.Quotas), Moment: query.Moment{Now: c.now.UnixMilli()}, After: after, Limit: step, Now: c.now,
		})
		if err != nil {
			tb.Fatal(err)
		}
		full += o.Full
		if !o.More {
			return full
		}
		after = o.Cursor
	}
}

// actions are the actions of a target, the oldest first, as "set status by".
func (c *campaigns) actions(tb testing.TB, target fleet.TargetID) []string {
	tb.Helper()
	var list []string
	if err := c.db.view(c.ctx, func(q querier) (err error) {
		list, err = all(c.ctx, q, func(s scanner) (string, error) {
			var set, status, weight int64
			var by string
			err := s.Scan(&set, &status, &weight, &by)
			return fmt.Sprintf("%d %s %d %s", set, deployment.Status(status), weight, by), err
		}, "SELECT set_id, status, weight, initiated_by FROM action WHERE target_id = $1 ORDER BY id", int64(target))
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return list
}

// Who gets an action, and what it is like (update-domain 2.12 and 2.14).
func TestAutoAssign(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		one, two, other := c.set(t, "one"), c.set(t, "two"), c.set(t, "other")
		plain, failed, busy, misfit, closed := c.target(t, "dev-plain"), c.target(t, "dev-failed"), c.target(t, "dev-busy"), c.target(t, "dev-misfit"), c.target(t, "dev-closed")
		c.target(t, "elsewhere")
		narrow := c.insert(t, "INSERT INTO target_type (tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES ($1, 'n', 'n', 'bob', 1, 'bob', 1) RETURNING id", int64(c.tenant))
		c.exec(t, "UPDATE target SET type_id = $2 WHERE id = $1", int64(misfit), narrow)
		c.assign(t, one, "dev-failed", "dev-closed")
		c.report(t, "dev-failed", false)
		c.assign(t, other, "dev-busy")
		c.report(t, "dev-closed", true)
		c.exec(t, "DELETE FROM action WHERE target_id = $1", int64(closed)) // it still has the set

		a := c.rule(t, "all", "name==dev-*", one)
		if a.Status != rollout.AutoReady {
			t.Errorf("it begins as %s", a.Status)
		}
		c.look(t, a.ID, 2)
		weight := deployment.DefaultWeight
		for target, want := range map[fleet.TargetID][]string{
			plain:  {fmt.Sprintf("%d running %d ann", one, weight)},
			failed: {fmt.Sprintf("%d error %d ann", one, weight)},
			busy:   {fmt.Sprintf("%d canceling %d ann", other, weight), fmt.Sprintf("%d running %d ann", one, weight)},
			misfit: nil,
			closed: nil,
		} {
			if d := cmp.Diff(want, c.actions(t, target)); d != "" {
				t.Errorf("target %d: %s", target, d)
			}
		}
		got, err := c.rollouts.AutoAssignment(c.ctx, a.ID)
		if err != nil || got.Status != rollout.AutoRunning || got.ModifiedBy != "system" {
			t.Errorf("after its start it is %s by %s, %v", got.Status, got.ModifiedBy, err)
		}
		id := c.assigned(t, plain)
		if d := cmp.Diff([]string{"running active", "running: Auto assignment: all"}, c.told(t, id)); d != "" {
			t.Errorf("the action's history: %s", d)
		}

		// Who comes later, too; who was canceled never again; a purged history counts
		// as none.
		late := c.target(t, "dev-late")
		if err := c.service.Cancel(c.ctx, "dev-plain", id); err != nil {
			t.Fatal(err)
		}
		c.exec(t, "DELETE FROM action WHERE target_id = $1", int64(failed))
		c.look(t, a.ID, 2)
		expect(t, "actions of a late target", 1, len(c.actions(t, late)))
		expect(t, "actions of a canceled one", 1, len(c.actions(t, plain)))
		expect(t, "actions of a purged one", []string{fmt.Sprintf("%d running %d ann", one, weight)}, c.actions(t, failed))

		// Of two that overlap each target gets each set once, the later wins.
		b := c.rule(t, "another", "name==dev-late", two)
		c.look(t, b.ID, 100)
		c.look(t, a.ID, 100)
		c.look(t, b.ID, 100)
		expect(t, "actions by both", []string{fmt.Sprintf("%d canceling %d ann", one, weight), fmt.Sprintf("%d running %d ann", two, weight)}, c.actions(t, late))

		// While it is paused nobody gets anything; its actions survive it.
		if err := c.rollouts.PauseAutoAssignment(c.ctx, a.ID); err != nil {
			t.Fatal(err)
		}
		last := c.target(t, "dev-last")
		c.look(t, a.ID, 100)
		expect(t, "actions while paused", 0, len(c.actions(t, last)))
		if err := c.rollouts.DeleteAutoAssignment(c.ctx, a.ID); err != nil {
			t.Fatal(err)
		}
		c.look(t, a.ID, 100)
		expect(t, "actions after it is gone", 0, len(c.actions(t, last)))
		expect(t, "actions that stay", 2, len(c.actions(t, busy)))
	})
}

// assigned is the newest action of a target.
func (c *campaigns) assigned(tb testing.TB, target fleet.TargetID) (id deployment.ActionID) {
	tb.Helper()
	if err := c.db.view(c.ctx, func(q querier) error {
		return q.row(c.ctx, "SELECT max(id) FROM action WHERE target_id = $1", int64(target)).Scan(&id)
	}); err != nil {
		tb.Fatal(err)
	}
	return id
}

// With the flow on, devices are asked where the rule says so.
func TestAutoAssignAsksForConsent(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.settings.ConfirmationFlow = true
		target := c.target(t, "dev")
		asks := c.rule(t, "asks", "name==dev", c.set(t, "one"))
		no := false
		trusts, err := c.rollouts.CreateAutoAssignment(c.ctx, rollout.Rule{Name: "trusts", Filter: "name==dev", Set: c.set(t, "two"), Consent: &no})
		if err != nil {
			t.Fatal(err)
		}
		c.look(t, asks.ID, 10)
		c.look(t, trusts.ID, 10)
		weight := deployment.DefaultWeight
		expect(t, "actions", []string{fmt.Sprintf("%d canceling %d ann", asks.Set, weight), fmt.Sprintf("%d running %d ann", trusts.Set, weight)}, c.actions(t, target))
		history := c.told(t, c.assigned(t, target))
		if last := history[len(history)-1]; !strings.HasPrefix(last, "wait_for_confirmation: Auto assignment: trusts | ") {
			t.Errorf("where the device is not asked: %s", last)
		}
	})
}

// One target that takes no more actions does not keep the others waiting.
func TestAutoAssignLeavesFullTargetsOut(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.rollouts.Quotas.ActionsPerTarget = 2
		full, free := c.target(t, "dev-full"), c.target(t, "dev-free")
		c.assign(t, c.set(t, "a"), "dev-full")
		c.assign(t, c.set(t, "b"), "dev-full")
		a := c.rule(t, "all", "name==dev-*", c.set(t, "c"))
		expect(t, "targets left out", 1, c.look(t, a.ID, 10))
		expect(t, "actions of the full one", 2, len(c.actions(t, full)))
		expect(t, "actions of the other", 1, len(c.actions(t, free)))
		c.settings.OnQuotaHitPercent = 50
		expect(t, "targets left out when the oldest may go", 0, c.look(t, a.ID, 10))
		expect(t, "actions of the full one then", 2, len(c.actions(t, full)))
	})
}

// What is refused, and what the tenant's settings do (management-api 2.7).
func TestCreateAutoAssignment(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.rollouts.Quotas.TargetsPerAutoRule = 3
		set, spoilt := c.set(t, "one"), c.set(t, "spoilt")
		c.exec(t, "UPDATE distribution_set SET valid = FALSE WHERE id = $1", int64(spoilt))
		c.fleet(t, "few", 3)
		c.fleet(t, "many", 4)
		tooHeavy := 1001
		for name, r := range map[string]struct {
			rule rollout.Rule
			kind fault.Kind
		}{
			"no name":          {rollout.Rule{Filter: "name==x", Set: set}, fault.Invalid},
			"a long name":      {rollout.Rule{Name: strings.Repeat("n", 129), Filter: "name==x", Set: set}, fault.Invalid},
			"no filter":        {rollout.Rule{Name: "n", Set: set}, fault.Invalid},
			"a long filter":    {rollout.Rule{Name: "n", Filter: "name==" + strings.Repeat("x", 1019), Set: set}, fault.Invalid},
			"a blank filter":   {rollout.Rule{Name: "n", Filter: "  ", Set: set}, fault.QuerySyntax},
			"an unknown field": {rollout.Rule{Name: "n", Filter: "colour==red", Set: set}, fault.QueryField},
			"time-forced":      {rollout.Rule{Name: "n", Filter: "name==x", Set: set, Type: deployment.TimeForced}, fault.AutoAssignType},
			"a weight":         {rollout.Rule{Name: "n", Filter: "name==x", Set: set, Weight: &tooHeavy}, fault.Invalid},
			"no set":           {rollout.Rule{Name: "n", Filter: "name==x", Set: 4711}, fault.NotFound},
			"an invalid set":   {rollout.Rule{Name: "n", Filter: "name==x", Set: spoilt}, fault.SetInvalid},
			"many targets":     {rollout.Rule{Name: "n", Filter: "name==many*", Set: set}, fault.Quota},
		} {
			_, err := c.rollouts.CreateAutoAssignment(c.ctx, r.rule)
			fails(t, name, err, r.kind)
		}
		a := c.rule(t, "<b>few</b>", "name==few*", set)
		_, err := c.rollouts.CreateAutoAssignment(c.ctx, rollout.Rule{Name: a.Name, Filter: "name==x", Set: set})
		fails(t, "a name twice", err, fault.Exists)
		c.assign(t, set, "many01")
		c.rule(t, "many, but for those who have it", "name==many*", set)
		if facts, err := (Rollouts{c.db}).SetFacts(c.ctx, c.tenant, set); err != nil || !facts.Locked {
			t.Errorf("the set is locked: %t, %v", facts.Locked, err)
		}

		c.settings.AutoAssignApproval = true
		later := c.now.Add(time.Hour)
		waits, err := c.rollouts.CreateAutoAssignment(c.ctx, rollout.Rule{Name: "waits", Filter: "name==few*", Set: set, StartAt: &later})
		if err != nil || waits.Status != rollout.AutoWaitingForApproval {
			t.Fatalf("with approval it begins as %v, %v", waits, err)
		}
		remark := "good"
		if err := c.rollouts.ApproveAutoAssignment(c.ctx, waits.ID, &remark); err != nil {
			t.Fatal(err)
		}
		c.look(t, waits.ID, 10)
		expect(t, "before its time", rollout.AutoReady, c.statusOf(t, waits.ID))
		c.now = later
		c.look(t, waits.ID, 10)
		expect(t, "at its time", rollout.AutoRunning, c.statusOf(t, waits.ID))
	})
}

func (c *campaigns) statusOf(tb testing.TB, id rollout.AutoAssignmentID) rollout.AutoAssignmentStatus {
	tb.Helper()
	a, err := c.rollouts.AutoAssignment(c.ctx, id)
	if err != nil {
		tb.Fatal(err)
	}
	return a.Status
}

// A step by a process that lost its lease changes nothing.
func TestAutoAssignNeedsItsLease(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		target := c.target(t, "dev")
		a := c.rule(t, "all", "name==dev", c.set(t, "one"))
		if err := c.rollouts.StartAutoAssignment(c.ctx, a.ID); err != nil {
			t.Fatal(err)
		}
		_, err := Rollouts{c.db}.AdvanceAutoAssignment(c.ctx, c.tenant, a.ID, rollout.AutoAdvance{Held: &lease.Held{Name: "x", Holder: 1, Fence: 7}, Limit: 10, Now: c.now})
		if !lease.Lost(err) {
			t.Errorf("without the lease: %v", err)
		}
		expect(t, "actions", 0, len(c.actions(t, target)))
	})
}

// The engine does it by itself; one that breaks holds nobody up, says why, and is
// tried again.
func TestEngineAutoAssigns(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.rollouts.Now = time.Now
		target := c.target(t, "dev")
		broken, good := c.rule(t, "broken", "name==dev", c.set(t, "one")), c.rule(t, "good", "name==dev", c.set(t, "two"))
		c.exec(t, "UPDATE auto_assignment SET filter = 'nosuch==1' WHERE id = $1", int64(broken.ID))
		ctx, stop := context.WithCancel(c.ctx)
		ended := make(chan error, 1)
		engine := &rollout.Engine{Rollouts: c.rollouts, Lease: &lease.Keeper{Now: time.Now}, Every: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
		go func() { ended <- engine.Run(ctx) }()
		defer func() {
			stop()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
		c.eventually(t, "the good one assigns", func() bool { return len(c.actions(t, target)) == 1 })
		c.eventually(t, "the broken one says why", func() bool {
			a, err := c.rollouts.AutoAssignment(c.ctx, broken.ID)
			return err == nil && strings.Contains(a.Waiting, "nosuch")
		})
		c.exec(t, "UPDATE auto_assignment SET filter = 'name==dev' WHERE id = $1", int64(broken.ID))
		c.eventually(t, "the broken one goes on", func() bool {
			a, err := c.rollouts.AutoAssignment(c.ctx, broken.ID)
			return err == nil && a.Waiting == "" && len(c.actions(t, target)) == 2
		})
		expect(t, "the good one", rollout.AutoRunning, c.statusOf(t, good.ID))
	})
}

func (c *campaigns) eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	tb.Fatalf("not in time: %s", what)
}

// A saved filter and its auto-assignment, kept in two tables (update-domain 1.3).
func TestTargetFilters(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		one, two := c.set(t, "one"), c.set(t, "two")
		f, err := c.rollouts.CreateTargetFilter(c.ctx, " lab ", " tag==lab ")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "what is stored", [2]string{"lab", "tag==lab"}, [2]string{f.Name, f.Query})
		for range 3 {
			if _, err := c.rollouts.CreateTargetFilter(c.ctx, fmt.Sprintf("f%d", len(c.events)), "name==x"); err != nil {
				t.Fatal(err)
			}
		}
		_, err = c.rollouts.CreateTargetFilter(c.ctx, "lab", "name==x")
		fails(t, "a name twice", err, fault.Exists)

		weight := 7
		assigned := func(set software.SetID) *rollout.AutoAssignment {
			f, err := c.rollouts.AssignByFilter(c.ctx, f.ID, rollout.Rule{Set: set, Type: deployment.Soft, Weight: &weight})
			if err != nil {
				t.Fatal(err)
			}
			return f.Linked()
		}
		first := assigned(one)
		second := assigned(two)
		if first.ID == second.ID || second.Set != two || second.Weight != 7 {
			t.Errorf("assigned again: %+v after %+v", second, first)
		}
		list, total, err := c.rollouts.TargetFilters(c.ctx, query.List{Limit: 10, Filter: parse(t, "autoassigndistributionset.name==two", rollout.TargetFilterFields())})
		if err != nil || total != 4 || len(list) != 1 || list[0].Linked() == nil || list[0].Linked().SetName != "two" {
			t.Errorf("by set: %+v of %d, %v", list, total, err)
		}
		if err := c.rollouts.StartAutoAssignment(c.ctx, second.ID); err != nil {
			t.Fatal(err)
		}

		// A new name is the auto-assignment's, too; a new query begins it anew.
		name, text := "hall", "tag==hall"
		renamed, err := c.rollouts.UpdateTargetFilter(c.ctx, f.ID, &name, nil)
		if err != nil || renamed.Linked() == nil || renamed.Linked().ID != second.ID || renamed.Linked().Status != rollout.AutoRunning {
			t.Errorf("renamed: %+v, %v", renamed, err)
		}
		changed, err := c.rollouts.UpdateTargetFilter(c.ctx, f.ID, nil, &text)
		if err != nil || changed.Linked() == nil || changed.Linked().ID == second.ID || changed.Linked().Status != rollout.AutoReady || changed.Linked().Filter != text || changed.Linked().Weight != 7 {
			t.Errorf("with another query: %+v, %v", changed, err)
		}
		of, total, err := c.rollouts.TargetFiltersOf(c.ctx, two, query.List{Limit: 10})
		if err != nil || total != 1 || len(of) != 1 || of[0].ID != f.ID || of[0].Linked() == nil {
			t.Errorf("filters of the set: %+v of %d, %v", of, total, err)
		}

		// What has the name but not the query is not the filter's; taking the set from
		// the filter removes it all the same.
		c.exec(t, "UPDATE auto_assignment SET filter = 'name==other' WHERE name = 'hall'")
		_, err = c.rollouts.AssignByFilter(c.ctx, f.ID, rollout.Rule{Set: one})
		fails(t, "where another one has the name", err, fault.Exists)
		of, total, err = c.rollouts.TargetFiltersOf(c.ctx, two, query.List{Limit: 10})
		if err != nil || total != 1 || len(of) != 0 {
			t.Errorf("filters of the set without a filter: %+v of %d, %v", of, total, err)
		}
		for range 2 {
			if err := c.rollouts.UnassignFilter(c.ctx, f.ID); err != nil {
				t.Fatal(err)
			}
		}
		n, err := c.rollouts.CountAutoAssignments(c.ctx, two)
		if err != nil || n != 0 {
			t.Errorf("left: %d, %v", n, err)
		}

		// A filter takes what belongs to it along.
		last := assigned(one)
		other := "taken"
		c.rule(t, other, "name==x", one)
		_, err = c.rollouts.UpdateTargetFilter(c.ctx, f.ID, &other, nil)
		fails(t, "renamed to what another auto-assignment is called", err, fault.Exists)
		if got, err := c.rollouts.TargetFilter(c.ctx, f.ID); err != nil || got.Name != "hall" || got.Linked() == nil {
			t.Errorf("after that: %+v, %v", got, err)
		}
		if err := c.rollouts.DeleteTargetFilter(c.ctx, f.ID); err != nil {
			t.Fatal(err)
		}
		_, err = c.rollouts.AutoAssignment(c.ctx, last.ID)
		fails(t, "what belonged to a deleted filter", err, fault.NotFound)
		fails(t, "deleted again", c.rollouts.DeleteTargetFilter(c.ctx, f.ID), fault.NotFound)
	})
}

func parse(tb testing.TB, text string, f *query.Fields) query.Node {
	tb.Helper()
	n, err := query.Parse(text, f)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// A deleted set takes its auto-assignments along, and says so.
func TestDeletedSetTakesAutoAssignmentsAlong(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		set := c.set(t, "one")
		a := c.rule(t, "all", "name==x", set)
		sets := &software.Service{Store: Software{DB: c.db}, Tenants: w, Now: func() time.Time { return w.now }}
		if err := sets.DeleteSet(c.ctx, set); err != nil {
			t.Fatal(err)
		}
		_, err := c.rollouts.AutoAssignment(c.ctx, a.ID)
		fails(t, "the auto-assignment", err, fault.NotFound)
		if !slices.ContainsFunc(c.events, func(e event.Event) bool {
			return e.Kind == event.AutoAssignmentDeleted && e.Subject == int64(a.ID)
		}) {
			t.Error("nobody was told")
		}
	})
}

// What an invalidation does to all that uses the set (update-domain 2.13).
func TestInvalidate(t *testing.T) {
	t.Parallel()
	made := "running: Assignment initiated by user 'ann'"
	forced := []string{"canceled closed", made, "canceling: P", "canceled: P"}
	for name, test := range map[string]struct {
		kind    rollout.Cancelation
		rollout rollout.Status
		status  fleet.Status
		entries []string // of the actions
	}{
		"none":  {rollout.CancelNothing, rollout.Ready, fleet.StatusPending, []string{"running active", made}},
		"soft":  {rollout.CancelSoft, rollout.Stopping, fleet.StatusPending, []string{"canceling active", made, "canceling: P"}},
		"force": {rollout.CancelForce, rollout.Deleting, fleet.StatusInSync, forced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWorld(t, func(t *testing.T, w *world) {
				c := newCampaigns(w)
				set := c.set(t, "one")
				c.fleet(t, "dev", 3)
				r := c.create(t, rollout.Plan{Name: "r", Set: set})
				c.tick(t, r.ID)
				c.rule(t, "all", "name==x", set)
				ids := c.assign(t, set, "dev01", "dev02")
				c.report(t, "dev02", true)

				if err := c.rollouts.InvalidateSet(c.ctx, set, test.kind); err != nil {
					t.Fatal(err)
				}
				facts, err := Rollouts{c.db}.SetFacts(c.ctx, c.tenant, set)
				if err != nil || facts.Valid {
					t.Errorf("the set is valid: %t, %v", facts.Valid, err)
				}
				if n, err := c.rollouts.CountAutoAssignments(c.ctx, set); err != nil || n != 0 {
					t.Errorf("%d auto-assignments are left, %v", n, err)
				}
				got, err := c.rollouts.Rollout(c.ctx, r.ID)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "the rollout", test.rollout, got.Status)
				expect(t, "the history", test.entries, c.told(t, ids["dev01"]))
				expect(t, "the history of a closed action", "finished closed", c.told(t, ids["dev02"])[0])
				target, err := Fleet{c.db}.Target(c.ctx, c.tenant, "dev01")
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "the target", test.status, target.Status)
				if left, err := (Rollouts{c.db}).BusyInvalidations(c.ctx); err != nil || len(left) > 0 {
					t.Errorf("left to do: %v, %v", left, err)
				}

				// Again, and harder.
				if err := c.rollouts.InvalidateSet(c.ctx, set, rollout.CancelForce); err != nil {
					t.Fatal(err)
				}
				expect(t, "the history after force", forced, c.told(t, ids["dev01"]))
			})
		})
	}
}

// What a crash left of an invalidation is finished by whoever comes next.
func TestInvalidationGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		set := c.set(t, "one")
		c.fleet(t, "dev", 3)
		ids := c.assign(t, set, "dev01", "dev02", "dev03")
		c.exec(t, "UPDATE distribution_set SET valid = FALSE WHERE id = $1", int64(set))
		c.exec(t, "INSERT INTO invalidation (set_id, tenant_id, force, by_user, created_at) VALUES ($1, $2, TRUE, 'eve', 1)", int64(set), int64(c.tenant))
		if err := c.service.Cancel(c.ctx, "dev02", ids["dev02"]); err != nil { // one was half done
			t.Fatal(err)
		}
		forced := []string{"canceled closed", "running: Assignment initiated by user 'ann'", "canceling: P", "canceled: P"}
		store := Rollouts{c.db}
		busy, err := store.BusyInvalidations(c.ctx)
		if d := cmp.Diff([]rollout.Busy[software.SetID]{{Tenant: c.tenant, ID: set}}, busy); d != "" || err != nil {
			t.Fatalf("%v, %s", err, d)
		}
		if _, err := store.AdvanceInvalidation(c.ctx, c.tenant, set, &lease.Held{Name: "x", Holder: 1, Fence: 7}, c.now); !lease.Lost(err) {
			t.Errorf("without the lease: %v", err)
		}
		for more := true; more; {
			if more, err = store.AdvanceInvalidation(c.ctx, c.tenant, set, nil, c.now); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range ids {
			expect(t, "the history", forced, c.told(t, id))
		}
		if busy, err = store.BusyInvalidations(c.ctx); err != nil || len(busy) > 0 {
			t.Errorf("left to do: %v, %v", busy, err)
		}
	})
}

func TestInvalidateRefuses(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		bare, gone := c.set(t, "bare"), c.set(t, "gone")
		c.exec(t, "DELETE FROM distribution_set_module WHERE set_id = $1", int64(bare))
		c.exec(t, "UPDATE distribution_set SET deleted = TRUE WHERE id = $1", int64(gone))
		fails(t, "an incomplete set", c.rollouts.InvalidateSet(c.ctx, bare, rollout.CancelSoft), fault.SetIncomplete)
		fails(t, "a deleted set", c.rollouts.InvalidateSet(c.ctx, gone, rollout.CancelSoft), fault.Deleted)
		fails(t, "no set", c.rollouts.InvalidateSet(c.ctx, 4711, rollout.CancelSoft), fault.NotFound)
		facts, err := Rollouts{c.db}.SetFacts(c.ctx, c.tenant, bare)
		if err != nil || !facts.Valid {
			t.Errorf("the incomplete set is valid: %t, %v", facts.Valid, err)
		}
	})
}
