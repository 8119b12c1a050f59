package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

// A world is a database with a tenant, and the service under test on top of it.
type world struct {
	db       *DB
	service  *deployment.Service
	tenant   tenant.ID
	settings tenant.Settings
	now      time.Time
	ctx      context.Context
	events   []event.Event // what was told since the world began
}

// Settings implements software.Settings.
func (w *world) Settings(context.Context, tenant.ID) (*tenant.Settings, error) {
	s := w.settings
	return &s, nil
}

// eachWorld runs the test in a world of its own on each database.
func eachWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, at testdb.Database) { test(t, newWorld(t, open(t, at))) })
}

func newWorld(tb testing.TB, db *DB) *world {
	tb.Helper()
	w := &world{db: db, now: time.UnixMilli(1_800_000_000_000)}
	if err := (Tenants{db}).EnsureTenant(tb.Context(), "DEFAULT", w.now); err != nil {
		tb.Fatal(err)
	}
	r, err := Tenants{db}.TenantByName(tb.Context(), "DEFAULT")
	if err != nil {
		tb.Fatal(err)
	}
	w.tenant = r.ID
	s, _ := tenant.NewSettings(r)
	w.settings = *s
	w.ctx = caller.With(tb.Context(), caller.Caller{Tenant: r.ID, TenantName: r.Name, User: "ann"})
	now := func() time.Time { return w.now }
	polls := deployment.NewPollIndex(Deployment{db}, 1000, now)
	polls.TrustAlways()
	db.Listen(polls.Drop)
	var hearing sync.Mutex
	db.Listen(func(e []event.Event) {
		hearing.Lock()
		defer hearing.Unlock()
		w.events = append(w.events, e...)
	})
	w.service = &deployment.Service{
		Store: Deployment{db}, Polls: polls, Tenants: w, Software: Software{DB: db}, Quotas: tenant.DefaultQuotas(),
		Limits: deployment.Limits{Entries: 1000, Messages: 50}, Now: now,
	}
	return w
}

// lookup is what a poll of the target hears.
func (w *world) lookup(name fleet.ControllerID) (deployment.Standing, deployment.Window, error) {
	return w.service.Polls.Lookup(w.ctx, &tenant.Tenant{Record: tenant.Record{ID: w.tenant}, Settings: &w.settings}, name)
}

// exec runs a statement of the fixture's.
func (w *world) exec(tb testing.TB, text string, args ...any) {
	tb.Helper()
	if err := w.db.update(w.ctx, func(tx *Tx) error {
		_, err := tx.exec(w.ctx, text, args...)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
}

// insert runs a fixture's INSERT … RETURNING id.
func (w *world) insert(tb testing.TB, text string, args ...any) (id int64) {
	tb.Helper()
	if err := w.db.update(w.ctx, func(tx *Tx) (err error) {
		id, err = tx.insert(w.ctx, text, args...)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return id
}

// target makes a target that was seen and has nothing.
func (w *world) target(tb testing.TB, name fleet.ControllerID) fleet.TargetID {
	tb.Helper()
	id := w.insert(tb, "INSERT INTO target (tenant_id, controller_id, name, token, created_by, created_at) VALUES ($1, $2, $2, 'secret', 'bob', 1) RETURNING id", int64(w.tenant), string(name))
	w.exec(tb, "INSERT INTO target_state (target_id, status, modified_by, modified_at) VALUES ($1, $2, 'bob', 1)", id, int(fleet.StatusRegistered))
	return fleet.TargetID(id)
}

func (w *world) targets(tb testing.TB, names ...fleet.ControllerID) {
	tb.Helper()
	for _, n := range names {
		w.target(tb, n)
	}
}

// set makes a complete set with one module of type os and one artifact.
func (w *world) set(tb testing.TB, name string) software.SetID {
	tb.Helper()
	set := w.insert(tb, `INSERT INTO distribution_set (tenant_id, type_id, name, version, created_by, created_at, modified_by, modified_at)
		SELECT $1, id, $2, '1', 'bob', 1, 'bob', 1 FROM distribution_set_type WHERE tenant_id = $1 AND key = 'os' RETURNING id`, int64(w.tenant), name)
	module := w.insert(tb, `INSERT INTO software_module (tenant_id, type_id, name, version, created_by, created_at, modified_by, modified_at)
		SELECT $1, id, $2, '1', 'bob', 1, 'bob', 1 FROM software_module_type WHERE tenant_id = $1 AND key = 'os' RETURNING id`, int64(w.tenant), name)
	w.exec(tb, "INSERT INTO distribution_set_module (set_id, module_id) VALUES ($1, $2)", set, module)
	w.insert(tb, "INSERT INTO artifact (tenant_id, module_id, filename, filename_key, sha256, sha1, md5, size, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $3, 'c', 'b', 'a', 8, 'bob', 1, 'bob', 1) RETURNING id",
		int64(w.tenant), module, name+".swu")
	return software.SetID(set)
}

// assign assigns with defaults and returns the actions' ids by target.
func (w *world) assign(tb testing.TB, set software.SetID, names ...fleet.ControllerID) map[fleet.ControllerID]deployment.ActionID {
	tb.Helper()
	return w.order(tb, set, false, orders(names...)...)
}

func orders(names ...fleet.ControllerID) []deployment.Order {
	list := make([]deployment.Order, len(names))
	for i, n := range names {
		list[i] = deployment.Order{Target: n, Weight: deployment.DefaultWeight}
	}
	return list
}

func (w *world) order(tb testing.TB, set software.SetID, offline bool, list ...deployment.Order) map[fleet.ControllerID]deployment.ActionID {
	tb.Helper()
	made, err := w.service.AssignSet(w.ctx, set, list, offline)
	if err != nil {
		tb.Fatal(err)
	}
	ids := map[fleet.ControllerID]deployment.ActionID{}
	for _, a := range made.New {
		ids[a.Target] = a.ID
	}
	return ids
}

func (w *world) report(tb testing.TB, target fleet.ControllerID, id deployment.ActionID, r deployment.Report) {
	tb.Helper()
	if err := w.service.Report(w.ctx, target, id, r); err != nil {
		tb.Fatal(err)
	}
}

// told is an action with its history in a line, for comparing: status, whether
// active, then "entry: messages" of each entry.
func (w *world) told(tb testing.TB, id deployment.ActionID) []string {
	tb.Helper()
	var out []string
	err := w.db.view(w.ctx, func(q querier) error {
		var status deployment.Status
		var active bool
		var entries, newest int
		if err := q.row(w.ctx, "SELECT status, active, entries, newest_entry FROM action WHERE id = $1", int64(id)).Scan(&status, &active, &entries, &newest); err != nil {
			return err
		}
		state := "closed"
		if active {
			state = "active"
		}
		out = append(out, status.String()+" "+state)
		last := -1
		list, err := all(w.ctx, q, func(s scanner) (string, error) {
			var status deployment.Status
			var text string
			var messages []string
			if err := s.Scan(&status, &text); err != nil {
				return "", err
			}
			last = int(status)
			if err := json.Unmarshal([]byte(text), &messages); err != nil {
				return "", err
			}
			for i, m := range messages {
				if strings.HasPrefix(m, deployment.ServerPrefix) {
					messages[i] = "P"
				}
			}
			return status.String() + ": " + strings.Join(messages, " | "), nil
		}, "SELECT status, messages FROM action_status WHERE action_id = $1 ORDER BY id", int64(id))
		if err == nil && (len(list) != entries || last != newest) {
			tb.Errorf("action %d counts %d entries, the newest %d; there are %d, the newest %d", id, entries, newest, len(list), last)
		}
		out = append(out, list...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// holds tells what a target has.
func (w *world) holds(tb testing.TB, name fleet.ControllerID) string {
	tb.Helper()
	var out string
	if err := w.db.view(w.ctx, func(q querier) error {
		var status fleet.Status
		var assigned, installed int64
		var requested bool
		err := q.row(w.ctx, "SELECT status, coalesce(assigned_set, 0), coalesce(installed_set, 0), request_attributes FROM target t JOIN target_state h ON h.target_id = t.id WHERE tenant_id = $1 AND controller_id = $2", int64(w.tenant), string(name)).Scan(&status, &assigned, &installed, &requested)
		out = fmt.Sprintf("%v assigned %d installed %d", status, assigned, installed)
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return out
}

func expect[T any](tb testing.TB, what string, want, got T) {
	tb.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func fails(tb testing.TB, what string, err error, kind fault.Kind) {
	tb.Helper()
	if !fault.Is(err, kind) {
		tb.Errorf("%s: error is %v, want one of kind %v", what, err, kind)
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		one, two := w.set(t, "one"), w.set(t, "two")
		w.targets(t, "a", "b", "c")
		made, err := w.service.AssignSet(w.ctx, one, orders("c", "a", "nobody", "a"), false)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.New) != 2 || made.New[0].Target != "c" || made.New[1].Target != "a" || made.New[0].ID >= made.New[1].ID || made.Already != 0 {
			t.Fatalf("assigned %+v, want actions of c and a in this order", made)
		}
		first := made.New[1].ID
		if first < 1001 {
			t.Errorf("action id %d; clients exist that misread those below 1001", first)
		}
		expect(t, "new action", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, first))
		expect(t, "target", fmt.Sprintf("pending assigned %d installed 0", one), w.holds(t, "a"))
		expect(t, "target left out", "registered assigned 0 installed 0", w.holds(t, "b"))

		again, err := w.service.AssignSet(w.ctx, one, orders("a", "b"), false)
		if err != nil {
			t.Fatal(err)
		}
		if again.Already != 1 || len(again.New) != 1 || again.New[0].Target != "b" {
			t.Errorf("assigned %+v, want b alone, and a already", again)
		}

		second := w.assign(t, two, "a")["a"]
		expect(t, "older action", []string{"canceling active", "running: Assignment initiated by user 'ann'", "canceling: P"}, w.told(t, first))
		expect(t, "newer action", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, second))

		third := w.assign(t, one, "a")["a"] // what is being canceled stays as it is
		expect(t, "oldest action", []string{"canceling active", "running: Assignment initiated by user 'ann'", "canceling: P"}, w.told(t, first))
		expect(t, "older action", []string{"canceling active", "running: Assignment initiated by user 'ann'", "canceling: P"}, w.told(t, second))

		// The oldest is offered first; each confirmed cancellation uncovers the next.
		for _, id := range []deployment.ActionID{first, second} {
			s, _, err := w.lookup("a")
			if err != nil || s.Action != id || s.Offer != deployment.OfferCancel {
				t.Fatalf("the device hears of %+v (%v), want the cancellation of %d", s, err, id)
			}
			if err := w.service.ReportCancel(w.ctx, "a", id, deployment.Report{}); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, "target", fmt.Sprintf("pending assigned %d installed 0", one), w.holds(t, "a"))
		w.report(t, "a", third, deployment.Report{})
		expect(t, "target in the end", fmt.Sprintf("in_sync assigned %d installed %[1]d", one), w.holds(t, "a"))
	})
}

func TestAssignAutoclose(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		one, two, three, step := w.set(t, "one"), w.set(t, "two"), w.set(t, "three"), w.set(t, "step")
		w.exec(t, "UPDATE distribution_set SET required_migration_step = TRUE WHERE id = $1", int64(step))
		w.targets(t, "a")
		kept, first := w.assign(t, step, "a")["a"], deployment.ActionID(0)
		first = w.assign(t, one, "a")["a"]
		second := w.assign(t, two, "a")["a"] // the first is being canceled
		w.settings.AutoClose = true
		third := w.assign(t, three, "a")["a"]
		expect(t, "canceling before", []string{"canceled closed", "running: Assignment initiated by user 'ann'", "canceling: P", "canceled: P"}, w.told(t, first))
		expect(t, "running before", []string{"canceled closed", "running: Assignment initiated by user 'ann'", "canceled: P"}, w.told(t, second))
		expect(t, "migration step", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, kept))
		expect(t, "new", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, third))
		expect(t, "target", fmt.Sprintf("pending assigned %d installed 0", three), w.holds(t, "a"))
	})
}

func TestAssignScheduled(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		one, two, step := w.set(t, "one"), w.set(t, "two"), w.set(t, "step")
		w.exec(t, "UPDATE distribution_set SET required_migration_step = TRUE WHERE id = $1", int64(step))
		schedule := func(target fleet.TargetID, set software.SetID) deployment.ActionID {
			return deployment.ActionID(w.insert(t, "INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, weight, initiated_by, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, 8, FALSE, -1, 0, 1000, 'x', 'x', 1, 'x', 1) RETURNING id",
				int64(w.tenant), int64(target), int64(set)))
		}
		for name, offline := range map[fleet.ControllerID]bool{"online": false, "offline": true} {
			target := w.target(t, name)
			waits, kept := schedule(target, one), schedule(target, step)
			w.order(t, two, offline, orders(name)...)
			expect(t, string(name)+" scheduled", []string{"canceled closed"}, w.told(t, waits))
			expect(t, string(name)+" migration step", []string{"scheduled closed"}, w.told(t, kept))
		}
	})
}

func TestAssignConsent(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := w.set(t, "one")
		w.targets(t, "asked", "flow", "given", "auto", "off")
		w.exec(t, "INSERT INTO auto_confirm (target_id, initiator, remark, activated_by, activated_at) SELECT id, 'ini', '', 'bob', 1 FROM target WHERE controller_id = 'auto'")
		order := func(name fleet.ControllerID, c deployment.Consent) deployment.Order {
			return deployment.Order{Target: name, Weight: 1000, Consent: c}
		}
		off := w.order(t, set, false, order("off", deployment.ConsentAsked))["off"]
		w.settings.ConfirmationFlow = true
		ids := w.order(t, set, false, order("asked", deployment.ConsentAsked), order("flow", deployment.ConsentByFlow), order("given", deployment.ConsentGiven), order("auto", deployment.ConsentAsked))
		by := "Assignment initiated by user 'ann'"
		expect(t, "flow off", []string{"running active", "running: " + by}, w.told(t, off))
		wait := []string{"wait_for_confirmation active", "wait_for_confirmation: " + by + " | The update waits for the device's consent."}
		expect(t, "asked", wait, w.told(t, ids["asked"]))
		expect(t, "by flow", wait, w.told(t, ids["flow"]))
		expect(t, "given", []string{"running active", "wait_for_confirmation: " + by + " | Consent is not required: whoever assigned gave it."}, w.told(t, ids["given"]))
		expect(t, "auto-confirmed", []string{"running active", "wait_for_confirmation: " + by + " | Assignment confirmed by auto-confirmation. Initiator: ini, activated by: bob, remark: n/a"}, w.told(t, ids["auto"]))
	})
}

func TestAssignOffline(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		one, two := w.set(t, "one"), w.set(t, "two")
		w.targets(t, "a", "busy")
		running := w.assign(t, one, "busy")["busy"]
		w.exec(t, "UPDATE target_state SET request_attributes = FALSE")
		made, err := w.service.AssignSet(w.ctx, two, []deployment.Order{{Target: "a", Type: deployment.Soft, Weight: 5}, {Target: "busy"}, {Target: "nobody"}}, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.New) != 1 || made.Already != 1 {
			t.Fatalf("assigned %+v, want a, and busy already", made)
		}
		id := made.New[0].ID
		expect(t, "action", []string{"finished closed", "finished: Assignment initiated by user 'ann' | P"}, w.told(t, id))
		expect(t, "target", fmt.Sprintf("in_sync assigned %d installed %[1]d", two), w.holds(t, "a"))
		expect(t, "busy target", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, running))
		a, err := w.service.Action(w.ctx, id)
		if err != nil || a.Type != deployment.Forced || a.Weight != deployment.DefaultWeight {
			t.Errorf("action is %+v (%v), want it forced with the usual weight", a, err)
		}
		s, _, err := w.lookup("a")
		if err != nil || s.Installed != id || s.WantsAttributes {
			t.Errorf("the device hears %+v (%v), want it installed, attributes not asked for", s, err)
		}
		if nothing, err := w.service.AssignSet(w.ctx, two, nil, true); err != nil || len(nothing.New)+nothing.Already != 0 {
			t.Errorf("nothing offline: %+v, %v", nothing, err)
		}
	})
}

func TestReportInstalled(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := w.set(t, "one")
		w.targets(t, "a")
		recorded, err := w.service.ReportInstalled(w.ctx, "a", "one", "1")
		if err != nil || !recorded {
			t.Fatalf("recorded %t, %v", recorded, err)
		}
		expect(t, "target", fmt.Sprintf("in_sync assigned %d installed %[1]d", set), w.holds(t, "a"))
		if recorded, err = w.service.ReportInstalled(w.ctx, "a", "one", "1"); err != nil || recorded {
			t.Errorf("again: recorded %t, %v; want nothing to do", recorded, err)
		}
		_, err = w.service.ReportInstalled(w.ctx, "nobody", "One", "1")
		fails(t, "another name", err, fault.NotFound)
		if !strings.Contains(err.Error(), "One") {
			t.Errorf("%v: want it to name the set", err)
		}
		_, err = w.service.ReportInstalled(w.ctx, "nobody", "one", "1")
		fails(t, "unknown target", err, fault.NotFound)
	})
}

func TestAssignRefuses(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := w.set(t, "one")
		incomplete, invalid, deleted, empty := w.set(t, "incomplete"), w.set(t, "invalid"), w.set(t, "deleted"), w.set(t, "empty")
		w.exec(t, "UPDATE software_module_type SET min_artifacts = 2 WHERE key = 'application'")
		w.exec(t, "UPDATE software_module SET type_id = (SELECT id FROM software_module_type WHERE key = 'application') WHERE name = 'incomplete'")
		w.exec(t, "UPDATE distribution_set SET valid = FALSE WHERE id = $1", int64(invalid))
		w.exec(t, "UPDATE distribution_set SET deleted = TRUE WHERE id = $1", int64(deleted))
		w.exec(t, "DELETE FROM distribution_set_module WHERE set_id = $1", int64(empty))
		w.targets(t, "a", "typed")
		w.exec(t, "INSERT INTO target_type (tenant_id, key, name, created_by, created_at, modified_by, modified_at) VALUES ($1, 'tt', 'Odd ones', 'x', 1, 'x', 1)", int64(w.tenant))
		w.exec(t, "UPDATE target SET type_id = (SELECT id FROM target_type) WHERE controller_id = 'typed'")
		usual := orders("a")
		for _, test := range []struct {
			name   string
			set    software.SetID
			orders []deployment.Order
			kind   fault.Kind
		}{
			{"nothing", set, nil, fault.Invalid},
			{"weight -1", set, []deployment.Order{{Target: "a", Weight: -1}}, fault.Invalid},
			{"weight 1001", set, []deployment.Order{{Target: "a", Weight: 1001}}, fault.Invalid},
			{"two wishes", set, []deployment.Order{{Target: "a"}, {Target: "a", Type: deployment.Soft}}, fault.ConflictingOrders},
			{"window in the past", set, []deployment.Order{{Target: "a", Window: deployment.Window{Schedule: "0 0 3 1 1 ? 2020", Duration: "01:00", Timezone: "Z"}}}, fault.MaintenanceWindow},
			{"unknown set", 99, usual, fault.NotFound},
			{"incomplete set", incomplete, usual, fault.SetIncomplete},
			{"empty set", empty, usual, fault.SetIncomplete},
			{"invalidated set", invalid, usual, fault.SetInvalid},
			{"deleted set", deleted, usual, fault.Deleted},
			{"one misfit", set, orders("a", "typed"), fault.TypeIncompatible},
			{"too many", set, many(5001), fault.Quota},
		} {
			made, err := w.service.AssignSet(w.ctx, test.set, test.orders, false)
			fails(t, test.name, err, test.kind)
			if made != nil {
				t.Errorf("%s: assigned %+v beside an error", test.name, made)
			}
		}
		_, err := w.service.AssignTarget(w.ctx, "nobody", []deployment.Order{{Set: set}}, false)
		fails(t, "unknown target", err, fault.NotFound)
		_, err = w.service.AssignTarget(w.ctx, "a", []deployment.Order{{Set: set}, {Set: invalid}}, true)
		fails(t, "two sets", err, fault.ConflictingOrders)
		if made, err := w.service.AssignTarget(w.ctx, "nobody", []deployment.Order{{Set: set}}, true); err != nil || len(made.New)+made.Already != 0 {
			t.Errorf("unknown target offline: %+v, %v", made, err)
		}
		expect(t, "target", "registered assigned 0 installed 0", w.holds(t, "a"))
		w.exec(t, "INSERT INTO target_type_set_type (target_type_id, set_type_id) SELECT (SELECT id FROM target_type), type_id FROM distribution_set WHERE id = $1", int64(set))
		if made := w.assign(t, set, "a", "typed"); len(made) != 2 {
			t.Errorf("assigned %v, want both", made)
		}
	})
}

func many(n int) []deployment.Order {
	list := make([]deployment.Order, n)
	for i := range list {
		list[i] = deployment.Order{Target: fleet.ControllerID(fmt.Sprintf("t-%05d", i)), Weight: 1000}
	}
	return list
}

func TestAssignQuota(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		w.service.Quotas.ActionsPerTarget = 4
		sets := []software.SetID{w.set(t, "one"), w.set(t, "two")}
		w.targets(t, "a", "b")
		var last deployment.ActionID
		for i := range 4 {
			last = w.assign(t, sets[i%2], "a")["a"]
		}
		_, err := w.service.AssignSet(w.ctx, sets[0], orders("b", "a"), false)
		fails(t, "the fifth", err, fault.Quota)
		expect(t, "other target", "registered assigned 0 installed 0", w.holds(t, "b"))
		w.settings.OnQuotaHitPercent = 10 // of 4: none
		_, err = w.service.AssignSet(w.ctx, sets[0], orders("a"), false)
		fails(t, "too little is purged", err, fault.Quota)
		w.settings.OnQuotaHitPercent = 50
		fifth := w.assign(t, sets[0], "a")["a"]
		expect(t, "newest before", []string{"canceling active", "running: Assignment initiated by user 'ann'", "canceling: P"}, w.told(t, last))
		left := actionIDs(t, w, "a")
		if len(left) != 3 || left[2] != fifth || left[1] != last {
			t.Errorf("left are %v, want the newest two and %d", left, fifth)
		}
	})
}

func actionIDs(tb testing.TB, w *world, target fleet.ControllerID) (ids []deployment.ActionID) {
	tb.Helper()
	if err := w.db.view(w.ctx, func(q querier) (err error) {
		ids, err = all(w.ctx, q, scalar[deployment.ActionID], "SELECT a.id FROM action a JOIN target t ON t.id = a.target_id WHERE t.controller_id = $1 ORDER BY a.id", string(target))
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return ids
}

func TestAssignLocks(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		locked := func(name string) (set, module bool) {
			if err := w.db.view(w.ctx, func(q querier) error {
				return q.row(w.ctx, "SELECT s.locked, m.locked FROM distribution_set s, software_module m WHERE s.name = $1 AND m.name = $1", name).Scan(&set, &module)
			}); err != nil {
				t.Fatal(err)
			}
			return set, module
		}
		w.targets(t, "a")
		for _, test := range []struct {
			name    string
			off     bool
			tag     string
			offline bool
			want    bool
		}{{"usual", false, "", false, true}, {"offline", false, "", true, true}, {"switched off", true, "", false, false}, {"tagged", false, "skip-implicit-lock", false, false}, {"tagged otherwise", false, "Skip-Implicit-Lock", false, true}} {
			set := w.set(t, test.name)
			w.settings.ImplicitLock = !test.off
			if test.tag != "" {
				w.exec(t, "INSERT INTO distribution_set_tag (tenant_id, name, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, 'x', 1, 'x', 1)", int64(w.tenant), test.tag)
				w.exec(t, "INSERT INTO distribution_set_tagging (set_id, tag_id) SELECT $1, id FROM distribution_set_tag WHERE name = $2", int64(set), test.tag)
			}
			w.order(t, set, test.offline, orders("a")...)
			if s, m := locked(test.name); s != test.want || m != test.want {
				t.Errorf("%s: set locked %t, module locked %t, want %t", test.name, s, m, test.want)
			}
		}
	})
}

// TestStandingPlan: a poll must not look at other targets' actions, with
// statistics and without.
func TestStandingPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open(t, testdb.SQLite(t)))
	plan := func() string {
		t.Helper()
		var lines []string
		if err := w.db.view(w.ctx, func(q querier) (err error) {
			lines, err = all(w.ctx, q, func(s scanner) (line string, err error) {
				var ignored int
				err = s.Scan(&ignored, &ignored, &ignored, &line)
				return line, err
			}, "EXPLAIN QUERY PLAN "+w.db.standing, int64(w.tenant), "a")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	check := func(p string) {
		t.Helper()
		for _, index := range []string{"action_open (target_id=?)", "action_target (target_id=?)", "(tenant_id=? AND controller_id=?)"} {
			if !strings.Contains(p, index) {
				t.Errorf("the plan does not use %s:\n%s", index, p)
			}
		}
	}
	check(plan())
	w.targets(t, "a", "b")
	w.assign(t, w.set(t, "one"), "a", "b")
	w.exec(t, "ANALYZE")
	check(plan())
}

// TestInterval: the first query that matches the target decides how often it polls.
func TestInterval(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		w.targets(t, "a", "b", "c", "d")
		w.exec(t, "INSERT INTO target_attribute (target_id, key, value) SELECT id, 'hw', '1' FROM target WHERE controller_id IN ('a', 'b')")
		polling, err := tenant.ParsePolling("00:05:00, controllerid==a and attribute.hw==1 -> 00:01:00, attribute.hw==1 -> 00:02:00, lastcontrollerrequestat=lt=${NOW_TS} or controllerid==d -> 00:03:00")
		if err != nil {
			t.Fatal(err)
		}
		w.settings.Polling = polling
		w.exec(t, "INSERT INTO target_visit (target_id, seen_at) SELECT id, $1 FROM target WHERE controller_id = 'c'", w.now.UnixMilli())
		got := map[fleet.ControllerID]uint8{}
		for range 2 {
			for _, name := range []fleet.ControllerID{"a", "b", "c", "d"} {
				s, _, err := w.lookup(name)
				if err != nil {
					t.Fatal(err)
				}
				got[name] = s.Interval
			}
			expect(t, "intervals", map[fleet.ControllerID]uint8{"a": 1, "b": 2, "c": 0, "d": 3}, got)
		}
		w.now = w.now.Add(time.Second) // now the last visit is in the past, without an event
		if s, _, err := w.lookup("c"); err != nil || s.Interval != 3 {
			t.Errorf("a second later: interval %d (%v), want 3", s.Interval, err)
		}
	})
}

// TestDrawing holds what the store does to many actions and targets at once
// against docs/state-machines.md; the rest of it is deployment's.
func TestDrawing(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/state-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	var drawn []string
	for line := range strings.Lines(string(doc)) {
		for _, label := range []string{": autoclose", ": superseded", ": assign", ": assign offline"} {
			if line = strings.TrimSpace(line); strings.HasSuffix(line, label) && !strings.HasPrefix(line, "[*]") {
				drawn = append(drawn, line)
			}
		}
	}
	slices.Sort(drawn)
	eachWorld(t, func(t *testing.T, w *world) {
		set, other := w.set(t, "one"), w.set(t, "two")
		found := map[string]bool{}
		note := func(from, to fmt.Stringer, label string) {
			found[strings.ToUpper(from.String())+" --> "+strings.ToUpper(to.String())+": "+label] = true
		}
		n := 0
		try := func(target fleet.Status, action deployment.Status, active, offline, autoclose bool) (fleet.Status, deployment.Status) {
			n++
			name := fleet.ControllerID(fmt.Sprintf("t%d", n))
			id := w.target(t, name)
			w.exec(t, "UPDATE target_state SET status = $2 WHERE target_id = $1", int64(id), int(target))
			a := w.insert(t, "INSERT INTO action (tenant_id, target_id, set_id, status, active, filed_as, type, weight, initiated_by, created_by, created_at, modified_by, modified_at) VALUES ($1, $2, $3, $4, $5, $6, 0, 1000, 'x', 'x', 1, 'x', 1) RETURNING id",
				int64(w.tenant), int64(id), int64(other), int(action), active, filedAs(action, active))
			w.settings.AutoClose = autoclose
			w.order(t, set, offline, orders(name)...)
			if err := w.db.view(w.ctx, func(q querier) error {
				return q.row(w.ctx, "SELECT h.status, a.status FROM target_state h JOIN action a ON a.target_id = h.target_id WHERE a.id = $1", a).Scan(&target, &action)
			}); err != nil {
				t.Fatal(err)
			}
			return target, action
		}
		for status := deployment.Finished; status <= deployment.WaitForConfirmation; status++ {
			active := status == deployment.Running || status == deployment.Retrieved || status == deployment.Canceling || status == deployment.WaitForConfirmation
			switch status {
			case deployment.Warning, deployment.Download, deployment.CancelRejected:
				continue // never states
			default:
			}
			for _, offline := range []bool{false, true} {
				for _, autoclose := range []bool{false, true} {
					_, after := try(fleet.StatusInSync, status, active, offline, autoclose)
					switch {
					case active && offline || !active && status != deployment.Scheduled:
						if after != status {
							t.Errorf("an assignment (offline %t) makes %v %v", offline, status, after)
						}
					case active && !autoclose:
						if after != deployment.Canceling {
							t.Errorf("an assignment makes %v %v, want it canceling", status, after)
						}
					case active:
						note(status, after, "autoclose")
					default:
						note(status, after, "superseded")
					}
				}
			}
		}
		for _, status := range []fleet.Status{fleet.StatusUnknown, fleet.StatusRegistered, fleet.StatusInSync, fleet.StatusPending, fleet.StatusError} {
			after, _ := try(status, deployment.Finished, false, false, false)
			note(status, after, "assign")
			after, _ = try(status, deployment.Finished, false, true, false)
			if status != fleet.StatusPending {
				note(status, after, "assign offline")
			} else if after != status {
				t.Errorf("an offline assignment makes a pending target %v", after)
			}
		}
		expect(t, "drawing and code", drawn, slices.Sorted(maps.Keys(found)))
	})
}
