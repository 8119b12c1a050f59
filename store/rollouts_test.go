package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/tenant"
)

// campaigns are rollouts in a world, brought forward tick by tick.
type campaigns struct {
	*world
	rollouts *rollout.Service
	stepSize int64 // 0: as the pace says
	turns    map[rollout.ID]*rollout.Turn
}

func newCampaigns(w *world) *campaigns {
	now := func() time.Time { return w.now }
	quotas := tenant.DefaultQuotas()
	return &campaigns{
		world:    w,
		rollouts: &rollout.Service{Store: Rollouts{w.db}, Tenants: w, Quotas: quotas, Now: now, Log: slog.New(slog.DiscardHandler)},
		turns:    map[rollout.ID]*rollout.Turn{},
	}
}

// fleet makes n targets, called name01 and so on.
func (c *campaigns) fleet(tb testing.TB, name string, n int) {
	tb.Helper()
	for i := range n {
		c.target(tb, fleet.ControllerID(fmt.Sprintf("%s%02d", name, i+1)))
	}
}

// create makes a rollout over all targets.
func (c *campaigns) create(tb testing.TB, p rollout.Plan) *rollout.Rollout {
	tb.Helper()
	if p.Filter == nil {
		all := "name==*"
		p.Filter = &all
	}
	r, err := c.rollouts.Create(c.ctx, p)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// running creates a rollout and lets its first group start.
func (c *campaigns) running(tb testing.TB, p rollout.Plan) *rollout.Rollout {
	tb.Helper()
	r := c.create(tb, p)
	c.tick(tb, r.ID)
	if err := c.rollouts.Start(c.ctx, r.ID); err != nil {
		tb.Fatal(err)
	}
	c.tick(tb, r.ID)
	return r
}

// tick gives a rollout one turn of the engine.
func (c *campaigns) tick(tb testing.TB, id rollout.ID) {
	tb.Helper()
	turn := c.turns[id]
	if turn == nil {
		turn = &rollout.Turn{}
		c.turns[id] = turn
	}
	turn.Judged = false
	for {
		more, err := c.advance(id, turn)
		if err != nil {
			tb.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func (c *campaigns) advance(id rollout.ID, turn *rollout.Turn) (bool, error) {
	return Rollouts{c.db}.Advance(context.WithoutCancel(c.ctx), c.tenant, id, c.engine(turn))
}

// engine is what the engine says when it takes a step.
func (c *campaigns) engine(turn *rollout.Turn) rollout.Advance {
	return rollout.Advance{
		Turn: turn, Policy: deployment.PolicyOf(&c.settings, c.rollouts.Quotas), Approval: c.settings.RolloutApproval,
		MaxGroups: c.rollouts.Quotas.GroupsPerRollout, StepSize: c.stepSize, Moment: query.Moment{Now: c.now.UnixMilli()}, Now: c.now,
	}
}

// shows is the rollout's state with its groups': status, targets, and how their
// actions are doing.
func (c *campaigns) shows(tb testing.TB, id rollout.ID) string {
	tb.Helper()
	r, err := c.rollouts.Rollout(c.ctx, id)
	if fault.Is(err, fault.NotFound) {
		return "gone"
	}
	if err != nil {
		tb.Fatal(err)
	}
	groups, _, err := c.rollouts.Groups(c.ctx, id, query.List{Limit: 500})
	if err != nil {
		tb.Fatal(err)
	}
	progress, err := c.rollouts.GroupProgress(c.ctx, r, groups)
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortFunc(groups, func(a, b rollout.Group) int { return int(a.ID - b.ID) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", r.Status, r.Total)
	for _, g := range groups {
		p := progress[g.ID]
		fmt.Fprintf(&b, " | %s %d", g.Status, g.Total)
		for _, part := range []struct {
			name string
			n    int64
		}{{"scheduled", p.Scheduled}, {"running", p.Running}, {"finished", p.Finished}, {"error", p.Error}, {"cancelled", p.Cancelled}} {
			if part.n > 0 {
				fmt.Fprintf(&b, " %d %s", part.n, part.name)
			}
		}
	}
	return b.String()
}

func (c *campaigns) expect(tb testing.TB, id rollout.ID, want string) {
	tb.Helper()
	if got := c.shows(tb, id); got != want {
		tb.Errorf("the rollout is\n%s, want\n%s", got, want)
	}
}

// report closes the newest active action of a target.
func (c *campaigns) report(tb testing.TB, name fleet.ControllerID, ok bool) {
	tb.Helper()
	list, _, err := c.service.TargetActions(c.ctx, name, query.List{Limit: 50})
	if err != nil {
		tb.Fatal(err)
	}
	outcome := deployment.OutcomeSuccess
	if !ok {
		outcome = deployment.OutcomeFailure
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Active {
			if err := c.service.Report(c.ctx, name, list[i].ID, deployment.Report{Execution: deployment.ExecClosed, Outcome: outcome, At: c.now}); err != nil {
				tb.Fatal(err)
			}
			return
		}
	}
	tb.Fatalf("%s has no active action", name)
}

func ptr[T any](v T) *T { return &v }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestRolloutRuns(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 7)
		set := w.set(t, "app")
		r := c.create(t, rollout.Plan{Name: "r", Set: set, Amount: ptr(3)})
		c.expect(t, r.ID, "creating 7 | creating 0 | creating 0 | creating 0")
		c.fleet(t, "late", 1) // takes no part any more: it is younger
		w.exec(t, "UPDATE target SET created_at = $1 WHERE controller_id = 'late01'", w.now.UnixMilli()+1)
		c.tick(t, r.ID)
		c.expect(t, r.ID, "ready 7 | ready 2 | ready 2 | ready 3")
		c.tick(t, r.ID)
		c.expect(t, r.ID, "ready 7 | ready 2 | ready 2 | ready 3")
		must(t, c.rollouts.Start(w.ctx, r.ID))
		c.expect(t, r.ID, "starting 7 | ready 2 | ready 2 | ready 3")
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 7 | running 2 2 running | scheduled 2 2 scheduled | scheduled 3 3 scheduled")
		if got := w.holds(t, "t01"); got != fmt.Sprintf("pending assigned %d installed 0", set) {
			t.Error(got)
		}
		c.tick(t, r.ID)
		c.report(t, "t01", true) // half of the group: enough
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 7 | running 2 1 running 1 finished | running 2 2 running | scheduled 3 3 scheduled")
		c.report(t, "t02", false)
		c.report(t, "t03", false)
		c.report(t, "t04", false) // all of the second
		c.tick(t, r.ID)
		c.expect(t, r.ID, "paused 7 | finished 2 1 finished 1 error | error 2 2 error | scheduled 3 3 scheduled")
		c.tick(t, r.ID)
		c.expect(t, r.ID, "paused 7 | finished 2 1 finished 1 error | error 2 2 error | scheduled 3 3 scheduled")
		must(t, c.rollouts.Resume(w.ctx, r.ID))
		c.expect(t, r.ID, "running 7 | finished 2 1 finished 1 error | error 2 2 error | running 3 3 running")
		for _, name := range []fleet.ControllerID{"t05", "t06", "t07"} {
			c.report(t, name, true)
		}
		c.tick(t, r.ID)
		c.expect(t, r.ID, "finished 7 | finished 2 1 finished 1 error | error 2 2 error | finished 3 3 finished")

		again, err := c.rollouts.Retry(w.ctx, r.ID, false)
		must(t, err)
		c.tick(t, again.ID)
		c.expect(t, again.ID, "ready 3 | ready 3")
		must(t, c.rollouts.Start(w.ctx, again.ID))
		c.tick(t, again.ID)
		c.expect(t, again.ID, "running 3 | running 3 3 running")
	})
}

func TestRolloutStops(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 4)
		r := c.running(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(2)})
		c.report(t, "t01", true)
		must(t, c.rollouts.Stop(w.ctx, r.ID))
		c.tick(t, r.ID)
		c.expect(t, r.ID, "stopped 4 | finished 2 1 running 1 finished | finished 2")
		if err := c.rollouts.Stop(w.ctx, r.ID); !fault.Is(err, fault.RolloutState) {
			t.Errorf("stopping twice: %v", err)
		}
		must(t, c.rollouts.Delete(w.ctx, r.ID))
		c.tick(t, r.ID)
		c.expect(t, r.ID, "deleted 4 | finished 2 1 finished 1 cancelled | finished 2")
		if got := w.holds(t, "t02"); got != "in_sync assigned 0 installed 0" {
			t.Error(got)
		}

		unborn := c.create(t, rollout.Plan{Name: "unborn", Set: r.Set, Amount: ptr(2)})
		c.tick(t, unborn.ID)
		must(t, c.rollouts.Start(w.ctx, unborn.ID))
		must(t, c.rollouts.Delete(w.ctx, unborn.ID))
		c.tick(t, unborn.ID)
		c.expect(t, unborn.ID, "gone")
	})
}

// Actions of a group that was stopped in the middle of its start are running or gone.
func TestRolloutStopsWhileAGroupStarts(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.stepSize = 2
		c.fleet(t, "t", 10)
		r := c.running(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(2)})
		_, err := Rollouts{w.db}.UpdateRollout(w.ctx, w.tenant, r.ID, func(run *rollout.Run) error { return run.TriggerNext() }) // without its first steps
		must(t, err)
		if more, err := c.advance(r.ID, &rollout.Turn{}); err != nil || !more {
			t.Fatalf("a step of the second group's start: %t, %v", more, err)
		}
		started := "2 running"
		if w.db.Shared() { // one transaction beside the other
			started = "4 running"
		}
		if got := c.shows(t, r.ID); !strings.HasSuffix(got, started) {
			t.Errorf("after a step of the second group's start: %s", got)
		}
		must(t, c.rollouts.Stop(w.ctx, r.ID))
		c.tick(t, r.ID)
		c.expect(t, r.ID, "stopped 10 | finished 5 5 running | finished 5 "+started)
	})
}

// A newer rollout takes what an older one has not reached.
func TestRolloutTakesOver(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 4)
		one, two := w.set(t, "one"), w.set(t, "two")
		older := c.create(t, rollout.Plan{Name: "older", Set: one, Amount: ptr(2)})
		newer := c.create(t, rollout.Plan{Name: "newer", Set: two, Amount: ptr(1)})
		for _, r := range []*rollout.Rollout{older, newer} {
			c.tick(t, r.ID)
			must(t, c.rollouts.Start(w.ctx, r.ID))
			c.tick(t, r.ID)
		}
		c.expect(t, older.ID, "running 4 | running 2 2 running | scheduled 2 2 cancelled")
		c.expect(t, newer.ID, "running 4 | running 4 4 running")
		list, _, err := c.service.TargetActions(w.ctx, "t01", query.List{Limit: 5, Sort: []query.Order{{Field: "id"}}})
		must(t, err)
		var got []string
		for _, a := range list {
			got = append(got, fmt.Sprintf("%s %s %t", a.RolloutName, a.Status, a.Active))
		}
		if diff := cmp.Diff([]string{"older canceling true", "newer running true"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRolloutFinishesWhatIsThere(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 2)
		set := w.set(t, "app")
		_, err := w.service.AssignSet(w.ctx, set, []deployment.Order{{Target: "t01", Weight: 1000}}, false)
		must(t, err)
		r := c.running(t, rollout.Plan{Name: "r", Set: set})
		c.expect(t, r.ID, "running 2 | running 2 1 running 1 finished")
	})
}

func TestRolloutPausesAfterSuccess(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 3)
		r := c.create(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(3), Conditions: rollout.Conditions{
			Success: &rollout.Condition{Expression: ptr("100")}, SuccessAction: &rollout.OnSuccess{Action: rollout.PauseAfterSuccess},
		}})
		c.tick(t, r.ID)
		must(t, c.rollouts.Start(w.ctx, r.ID))
		c.tick(t, r.ID)
		c.report(t, "t01", true)
		c.tick(t, r.ID)
		c.expect(t, r.ID, "paused 3 | finished 1 1 finished | scheduled 1 1 scheduled | scheduled 1 1 scheduled")
		must(t, c.rollouts.Resume(w.ctx, r.ID))
		c.expect(t, r.ID, "running 3 | finished 1 1 finished | running 1 1 running | scheduled 1 1 scheduled")
		must(t, c.rollouts.TriggerNextGroup(w.ctx, r.ID))
		c.expect(t, r.ID, "running 3 | finished 1 1 finished | running 1 1 running | running 1 1 running")
		if err := c.rollouts.TriggerNextGroup(w.ctx, r.ID); !fault.Is(err, fault.RolloutState) {
			t.Errorf("no group is left: %v", err)
		}
	})
}

func TestRolloutGrows(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 2)
		r := c.create(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Dynamic: true})
		c.tick(t, r.ID)
		c.expect(t, r.ID, "ready 2 | ready 2 | ready 0")
		must(t, c.rollouts.Start(w.ctx, r.ID))
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 2 | running 2 2 running | scheduled 0")
		c.fleet(t, "new", 5)
		for range 5 { // fill, create, fill, create, fill
			c.tick(t, r.ID)
		}
		c.expect(t, r.ID, "running 7 | running 2 2 running | scheduled 2 2 scheduled | scheduled 2 2 scheduled | scheduled 1 1 scheduled")
		c.report(t, "t01", true)
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 7 | running 2 1 running 1 finished | running 2 2 running | scheduled 2 2 scheduled | scheduled 1 1 scheduled")
		c.report(t, "t02", true)
		for _, name := range []fleet.ControllerID{"new01", "new02"} {
			c.report(t, name, true)
		}
		c.tick(t, r.ID)
		c.tick(t, r.ID)
		c.report(t, "new03", true)
		c.report(t, "new04", true)
		c.tick(t, r.ID)
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 7 | finished 2 2 finished | finished 2 2 finished | finished 2 2 finished | running 1 1 running")
		c.turns[r.ID].Full = false
		c.fleet(t, "more", 1)
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 8 | finished 2 2 finished | finished 2 2 finished | finished 2 2 finished | running 2 2 running")
	})
}

func TestRolloutApproval(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		w.settings.RolloutApproval = true
		c.fleet(t, "t", 1)
		set := w.set(t, "app")
		start := w.now
		r := c.create(t, rollout.Plan{Name: "r", Set: set, StartAt: &start})
		c.tick(t, r.ID)
		c.expect(t, r.ID, "waiting_for_approval 1 | ready 1")
		must(t, c.rollouts.Approve(w.ctx, r.ID, ptr("go")))
		c.tick(t, r.ID)
		c.expect(t, r.ID, "starting 1 | ready 1")
		c.tick(t, r.ID)
		c.expect(t, r.ID, "running 1 | running 1 1 running")
		denied := c.create(t, rollout.Plan{Name: "denied", Set: set})
		c.tick(t, denied.ID)
		must(t, c.rollouts.Deny(w.ctx, denied.ID, nil))
		c.expect(t, denied.ID, "approval_denied 1 | ready 1")
		mine := c.create(t, rollout.Plan{Name: "mine", Set: set, NeedsNoApproval: true})
		c.tick(t, mine.ID)
		c.expect(t, mine.ID, "ready 1 | ready 1")
	})
}

// Targets that are deleted while a rollout takes them in and makes their actions
// leave nothing behind.
func TestTargetsLeaveARollout(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.stepSize = 2
		c.fleet(t, "t", 60)
		set := w.set(t, "app")
		var deleting sync.WaitGroup
		for first := range 3 {
			deleting.Go(func() {
				for n := first + 1; n <= 30; n += 3 {
					if err := (Fleet{w.db}).DeleteTarget(w.ctx, w.tenant, fleet.ControllerID(fmt.Sprintf("t%02d", 2*n)), w.now); err != nil {
						t.Error(err)
					}
				}
			})
		}
		c.running(t, rollout.Plan{Name: "r", Set: set, Amount: ptr(1)})
		deleting.Wait()
		for _, left := range []string{
			"rollout_member m LEFT JOIN target t ON t.id = m.target_id",
			"action a LEFT JOIN target t ON t.id = a.target_id",
			"action_status s LEFT JOIN action a ON a.id = s.action_id LEFT JOIN target t ON t.id = a.target_id",
		} {
			if got := w.dump(t, "SELECT count(*), count(DISTINCT t.id) FROM "+left+" WHERE t.id IS NULL"); got[0] != "0 0" {
				t.Errorf("%s: %v are left without their target", left, got)
			}
		}
		if got := w.dump(t, "SELECT count(*), count(DISTINCT target_id) FROM action"); got[0] != "30 30" {
			t.Errorf("actions and their targets: %v", got)
		}
	})
}

// A step that makes something for targets keeps them.
func TestTargetsStayDuringAStep(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		id := w.target(t, "t")
		deleted := make(chan error, 1)
		must(t, w.db.update(w.ctx, func(tx *Tx) error {
			if err := tx.holdTargets(w.ctx, w.tenant, false); err != nil {
				return err
			}
			go func() { deleted <- Fleet{w.db}.DeleteTarget(w.ctx, w.tenant, "t", w.now) }()
			select {
			case err := <-deleted:
				t.Errorf("the target was deleted meanwhile, error: %v", err)
			case <-time.After(300 * time.Millisecond): // it had its chance
			}
			_, err := tx.exec(w.ctx, "INSERT INTO rollout_member (target_id, rollout_id, group_id) VALUES ($1, 1, 1)", int64(id))
			return err
		}))
		if !t.Failed() {
			must(t, <-deleted)
		}
		if got := w.dump(t, "SELECT count(*) FROM rollout_member"); got[0] != "0" {
			t.Errorf("%v members without a target", got)
		}
	})
}

// Starting a group goes along the group's scheduled actions, without sorting them.
func TestLaunchGoesAlongTheGroup(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.SQLite(t))
	var plan []string
	must(t, db.view(t.Context(), func(q querier) (err error) {
		plan, err = all(t.Context(), q, func(s scanner) (line string, err error) {
			var id, parent, unused int
			err = s.Scan(&id, &parent, &unused, &line)
			return line, err
		}, "EXPLAIN QUERY PLAN "+launchable(), 1, 1, 1, 1)
		return err
	}))
	want := []string{"SEARCH a USING INDEX action_group (rollout_group_id=? AND filed_as=? AND id>?)", "SEARCH h USING INTEGER PRIMARY KEY (rowid=?)"}
	if !slices.Equal(plan, want) {
		t.Errorf("the plan is\n%s", strings.Join(plan, "\n"))
	}
}

// A step of a process whose lease another one took changes nothing.
func TestFence(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 1)
		r := c.create(t, rollout.Plan{Name: "r", Set: w.set(t, "app")})
		keeper := func(holder int64) *lease.Keeper {
			return &lease.Keeper{Store: Leases{w.db}, Holder: holder, For: 10 * time.Second, Now: func() time.Time { return w.now }}
		}
		one, two := keeper(1), keeper(2)
		first, err := one.Hold(w.ctx, "x")
		must(t, err)
		other, err := two.Hold(w.ctx, "x")
		must(t, err)
		if first == nil || other != nil {
			t.Fatalf("one has %v, two %v", first, other)
		}
		w.now = w.now.Add(11 * time.Second)
		other, err = two.Hold(w.ctx, "x")
		must(t, err)
		if other == nil || other.Fence != first.Fence+1 {
			t.Fatalf("two has %v after %v", other, first)
		}
		turn := &rollout.Turn{}
		step := func(h *lease.Held) error {
			_, err := Rollouts{w.db}.Advance(w.ctx, w.tenant, r.ID, rollout.Advance{Held: h, Turn: turn, Moment: query.Moment{Now: w.now.UnixMilli()}, Now: w.now})
			return err
		}
		if err := step(first); !lease.Lost(err) {
			t.Errorf("a step with the lost lease: %v", err)
		}
		c.expect(t, r.ID, "creating 1 | creating 0")
		must(t, step(other))
		must(t, two.Release(w.ctx))
		again, err := one.Hold(w.ctx, "x")
		must(t, err)
		if again == nil {
			t.Error("a lease that was given up is not free")
		}
	})
}

// The statistics of a large rollout may be some seconds old, but never older than
// the states that are shown with them, whichever process changed those.
func TestStatisticsOfALargeRollout(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		w.exec(t, fmt.Sprintf(`INSERT INTO target (tenant_id, controller_id, name, token, created_by, created_at)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT %d, 't' || CAST(i AS TEXT), 'n', 'x', 'a', 0 FROM n`, w.tenant))
		w.exec(t, "INSERT INTO target_state (target_id, status, modified_by, modified_at) SELECT id, 1, 'a', 0 FROM target")
		r := c.create(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(2)})
		// Another process shows it, by a clock that runs while it counts.
		now := w.now
		other := &rollout.Service{Store: Rollouts{w.db}, Tenants: w, Now: func() time.Time { now = now.Add(100 * time.Millisecond); return now }}
		expect := func(what, want string) {
			t.Helper()
			x, err := other.Rollout(w.ctx, r.ID)
			must(t, err)
			whole, err := other.Progress(w.ctx, []rollout.Rollout{*x})
			must(t, err)
			groups, _, err := other.Groups(w.ctx, r.ID, query.List{Limit: 500, Sort: []query.Order{{Field: "id"}}})
			must(t, err)
			parts, err := other.GroupProgress(w.ctx, x, groups)
			must(t, err)
			got := fmt.Sprint(whole[r.ID], parts[groups[0].ID], parts[groups[1].ID])
			if got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		c.tick(t, r.ID)
		expect("ready", "{10000 0 0 0 0 0} {5000 0 0 0 0 0} {5000 0 0 0 0 0}")
		must(t, c.rollouts.Start(w.ctx, r.ID))
		c.tick(t, r.ID)
		expect("running", "{0 5000 5000 0 0 0} {0 0 5000 0 0 0} {0 5000 0 0 0 0}")
		w.exec(t, "UPDATE action SET status = 0, active = FALSE, filed_as = 0 WHERE rollout_group_id = (SELECT min(id) FROM rollout_group)")
		expect("reports alone", "{0 5000 5000 0 0 0} {0 0 5000 0 0 0} {0 5000 0 0 0 0}")
		must(t, c.rollouts.TriggerNextGroup(w.ctx, r.ID)) // no change of the rollout itself
		expect("the next group", "{0 0 5000 5000 0 0} {0 0 0 5000 0 0} {0 0 5000 0 0 0}")
		w.exec(t, "UPDATE action SET status = 1, active = FALSE, filed_as = 1 WHERE active")
		c.tick(t, r.ID)
		expect("finished", "{0 0 0 5000 5000 0} {0 0 0 5000 0 0} {0 0 0 0 5000 0}")
		w.exec(t, "UPDATE action SET status = 0, filed_as = 0 WHERE status = 1")
		expect("afterwards", "{0 0 0 5000 5000 0} {0 0 0 5000 0 0} {0 0 0 0 5000 0}")
		now = now.Add(5 * time.Second)
		expect("later", "{0 0 0 10000 0 0} {0 0 0 5000 0 0} {0 0 0 5000 0 0}")
	})
}

// Statistics read a stretch of one index for each status of each group.
func TestTalliesGoByTheGroupsIndex(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		explain, want := "EXPLAIN QUERY PLAN ", "SEARCH a USING COVERING INDEX action_group (rollout_group_id=? AND filed_as=?)"
		if w.db.Shared() {
			explain, want = "EXPLAIN ", "action_group"
		}
		var plan []string
		must(t, w.db.view(w.ctx, func(q querier) (err error) {
			plan, err = all(w.ctx, q, func(s scanner) (line string, err error) {
				var id, parent, unused int
				if w.db.Shared() {
					err = s.Scan(&line)
				} else {
					err = s.Scan(&id, &parent, &unused, &line)
				}
				return line, err
			}, explain+tallyText(w.db.dialect, "rollout_id"), int64(w.tenant), "[1]", "[1]")
			return err
		}))
		if text := strings.Join(plan, "\n"); !strings.Contains(text, want) || strings.Contains(text, "Seq Scan on action") {
			t.Errorf("the plan is\n%s", text)
		}
	})
}

// Actions are counted before the step's transaction. A group that began to run in
// between is judged by its own.
func TestAGroupStartsWhileOthersAreCounted(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.fleet(t, "t", 10)
		r := c.running(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(2)})
		step := c.engine(&rollout.Turn{})
		counted, err := Rollouts{w.db}.choose(w.ctx, w.tenant, r.ID, step)
		must(t, err)
		must(t, c.rollouts.TriggerNextGroup(w.ctx, r.ID))
		_, _, err = Rollouts{w.db}.advance(w.ctx, w.tenant, r.ID, step, counted)
		must(t, err)
		c.expect(t, r.ID, "running 10 | running 5 5 running | running 5 5 running")
	})
}

// What happens to a target between a step's looking at it and starting its action
// is what counts. Others wait for their turn meanwhile, here by a lock.
func TestLaunchMeetsAChange(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"one step": 10, "one step by two transactions": 4, "the second transaction fails": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			launchMeetsAChange(t, size)
		})
	}
}

func launchMeetsAChange(t *testing.T, stepSize int64) {
	t.Helper()
	w := newWorld(t, open(t, testdb.Postgres(t)))
	c := newCampaigns(w)
	c.stepSize = stepSize
	c.fleet(t, "t", 7)
	r := c.create(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(1)})
	other := w.set(t, "other")
	c.tick(t, r.ID)
	must(t, c.rollouts.Start(w.ctx, r.ID))
	turn := &rollout.Turn{}
	for c.shows(t, r.ID) != "starting 7 | scheduled 7 7 scheduled" {
		if more, err := c.advance(r.ID, turn); err != nil || !more {
			t.Fatalf("%s: %t, %v", c.shows(t, r.ID), more, err)
		}
	}
	launched := make(chan error, 1)
	must(t, w.db.update(w.ctx, func(tx *Tx) error {
		for _, text := range []string{
			"UPDATE target_state SET assigned_set = $1 WHERE target_id = (SELECT id FROM target WHERE controller_id = 't03')",
			"UPDATE target_state SET assigned_set = $1 WHERE target_id = (SELECT id FROM target WHERE controller_id = 't05')",
		} {
			if _, err := tx.exec(w.ctx, text, int64(other)); err != nil {
				return err
			}
		}
		if _, err := tx.exec(w.ctx, "UPDATE action SET status = $1, filed_as = $1 WHERE target_id = (SELECT id FROM target WHERE controller_id = 't03')", int(deployment.Canceled)); err != nil {
			return err
		}
		if _, err := tx.exec(w.ctx, "UPDATE target_state SET assigned_set = $1 WHERE target_id = (SELECT id FROM target WHERE controller_id = 't06')", int64(r.Set)); err != nil {
			return err
		}
		go func() {
			_, err := c.advance(r.ID, turn)
			launched <- err
		}()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if w.dump(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")[0] != "0" {
				return nil
			}
		}
		t.Error("the step did not wait")
		return nil
	}))
	must(t, <-launched)
	c.tick(t, r.ID)
	c.expect(t, r.ID, "running 7 | running 7 5 running 1 finished 1 cancelled")
	if got := w.dump(t, "SELECT a.status, a.entries, (SELECT count(*) FROM action_status s WHERE s.action_id = a.id) FROM action a JOIN target t ON t.id = a.target_id WHERE t.controller_id IN ('t03', 't05', 't06') ORDER BY a.target_id"); !slices.Equal(got, []string{"4 0 0", "3 1 1", "0 1 1"}) {
		t.Errorf("status and entries: %v", got)
	}
}

// A group whose parts are started at the same time ends with each action started once.
func TestLaunchByTwoTransactions(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		c := newCampaigns(w)
		c.stepSize = 3
		c.fleet(t, "t", 41)
		r := c.running(t, rollout.Plan{Name: "r", Set: w.set(t, "app"), Amount: ptr(1)})
		c.expect(t, r.ID, "running 41 | running 41 41 running")
		if got := w.dump(t, "SELECT count(*), min(entries), max(entries), min(revision), max(revision) FROM action WHERE active"); got[0] != "41 1 1 2 2" {
			t.Errorf("actions, entries and revisions: %v", got)
		}
		started := map[int64]int{}
		for _, e := range w.events {
			if e.Kind == event.ActionAssigned {
				started[e.Subject]++
			}
		}
		if len(started) != 41 {
			t.Errorf("%d of 41 were told of", len(started))
		}
		for id, n := range started {
			if n != 1 {
				t.Errorf("action %d was started %d times", id, n)
			}
		}
	})
}
