package deployment_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
)

var (
	now     = time.UnixMilli(1_800_000_000_000)
	earlier = now.Add(-time.Hour)
)

// What the test's target runs, what it was told to run, and what another of
// its actions would bring.
const (
	oldSet   software.SetID = 1
	newSet   software.SetID = 2
	otherSet software.SetID = 3
)

// state is a state that an action can be in.
type state struct {
	status deployment.Status
	active bool
	kind   deployment.Type
}

func (s state) String() string {
	open := "closed"
	if s.active {
		open = "active"
	}
	if s.kind == deployment.DownloadOnly {
		open += " downloadonly"
	}
	return fmt.Sprintf("%v %s", s.status, open)
}

// states are all that an action can be in (update-domain 2.6).
func states() []state {
	return []state{
		{status: deployment.Scheduled},
		{status: deployment.WaitForConfirmation, active: true},
		{status: deployment.Running, active: true},
		{status: deployment.Retrieved, active: true},
		{status: deployment.Canceling, active: true},
		{status: deployment.Canceled},
		{status: deployment.Finished},
		{status: deployment.Error},
		{status: deployment.Downloaded, kind: deployment.DownloadOnly},
		{status: deployment.Running, active: true, kind: deployment.DownloadOnly},
		{status: deployment.Canceling, active: true, kind: deployment.DownloadOnly},
	}
}

// caseIn returns an action that brings newSet to a target that runs oldSet.
func caseIn(s state) *deployment.Case {
	return &deployment.Case{
		Action: deployment.Action{ID: 7, Set: newSet, Status: s.status, Active: s.active, Type: s.kind, Revision: 10, Entries: 1},
		Holding: deployment.Holding{
			Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier,
		},
		NewestEntry: deployment.Running,
		Limits:      deployment.Limits{Entries: 1000, Messages: 50},
	}
}

func closed(s deployment.Status) func(*deployment.Case) {
	return func(c *deployment.Case) {
		c.Action.Status, c.Action.Active = s, false
		c.Action.Revision++
	}
}

func finished(c *deployment.Case) {
	closed(deployment.Finished)(c)
	c.Holding = deployment.Holding{Status: fleet.StatusInSync, Assigned: newSet, Installed: newSet, InstalledAt: now, RequestAttributes: true}
}

func failed(c *deployment.Case) {
	closed(deployment.Error)(c)
	c.Holding.Status, c.Holding.Assigned = fleet.StatusError, 0
}

func downloaded(c *deployment.Case) {
	closed(deployment.Downloaded)(c)
	c.Holding.Status, c.Holding.RequestAttributes = fleet.StatusInSync, true
}

func nothing(*deployment.Case) {}

// TestReport plays every report in every state (update-domain 2.2).
func TestReport(t *testing.T) {
	t.Parallel()
	type effect struct {
		entry  deployment.Status
		change func(*deployment.Case) // in a state that takes reports
		only   func(*deployment.Case) // likewise, of a download-only action
	}
	row := func(s deployment.Status) effect { return effect{s, nothing, nothing} }
	outcomes := []deployment.Outcome{deployment.OutcomeNone, deployment.OutcomeSuccess, deployment.OutcomeFailure}
	for e, execution := range []struct {
		name   string
		is     deployment.Execution
		effect [3]effect // by outcome
	}{
		{"closed", deployment.ExecClosed, [3]effect{
			{deployment.Finished, finished, finished}, {deployment.Finished, finished, finished}, {deployment.Error, failed, failed},
		}},
		{"proceeding", deployment.ExecProceeding, each(row(deployment.Running))},
		{"canceled", deployment.ExecCanceled, each(row(deployment.Canceled))},
		{"scheduled", deployment.ExecScheduled, each(row(deployment.Running))},
		{"rejected", deployment.ExecRejected, each(row(deployment.Warning))},
		{"resumed", deployment.ExecResumed, each(row(deployment.Running))},
		{"downloaded", deployment.ExecDownloaded, each(effect{deployment.Downloaded, nothing, downloaded})},
		{"download", deployment.ExecDownload, each(row(deployment.Download))},
	} {
		if int(execution.is) != e {
			t.Fatalf("the table leaves out execution %d", e)
		}
		for _, s := range states() {
			for o, outcome := range outcomes {
				t.Run(fmt.Sprintf("%v/%s %d", s, execution.name, outcome), func(t *testing.T) {
					t.Parallel()
					got, want := caseIn(s), caseIn(s)
					err := got.Report(deployment.Report{Execution: execution.is, Outcome: outcome, Details: []string{"text"}}, now)
					switch {
					case s.status == deployment.WaitForConfirmation:
						refused(t, err, fault.NotThere, got, want)
						return
					case !s.active:
						refused(t, err, fault.Gone, got, want)
						return
					case err != nil:
						t.Fatal(err)
					}
					effect := execution.effect[o]
					change := effect.change
					if s.kind == deployment.DownloadOnly {
						change = effect.only
					}
					change(want)
					enter(want, effect.entry, "text")
					equal(t, want, got)
				})
			}
		}
	}
}

func each[T any](v T) [3]T { return [3]T{v, v, v} }

// enter adds the entry that the device's text is expected to make.
func enter(c *deployment.Case, s deployment.Status, messages ...string) {
	c.New = append(c.New, deployment.Entry{Action: c.Action.ID, Status: s, OccurredAt: now, ReportedAt: now, Messages: messages})
	c.Action.Entries++
	c.NewestEntry = s
}

// refused checks that a call failed with the kind and changed nothing.
func refused(t *testing.T, err error, kind fault.Kind, got, before *deployment.Case) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("error is %v, want one of kind %v", err, kind)
	}
	equal(t, before, got)
}

// server stands for whatever the server itself says.
const server = deployment.ServerPrefix + "…"

// equal compares two cases. Of what the server itself says only the prefix
// counts.
func equal(t *testing.T, want, got *deployment.Case) {
	t.Helper()
	if diff := cmp.Diff(blur(*want), blur(*got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func blur(c deployment.Case) deployment.Case {
	c.New = slices.Clone(c.New)
	for i := range c.New {
		e := &c.New[i]
		e.Messages = slices.Clone(e.Messages)
		for j, m := range e.Messages {
			if len(m) > len(deployment.ServerPrefix) && strings.HasPrefix(m, deployment.ServerPrefix) {
				e.Messages[j] = server
			}
		}
	}
	return c
}

func number(n int) *int { return &n }

// TestReportMessages checks what the entry of a report says, and in which order.
func TestReportMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 512)
	for _, test := range []struct {
		name   string
		report deployment.Report
		want   []string
	}{
		{"details", deployment.Report{Execution: deployment.ExecProceeding, Details: []string{"one", "", "two"}}, []string{"one", "", "two"}},
		{"details and code", deployment.Report{Execution: deployment.ExecClosed, Details: []string{"one"}, Code: number(-5)}, []string{"one", "Device reported status code: -5"}},
		{"code alone", deployment.Report{Execution: deployment.ExecClosed, Code: number(0)}, []string{"Device reported status code: 0"}},
		{"nothing", deployment.Report{Execution: deployment.ExecClosed}, []string{server}},
		{"512 characters", deployment.Report{Execution: deployment.ExecDownload, Details: []string{long}}, []string{long}},
		{"513 characters", deployment.Report{Execution: deployment.ExecDownload, Details: []string{long + "a", "b"}}, []string{long, "a", "b"}},
		{"1025 characters", deployment.Report{Execution: deployment.ExecDownload, Details: []string{long + long + "a"}}, []string{long, long, "a"}},
		{"bytes that are no text", deployment.Report{Execution: deployment.ExecDownload, Details: []string{strings.Repeat("\xff", 513)}}, []string{strings.Repeat("\xff", 512), "\xff"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := caseIn(state{status: deployment.Running, active: true})
			if err := c.Report(test.report, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, blur(*c).New[0].Messages); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReportSaysWhat: a report without words gets one of the server's, for
// each execution.
func TestReportSaysWhat(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for e := deployment.ExecClosed; e <= deployment.ExecDownload; e++ {
		for _, o := range []deployment.Outcome{deployment.OutcomeSuccess, deployment.OutcomeFailure} {
			c := caseIn(state{status: deployment.Running, active: true})
			if err := c.Report(deployment.Report{Execution: e, Outcome: o}, now); err != nil {
				t.Fatal(err)
			}
			if m := c.New[0].Messages; len(m) != 1 || !strings.HasPrefix(m[0], deployment.ServerPrefix) {
				t.Errorf("execution %d says %q, want one message of the server's", e, m)
			} else {
				seen[m[0]] = true
			}
		}
	}
	if len(seen) != 9 { // eight executions, and a failure
		t.Errorf("%d different texts, want 9", len(seen))
	}
}

// TestLastCode: every report on the deployment sets the last code, or clears it.
func TestLastCode(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.Running, active: true})
	for i, step := range []struct {
		code     *int
		revision int64 // moves with the code alone
	}{{nil, 10}, {number(5), 11}, {number(5), 11}, {number(0), 12}, {nil, 13}, {nil, 13}} {
		if err := c.Report(deployment.Report{Execution: deployment.ExecProceeding, Code: step.code}, now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.code, c.Action.LastCode); diff != "" || c.Action.Revision != step.revision {
			t.Errorf("step %d: code %v, revision %d; want revision %d; %s", i, c.Action.LastCode, c.Action.Revision, step.revision, diff)
		}
	}
	// One on a cancellation leaves it alone.
	c = caseIn(state{status: deployment.Canceling, active: true})
	c.Action.LastCode = number(3)
	if err := c.ReportCancel(deployment.Report{Execution: deployment.ExecClosed, Code: number(9)}, now); err != nil {
		t.Fatal(err)
	}
	if *c.Action.LastCode != 3 || *c.New[0].Code != 9 {
		t.Errorf("last code %d, code of the entry %d; want 3 and 9", *c.Action.LastCode, *c.New[0].Code)
	}
}

// TestFinish checks what finishing makes of the target (update-domain 2.3).
func TestFinish(t *testing.T) {
	t.Parallel()
	inSync := func(at time.Time) deployment.Holding {
		return deployment.Holding{Status: fleet.StatusInSync, Assigned: newSet, Installed: newSet, InstalledAt: at, RequestAttributes: true}
	}
	for _, test := range []struct {
		name    string
		kind    deployment.Type
		holding deployment.Holding
		at      time.Time
		want    deployment.Holding
	}{
		{"first installation", deployment.Forced, deployment.Holding{Status: fleet.StatusPending, Assigned: newSet}, time.Time{}, inSync(now)},
		{"by the device's clock", deployment.Forced, deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier}, earlier.Add(time.Millisecond), inSync(earlier.Add(time.Millisecond))},
		{"in 1970", deployment.Forced, deployment.Holding{Status: fleet.StatusPending, Assigned: newSet}, time.UnixMilli(0), inSync(time.UnixMilli(0))},
		{
			"at the same time as the last", deployment.Forced,
			deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier},
			earlier,
			deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier, RequestAttributes: true},
		},
		{
			"before the last", deployment.Forced,
			deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier},
			earlier.Add(-time.Hour),
			deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet, InstalledAt: earlier, RequestAttributes: true},
		},
		{
			"while another set is assigned", deployment.Forced,
			deployment.Holding{Status: fleet.StatusPending, Assigned: otherSet, Installed: oldSet, InstalledAt: earlier},
			time.Time{},
			deployment.Holding{Status: fleet.StatusPending, Assigned: otherSet, Installed: newSet, InstalledAt: now, RequestAttributes: true},
		},
		{
			"after an older action failed", deployment.Forced,
			deployment.Holding{Status: fleet.StatusError, Installed: oldSet, InstalledAt: earlier},
			time.Time{},
			deployment.Holding{Status: fleet.StatusError, Installed: newSet, InstalledAt: now, RequestAttributes: true},
		},
		{"download-only assigns, too", deployment.DownloadOnly, deployment.Holding{Status: fleet.StatusError, Installed: oldSet, InstalledAt: earlier}, time.Time{}, inSync(now)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := caseIn(state{status: deployment.Running, active: true, kind: test.kind})
			c.Holding = test.holding
			if err := c.Report(deployment.Report{Execution: deployment.ExecClosed, At: test.at}, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Holding); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.Action.Status != deployment.Finished || c.Action.Active {
				t.Errorf("action is %v, active %t; want it finished and closed", c.Action.Status, c.Action.Active)
			}
			at := test.at
			if at.IsZero() {
				at = now
			}
			if e := c.New[0]; !e.OccurredAt.Equal(at) || !e.ReportedAt.Equal(now) {
				t.Errorf("entry occurred at %v, reported at %v; want %v and %v", e.OccurredAt, e.ReportedAt, at, now)
			}
		})
	}
}

// TestReportCancel plays every report on a cancellation in every state
// (update-domain 2.5).
func TestReportCancel(t *testing.T) {
	t.Parallel()
	confirmed := func(c *deployment.Case) {
		closed(deployment.Canceled)(c)
		c.Holding.Status, c.Holding.Assigned = fleet.StatusInSync, oldSet
	}
	revived := func(c *deployment.Case) {
		c.Action.Status = deployment.Running
		c.Action.Revision++
	}
	type effect struct {
		entry    deployment.Status
		change   func(*deployment.Case) // of an action that is being canceled; one that was only gets the entry
		messages []string
	}
	yes := effect{deployment.Canceled, confirmed, []string{server, "text", "Device reported status code: 4", server}}
	no := effect{deployment.Error, revived, []string{server, "text", "Device reported status code: 4"}}
	refusedIt := effect{deployment.CancelRejected, revived, no.messages}
	row := effect{deployment.Running, nothing, []string{"text", "Device reported status code: 4"}}
	outcomes := []deployment.Outcome{deployment.OutcomeNone, deployment.OutcomeSuccess, deployment.OutcomeFailure}
	for e, execution := range []struct {
		name   string
		effect [3]effect
	}{
		{"closed", [3]effect{yes, yes, no}},
		{"proceeding", each(row)},
		{"canceled", each(effect{deployment.Warning, nothing, no.messages})},
		{"scheduled", each(row)},
		{"rejected", each(refusedIt)},
		{"resumed", each(row)},
		{"downloaded", each(row)},
		{"download", each(row)},
	} {
		for _, s := range states() {
			for o, outcome := range outcomes {
				t.Run(fmt.Sprintf("%v/%s %d", s, execution.name, outcome), func(t *testing.T) {
					t.Parallel()
					got, want := caseIn(s), caseIn(s)
					err := got.ReportCancel(deployment.Report{Execution: deployment.Execution(e), Outcome: outcome, Code: number(4), Details: []string{"text"}}, now)
					if s.status != deployment.Canceling && s.status != deployment.Canceled {
						refused(t, err, fault.NotCancelable, got, want)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					effect := execution.effect[o]
					if s.active {
						effect.change(want)
					}
					enter(want, effect.entry, effect.messages...)
					want.New[0].Code = number(4)
					equal(t, want, got)
				})
			}
		}
	}
}

// TestReportCancelWithoutWords: intermediate reports on a cancellation need not
// say anything.
func TestReportCancelWithoutWords(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.Canceling, active: true})
	if err := c.ReportCancel(deployment.Report{Execution: deployment.ExecProceeding}, now); err != nil {
		t.Fatal(err)
	}
	if len(c.New) != 1 || len(c.New[0].Messages) != 0 {
		t.Errorf("entries are %v, want one without messages", c.New)
	}
}

// TestCanceled checks what is left for the target after a cancellation.
func TestCanceled(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*deployment.Case) error{
		"confirmed":  func(c *deployment.Case) error { return c.ReportCancel(deployment.Report{}, now) },
		"force quit": func(c *deployment.Case) error { return c.ForceQuit("By hand.", now) },
	}
	for _, test := range []struct {
		name   string
		before deployment.Holding
		next   software.SetID
		want   deployment.Holding
	}{
		{"nothing else to do", deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet}, 0, deployment.Holding{Status: fleet.StatusInSync, Assigned: oldSet, Installed: oldSet}},
		{"nothing installed either", deployment.Holding{Status: fleet.StatusPending, Assigned: newSet}, 0, deployment.Holding{Status: fleet.StatusInSync}},
		{"another failed before", deployment.Holding{Status: fleet.StatusError, Installed: oldSet}, 0, deployment.Holding{Status: fleet.StatusInSync, Assigned: oldSet, Installed: oldSet}},
		{"another waits", deployment.Holding{Status: fleet.StatusPending, Assigned: newSet, Installed: oldSet}, otherSet, deployment.Holding{Status: fleet.StatusPending, Assigned: otherSet, Installed: oldSet}},
	} {
		for name, end := range ends {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := caseIn(state{status: deployment.Canceling, active: true})
				c.Holding, c.NextActive, c.Action.ConsentAwaited = test.before, test.next, true
				if err := end(c); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, c.Holding); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if c.Action.Status != deployment.Canceled || c.Action.Active || c.Action.ConsentAwaited {
					t.Errorf("action is %+v, want it canceled and closed", c.Action)
				}
			})
		}
	}
}

// TestCancelKeepsConsent: an action that waited for consent waits again when
// its cancellation is refused.
func TestCancelKeepsConsent(t *testing.T) {
	t.Parallel()
	for _, before := range []deployment.Status{deployment.WaitForConfirmation, deployment.Running, deployment.Retrieved} {
		c := caseIn(state{status: before, active: true})
		if err := c.Cancel("By hand.", now); err != nil {
			t.Fatal(err)
		}
		if err := c.ReportCancel(deployment.Report{Execution: deployment.ExecRejected}, now); err != nil {
			t.Fatal(err)
		}
		want := deployment.Running
		if before == deployment.WaitForConfirmation {
			want = before
		}
		if a := c.Action; a.Status != want || !a.Active || a.ConsentAwaited {
			t.Errorf("%v becomes %v, active %t, want %v", before, a.Status, a.Active, want)
		}
	}
}

// TestByStatus checks the calls whose answer depends on the state alone.
func TestByStatus(t *testing.T) {
	t.Parallel()
	past := deployment.Window{Schedule: "0 0 3 1 1 ? 2020", Duration: "01:00:00", Timezone: "+00:00"}
	to := func(s deployment.Status, entry deployment.Status, messages ...string) func(*deployment.Case) {
		return func(c *deployment.Case) {
			enter(c, entry, messages...)
			c.Action.ConsentAwaited = s == deployment.Canceling && c.Action.Status == deployment.WaitForConfirmation
			c.Action.Status = s
			c.Action.Revision++
		}
	}
	retrieved := func(c *deployment.Case) { // a closed one keeps its end
		enter(c, deployment.Retrieved, server)
		if c.Action.Active && c.Action.Status != deployment.Retrieved {
			c.Action.Status = deployment.Retrieved
			c.Action.Revision++
		}
	}
	readCancel := func(c *deployment.Case) { enter(c, deployment.Retrieved, server) }
	type outcome struct {
		change func(*deployment.Case)
		kind   fault.Kind // of the refusal, where change is nil
	}
	is := func(change func(*deployment.Case)) outcome { return outcome{change: change} }
	no := func(kind fault.Kind) outcome { return outcome{kind: kind} }
	quit := is(func(c *deployment.Case) {
		enter(c, deployment.Canceled, server)
		closed(deployment.Canceled)(c)
		c.Holding.Status, c.Holding.Assigned = fleet.StatusInSync, oldSet
	})

	// In the order of states.
	for name, call := range map[string]struct {
		do   func(*deployment.Case) error
		want [11]outcome
	}{
		"fetch": {
			func(c *deployment.Case) error { return c.Fetch(now) },
			[11]outcome{is(retrieved), no(fault.NotThere), is(retrieved), is(retrieved), no(fault.NotThere), no(fault.NotThere), is(retrieved), is(retrieved), is(retrieved), is(retrieved), no(fault.NotThere)},
		},
		"fetch cancellation": {
			func(c *deployment.Case) error { return c.FetchCancel(now) },
			[11]outcome{no(fault.NotThere), no(fault.NotThere), no(fault.NotThere), no(fault.NotThere), is(readCancel), is(readCancel), no(fault.NotThere), no(fault.NotThere), no(fault.NotThere), no(fault.NotThere), is(readCancel)},
		},
		"cancel": {
			func(c *deployment.Case) error { return c.Cancel("By hand.", now) },
			func() (w [11]outcome) {
				for i, s := range states() {
					w[i] = no(fault.NotCancelable)
					if s.active && s.status != deployment.Canceling {
						w[i] = is(to(deployment.Canceling, deployment.Canceling, server))
					}
				}
				return w
			}(),
		},
		"force quit": {
			func(c *deployment.Case) error { return c.ForceQuit("By hand.", now) },
			func() (w [11]outcome) {
				for i, s := range states() {
					w[i] = no(fault.NotForceQuitable)
					if s.status == deployment.Canceling {
						w[i] = quit
					}
				}
				return w
			}(),
		},
		"lapse": {
			func(c *deployment.Case) error {
				before := c.Action.Window
				c.Action.Window = past
				c.Lapse(now)
				c.Action.Window = before
				return nil
			},
			func() (w [11]outcome) {
				for i, s := range states() {
					w[i] = is(nothing)
					if s.active && s.status != deployment.Canceling {
						w[i] = is(to(deployment.Canceling, deployment.Canceling, "The last maintenance window has passed; the update is canceled."))
					}
				}
				return w
			}(),
		},
		"lapse without window": {
			func(c *deployment.Case) error {
				if c.Lapse(now) {
					t.Error("an action without a window lapsed")
				}
				return nil
			},
			func() (w [11]outcome) {
				for i := range w {
					w[i] = is(nothing)
				}
				return w
			}(),
		},
		"download": {
			func(c *deployment.Case) error { return c.NoteDownload("/a/file", now) },
			func() (w [11]outcome) {
				for i := range w {
					w[i] = is(func(c *deployment.Case) { enter(c, deployment.Download, server) })
				}
				return w
			}(),
		},
		"confirm": {
			func(c *deployment.Case) error {
				return c.Confirm(deployment.Answer{Confirmed: true, Details: []string{"yes"}}, false, now)
			},
			consent(no(fault.Gone), no(fault.NotThere), no(fault.NotThere), is(to(deployment.Running, deployment.Running, "yes", server))),
		},
		"deny": {
			func(c *deployment.Case) error {
				return c.Confirm(deployment.Answer{Details: []string{"no"}}, true, now)
			},
			consent(no(fault.Gone), no(fault.NotThere), is(to(deployment.WaitForConfirmation, deployment.WaitForConfirmation, "no", server)), is(to(deployment.WaitForConfirmation, deployment.WaitForConfirmation, "no", server))),
		},
		"deny without the flow": {
			func(c *deployment.Case) error {
				return c.Confirm(deployment.Answer{Details: []string{"no"}}, false, now)
			},
			consent(no(fault.Gone), no(fault.NotThere), no(fault.NotThere), is(to(deployment.WaitForConfirmation, deployment.WaitForConfirmation, "no", server))),
		},
	} {
		for i, s := range states() {
			t.Run(fmt.Sprintf("%s/%v", name, s), func(t *testing.T) {
				got, want := caseIn(s), caseIn(s)
				err := call.do(got)
				w := call.want[i]
				if w.change == nil {
					refused(t, err, w.kind, got, want)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				w.change(want)
				equal(t, want, got)
			})
		}
	}
}

// consent spreads the four outcomes of a call about consent over the states.
func consent[T any](isClosed, canceling, running, waiting T) (w [11]T) {
	for i, s := range states() {
		switch {
		case !s.active:
			w[i] = isClosed
		case s.status == deployment.WaitForConfirmation:
			w[i] = waiting
		case s.status == deployment.Canceling:
			w[i] = canceling
		default:
			w[i] = running
		}
	}
	return w
}

// TestFetchTwice: reading again adds nothing, until something else came between.
func TestFetchTwice(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.Running, active: true})
	fetch := func() {
		t.Helper()
		if err := c.Fetch(now); err != nil {
			t.Fatal(err)
		}
	}
	fetch()
	fetch()
	if len(c.New) != 1 || c.Action.Revision != 11 {
		t.Fatalf("%d entries, revision %d; want 1 and 11", len(c.New), c.Action.Revision)
	}
	if err := c.Report(deployment.Report{Execution: deployment.ExecProceeding}, now); err != nil {
		t.Fatal(err)
	}
	fetch()
	if len(c.New) != 3 || c.Action.Revision != 11 {
		t.Errorf("%d entries, revision %d; want 3 and 11", len(c.New), c.Action.Revision)
	}
}

// TestConfirmCode: the answer's code counts as a report's does.
func TestConfirmCode(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.WaitForConfirmation, active: true})
	c.Action.LastCode = number(1)
	if err := c.Confirm(deployment.Answer{Code: number(-2), Details: []string{"a"}}, false, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", server, "Device reported status code: -2"}, blur(*c).New[0].Messages); diff != "" || *c.Action.LastCode != -2 {
		t.Errorf("last code %d; %s", *c.Action.LastCode, diff)
	}
	if err := c.Confirm(deployment.Answer{Confirmed: true}, false, now); err != nil {
		t.Fatal(err)
	}
	if c.Action.LastCode != nil || c.Action.Status != deployment.Running || c.Action.Revision != 12 {
		t.Errorf("action is %+v, want it running, without a code, at revision 12", c.Action)
	}
}

// TestAutoConfirmed: switching auto-confirmation on releases what waits.
func TestAutoConfirmed(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.WaitForConfirmation, active: true})
	c.Action.Entries = 1000 // no quota holds it back
	c.AutoConfirmed(fleet.AutoConfirm{ActivatedBy: "bob", Initiator: "ann"}, now)
	want := caseIn(state{status: deployment.Running, active: true})
	want.Action.Entries = 1000
	want.Action.Revision++
	enter(want, deployment.Running, "Assignment confirmed by auto-confirmation. Initiator: ann, activated by: bob, remark: n/a")
	equal(t, want, c)
}

// TestForce checks what becomes forced (update-domain 2.5).
func TestForce(t *testing.T) {
	t.Parallel()
	for _, s := range states() {
		for _, test := range []struct {
			kind deployment.Type
			at   time.Time
			want bool // that it changes
		}{
			{deployment.Forced, time.Time{}, false},
			{deployment.Soft, time.Time{}, true},
			{deployment.DownloadOnly, time.Time{}, true},
			{deployment.TimeForced, time.Time{}, false},
			{deployment.TimeForced, now, false},
			{deployment.TimeForced, now.Add(time.Millisecond), true},
		} {
			got, want := caseIn(s), caseIn(s)
			got.Action.Type, got.Action.ForcedAt = test.kind, test.at
			want.Action.Type, want.Action.ForcedAt = test.kind, test.at
			got.Force(now)
			if test.want {
				want.Action.Type = deployment.Forced
				want.Action.Revision++
			}
			equal(t, want, got)
		}
	}
}

// TestLimits checks the quotas and what is exempt from them (update-domain 1.7).
func TestLimits(t *testing.T) {
	t.Parallel()
	report := func(e deployment.Execution, o deployment.Outcome) func(*deployment.Case, []string) error {
		return func(c *deployment.Case, details []string) error {
			return c.Report(deployment.Report{Execution: e, Outcome: o, Details: details}, now)
		}
	}
	cancel := func(e deployment.Execution, o deployment.Outcome) func(*deployment.Case, []string) error {
		return func(c *deployment.Case, details []string) error {
			return c.ReportCancel(deployment.Report{Execution: e, Outcome: o, Details: details}, now)
		}
	}
	confirm := func(yes bool) func(*deployment.Case, []string) error {
		return func(c *deployment.Case, details []string) error {
			return c.Confirm(deployment.Answer{Confirmed: yes, Details: details}, true, now)
		}
	}
	server := func(call func(*deployment.Case) error) func(*deployment.Case, []string) error {
		return func(c *deployment.Case, _ []string) error { return call(c) }
	}
	running, canceling := state{status: deployment.Running, active: true}, state{status: deployment.Canceling, active: true}
	waiting, download := state{status: deployment.WaitForConfirmation, active: true}, state{status: deployment.Running, active: true, kind: deployment.DownloadOnly}
	for _, test := range []struct {
		name     string
		in       state
		call     func(*deployment.Case, []string) error
		entries  bool // that the bound on entries holds
		messages int  // how many details are taken; -1: any number
	}{
		{"proceeding", running, report(deployment.ExecProceeding, 0), true, 50},
		{"downloaded, which closes a download-only action", download, report(deployment.ExecDownloaded, 0), true, 50},
		{"closed", running, report(deployment.ExecClosed, 0), false, 50},
		{"failed", running, report(deployment.ExecClosed, deployment.OutcomeFailure), false, 50},
		{"failed while being canceled", canceling, report(deployment.ExecClosed, deployment.OutcomeFailure), false, 50},
		{"cancellation proceeding", canceling, cancel(deployment.ExecProceeding, 0), true, 50},
		{"cancellation of the cancellation", canceling, cancel(deployment.ExecCanceled, 0), true, 49},
		{"cancellation confirmed", canceling, cancel(deployment.ExecClosed, 0), false, -1},
		{"cancellation failed", canceling, cancel(deployment.ExecClosed, deployment.OutcomeFailure), false, -1},
		{"cancellation refused", canceling, cancel(deployment.ExecRejected, 0), false, -1},
		{"cancellation confirmed again", state{status: deployment.Canceled}, cancel(deployment.ExecClosed, 0), true, 48},
		{"confirmed", waiting, confirm(true), true, 49},
		{"denied", waiting, confirm(false), true, 49},
		{"file read", running, server(func(c *deployment.Case) error { return c.NoteDownload("/x", now) }), true, -1},
		{"deployment read", running, server(func(c *deployment.Case) error { return c.Fetch(now) }), false, -1},
		{"cancellation read", canceling, server(func(c *deployment.Case) error { return c.FetchCancel(now) }), false, -1},
		{"canceled by hand", running, server(func(c *deployment.Case) error { return c.Cancel("By hand.", now) }), false, -1},
		{"force quit", canceling, server(func(c *deployment.Case) error { return c.ForceQuit("By hand.", now) }), false, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			try := func(entries, messages int, limits deployment.Limits) error {
				c := caseIn(test.in)
				c.Action.Entries, c.Limits = entries, limits
				before := *c
				err := test.call(c, slices.Repeat([]string{"x"}, messages))
				if err != nil {
					refused(t, err, fault.Quota, c, &before)
				}
				return err
			}
			limits := deployment.Limits{Entries: 1000, Messages: 50}
			if err := try(999, 1, limits); err != nil {
				t.Errorf("the last entry is refused: %v", err)
			}
			if err := try(1000, 1, limits); (err != nil) != test.entries {
				t.Errorf("the entry beyond the bound: %v, want an error: %t", err, test.entries)
			}
			if err := try(100_000, 1000, deployment.Limits{}); err != nil {
				t.Errorf("refused although nothing is bounded: %v", err)
			}
			if test.messages < 0 {
				if err := try(1, 1000, limits); err != nil {
					t.Errorf("messages are bounded: %v", err)
				}
				return
			}
			if err := try(1, test.messages, limits); err != nil {
				t.Errorf("%d details are refused: %v", test.messages, err)
			}
			if err := try(1, test.messages+1, limits); err == nil {
				t.Errorf("%d details are taken", test.messages+1)
			}
		})
	}
}

// TestLimitCountsPieces: what is cut counts by its pieces.
func TestLimitCountsPieces(t *testing.T) {
	t.Parallel()
	c := caseIn(state{status: deployment.Running, active: true})
	if err := c.Report(deployment.Report{Details: []string{strings.Repeat("x", 50*512)}}, now); err != nil {
		t.Error(err)
	}
	c = caseIn(state{status: deployment.Running, active: true})
	if err := c.Report(deployment.Report{Details: []string{strings.Repeat("x", 50*512+1)}}, now); !fault.Is(err, fault.Quota) {
		t.Errorf("51 pieces: %v, want a quota", err)
	}
}
