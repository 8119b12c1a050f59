package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
)

// atOnce calls all of them in this order while nobody carries out what they put
// into the queue, and then does that.
func atOnce[K comparable, C queued[K]](t *testing.T, q *queue[K, C], calls ...func()) {
	t.Helper()
	set := func(workers int) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.workers = workers
	}
	waiting := func() int {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.waiting)
	}
	set(queueWorkers)
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(call)
		for waiting() <= i {
			time.Sleep(time.Millisecond)
		}
	}
	q.work(q.next(nil))
	wg.Wait()
	set(0)
}

// said is a change that adds an entry.
func said(text string) func(*deployment.Case) error {
	return func(c *deployment.Case) error {
		return c.Report(deployment.Report{Execution: deployment.ExecProceeding, Details: []string{text}}, time.UnixMilli(1_800_000_000_000))
	}
}

// entered lists the ids of an action's entries.
func (w *world) entered(tb testing.TB, id deployment.ActionID) (ids []int64) {
	tb.Helper()
	if err := w.db.view(w.ctx, func(q querier) (err error) {
		ids, err = all(w.ctx, q, scalar[int64], "SELECT id FROM action_status WHERE action_id = $1 ORDER BY id", int64(id))
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	return ids
}

// What is decided together is saved together, and stands or falls alone.
func TestChangesOfActionsAtOnce(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := w.set(t, "one")
		names := []fleet.ControllerID{"good", "closed", "panics", "left", "leaves", "canceling", "foreign"}
		w.targets(t, names...)
		ids := w.assign(t, set, names...)
		w.report(t, "closed", ids["closed"], deployment.Report{})
		if err := w.service.Cancel(w.ctx, "canceling", ids["canceling"]); err != nil {
			t.Fatal(err)
		}
		var commits [][]event.Event
		w.db.Listen(func(e []event.Event) { commits = append(commits, e) })

		left, leave := context.WithCancel(w.ctx)
		leaving, goes := context.WithCancel(w.ctx)
		defer goes()
		type heard struct {
			c   *deployment.Case
			err error
		}
		answers := make([]heard, 10)
		call := func(i int, ctx context.Context, target fleet.ControllerID, id deployment.ActionID, change func(*deployment.Case) error) func() {
			return func() {
				defer func() {
					if p := recover(); p != nil {
						answers[i].err = fmt.Errorf("panic: %v", p)
					}
				}()
				answers[i].c, answers[i].err = Deployment{w.db}.UpdateCase(ctx, w.tenant, target, id, change)
			}
		}
		atOnce(
			t, w.db.cases,
			call(0, w.ctx, "good", ids["good"], func(c *deployment.Case) error {
				leave()
				code := 7
				return errors.Join(said("first")(c), c.Report(deployment.Report{Execution: deployment.ExecProceeding, Code: &code, Details: []string{"second"}}, w.now))
			}),
			call(1, w.ctx, "closed", ids["closed"], said("too late")),
			call(2, w.ctx, "panics", ids["panics"], func(c *deployment.Case) error { panic(fmt.Sprint("after ", said("lost")(c))) }),
			// Whoever leaves while the change waits for its turn hears so at once; this
			// one goes when the batch has been taken.
			call(3, later{w.ctx, left}, "left", ids["left"], said("of one who left")),
			call(4, leaving, "leaves", ids["leaves"], func(c *deployment.Case) error {
				goes()
				return said("of one who leaves")(c)
			}),
			call(5, w.ctx, "canceling", ids["canceling"], func(c *deployment.Case) error { return c.ReportCancel(deployment.Report{}, w.now) }),
			call(6, w.ctx, "foreign", ids["left"], said("not mine")),
			call(7, w.ctx, "nobody", ids["good"], said("nobody's")),
			call(8, w.ctx, "good", ids["good"], said("third")), // not before the first and second
			call(9, w.ctx, "foreign", 999_999, said("on nothing")),
		)

		for i, want := range map[int]string{2: "panic: after <nil>", 3: context.Canceled.Error()} {
			if err := answers[i].err; err == nil || err.Error() != want {
				t.Errorf("call %d: %v, want %s", i, err, want)
			}
		}
		fails(t, "closed", answers[1].err, fault.Gone)
		fails(t, "foreign", answers[6].err, fault.ForeignAction)
		fails(t, "of no target", answers[7].err, fault.NotFound)
		fails(t, "of no action", answers[9].err, fault.NotFound)
		for _, i := range []int{0, 4, 5, 8} {
			if answers[i].err != nil {
				t.Errorf("call %d: %v", i, answers[i].err)
			}
		}
		initiated := "running: Assignment initiated by user 'ann'"
		expect(t, "good", []string{"running active", initiated, "running: first", "running: second | Device reported status code: 7", "running: third"}, w.told(t, ids["good"]))
		expect(t, "panics", []string{"running active", initiated}, w.told(t, ids["panics"]))
		expect(t, "left", []string{"running active", initiated}, w.told(t, ids["left"]))
		expect(t, "leaves", []string{"running active", initiated, "running: of one who leaves"}, w.told(t, ids["leaves"]))
		expect(t, "canceling", []string{"canceled closed", initiated, "canceling: P", "canceled: P | P"}, w.told(t, ids["canceling"]))
		expect(t, "target of the canceled", "in_sync assigned 0 installed 0", w.holds(t, "canceling"))
		var made []int64
		for _, i := range []int{0, 8} {
			for _, e := range answers[i].c.New {
				made = append(made, e.ID)
			}
		}
		expect(t, "ids that the changes were told", w.entered(t, ids["good"])[1:], made)

		// One commit for the first of each, one for what waited.
		var told [][]int64
		for _, list := range commits {
			var subjects []int64
			for _, e := range list {
				if e.Kind != event.ActionChanged {
					t.Errorf("event %+v", e)
				}
				subjects = append(subjects, e.Subject)
			}
			told = append(told, subjects)
		}
		expect(t, "events of each commit", [][]int64{{int64(ids["good"]), int64(ids["canceling"])}, {int64(ids["good"])}}, told)
	})
}

// later is a context that says that it ended when it is asked, and tells nobody.
type later struct {
	context.Context

	of context.Context //nolint:containedctx // is what it is
}

func (l later) Err() error { return l.of.Err() }

// What cannot be saved is told to its caller alone; others decide again, on
// what is there then.
func TestAChangeThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		set := w.set(t, "one")
		names := []fleet.ControllerID{"a", "bad", "c"}
		w.targets(t, names...)
		ids := w.assign(t, set, names...)
		errs, runs := make([]error, len(names)), make([]int, len(names))
		calls := make([]func(), len(names))
		for i, name := range names {
			calls[i] = func() {
				_, errs[i] = Deployment{w.db}.UpdateCase(w.ctx, w.tenant, name, ids[name], func(c *deployment.Case) error {
					runs[i]++
					if name == "bad" {
						c.Holding.Assigned = 999_999     // which is no set: SQLite minds
						c.Action.ModifiedBy = "an\x00na" // which is no text: PostgreSQL minds
					}
					return said("here")(c)
				})
			}
		}
		atOnce(t, w.db.cases, calls...)
		expect(t, "runs", []int{2, 2, 2}, runs)
		if !fault.Is(errs[1], fault.ConcurrentChange) && !fault.Is(errs[1], fault.IntegrityViolation) {
			t.Errorf("bad: %v", errs[1])
		}
		for _, i := range []int{0, 2} {
			if errs[i] != nil {
				t.Errorf("%s: %v", names[i], errs[i])
			}
			expect(t, string(names[i]), []string{"running active", "running: Assignment initiated by user 'ann'", "running: here"}, w.told(t, ids[names[i]]))
		}
		expect(t, "bad", []string{"running active", "running: Assignment initiated by user 'ann'"}, w.told(t, ids["bad"]))
	})
}

// Reports of many devices, and several of each at once: what is acknowledged is
// there, in order, and no quota is exceeded.
func TestReportsAtOnce(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		const devices, each, reports, limit = 12, 2, 15, 25
		set := w.set(t, "one")
		names := make([]fleet.ControllerID, devices)
		for i := range names {
			names[i] = fleet.ControllerID(fmt.Sprintf("device-%d", i))
		}
		w.targets(t, names...)
		ids := w.assign(t, set, names...)
		w.service.Limits.Entries = limit
		var wg sync.WaitGroup
		var kept [devices]atomic.Int64
		for i, name := range names {
			for who := range each {
				wg.Go(func() {
					for n := range reports {
						text := fmt.Sprintf("%d says %02d", who, n)
						err := w.service.Report(w.ctx, name, ids[name], deployment.Report{Execution: deployment.ExecProceeding, Details: []string{text}})
						if fault.Is(err, fault.Quota) {
							continue
						}
						if err != nil {
							t.Errorf("%s: %v", name, err)
							return
						}
						kept[i].Add(1)
						var there int
						if err := w.db.view(w.ctx, func(q querier) error {
							return q.row(w.ctx, "SELECT count(*) FROM action_status WHERE action_id = $1 AND messages = $2", int64(ids[name]), `["`+text+`"]`).Scan(&there)
						}); err != nil || there != 1 {
							t.Errorf("%s: %q was acknowledged and is there %d times (%v)", name, text, there, err)
						}
					}
				})
			}
		}
		wg.Wait()
		for i, name := range names {
			told := w.told(t, ids[name])[2:]
			if len(told) != limit-1 || kept[i].Load() != limit-1 {
				t.Errorf("%s: %d acknowledged, %d kept, want %d", name, kept[i].Load(), len(told), limit-1)
			}
			for who := range each {
				mine := slices.DeleteFunc(slices.Clone(told), func(s string) bool { return !strings.HasPrefix(s, fmt.Sprintf("running: %d", who)) })
				if !slices.IsSorted(mine) {
					t.Errorf("%s: order %q", name, mine)
				}
			}
		}
	})
}

// Servers that share a database hear of the same actions.
func TestReportsToTwoServers(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	w := newWorld(t, open(t, d))
	names := []fleet.ControllerID{"c", "a", "b"}
	w.targets(t, names...)
	ids := w.assign(t, w.set(t, "one"), names...)
	other := *w.service
	other.Store = Deployment{open(t, d)}
	const reports = 20
	var wg sync.WaitGroup
	for _, server := range []*deployment.Service{w.service, &other} {
		for _, name := range names {
			wg.Go(func() {
				for range reports {
					if err := server.Report(w.ctx, name, ids[name], deployment.Report{Execution: deployment.ExecProceeding}); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, name := range names {
		if told := w.told(t, ids[name]); len(told) != 2+2*reports {
			t.Errorf("%s: %d lines, want %d", name, len(told), 2+2*reports)
		}
	}
}

// Whoever leaves the queue changes nothing, and hears at once.
func TestACallerLeavesTheQueue(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		w.targets(t, "a")
		id := w.assign(t, w.set(t, "one"), "a")["a"]
		q := w.db.cases
		q.workers = queueWorkers // that do not come
		ctx, cancel := context.WithTimeout(w.ctx, time.Millisecond)
		defer cancel()
		if _, err := (Deployment{w.db}).UpdateCase(ctx, w.tenant, "a", id, said("nothing")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if w.db.group == nil {
			w.db.patience = time.Millisecond
			_, err := Deployment{w.db}.UpdateCase(w.ctx, w.tenant, "a", id, said("nothing"))
			fails(t, "nobody came", err, fault.Unavailable)
			w.db.patience = patience
		}
		q.workers = 0
		if len(q.waiting) > 0 {
			t.Errorf("%d wait still", len(q.waiting))
		}
		w.report(t, "a", id, deployment.Report{})
		expect(t, "history", []string{"finished closed", "running: Assignment initiated by user 'ann'", "finished: P"}, w.told(t, id))
	})
}

// A commit whose answer is lost is unknown to all that share it.
func TestReportsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	db, l := openThrough(t, testdb.Postgres(t))
	w := newWorld(t, db)
	w.targets(t, "a", "b", "closed")
	ids := w.assign(t, w.set(t, "one"), "a", "b", "closed")
	w.report(t, "closed", ids["closed"], deployment.Report{})
	w.events = nil
	l.cut.Store(true)
	var errs [3]error
	var calls []func()
	for i, name := range []fleet.ControllerID{"a", "b", "closed"} {
		calls = append(calls, func() { errs[i] = w.service.Report(w.ctx, name, ids[name], deployment.Report{}) })
	}
	atOnce(t, w.db.cases, calls...)
	l.cut.Store(false)
	fails(t, "a", errs[0], fault.Unavailable)
	fails(t, "b", errs[1], fault.Unavailable)
	fails(t, "closed", errs[2], fault.Gone)
	if len(w.events) != 2 {
		t.Errorf("heard %+v, want of both at once", w.events)
	}
	for _, name := range []fleet.ControllerID{"a", "b"} { // the answer was lost, the commit was not
		expect(t, string(name), "finished closed", w.told(t, ids[name])[0])
	}
}

// However small the tables were when PostgreSQL made its plan, it goes by keys:
// the plan is kept when they are large.
func TestCasesAreFoundByKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, open(t, testdb.Postgres(t)))
	w.targets(t, "a", "b")
	ids := w.assign(t, w.set(t, "one"), "a", "b")
	w.exec(t, "ANALYZE")
	var plan []string
	if err := w.db.updateKeyed(w.ctx, func(tx *Tx) error {
		_, err := tx.exec(w.ctx, "PREPARE load (bigint[], bigint[]) AS "+loadCasesPostgres(severalCases))
		if err != nil {
			return err
		}
		plan, err = all(w.ctx, tx, scalar[string], fmt.Sprintf("EXPLAIN EXECUTE load ('{%d}', '{%d}')", w.tenant, ids["a"]))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	tables := 0
	for i, line := range plan {
		if !strings.Contains(line, " on ") || strings.Contains(line, "Function Scan") || strings.Contains(line, "Subquery Scan") {
			continue
		}
		tables++
		if i+1 == len(plan) || !strings.Contains(plan[i+1], "Index Cond") || !strings.Contains(plan[i+1], "(id = ") && !strings.Contains(plan[i+1], "(target_id = ") {
			t.Errorf("not by its key: %s", line)
		}
	}
	if tables != 4 || t.Failed() {
		t.Errorf("%d tables are read, want 4:\n%s", tables, strings.Join(plan, "\n"))
	}
}
