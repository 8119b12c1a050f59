package deployment_test

import (
	"maps"
	"os"
	"regexp"
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

// drawn returns the transitions of the n-th drawing of docs/state-machines.md,
// as "FROM --> TO: label", but for those whose label is left out.
func drawn(t *testing.T, n int, without ...string) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/state-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	drawings := regexp.MustCompile("(?s)```mermaid\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	var lines []string
	for line := range strings.Lines(drawings[n][1]) {
		line = strings.TrimSpace(line)
		if _, label, ok := strings.Cut(line, ": "); ok && !slices.Contains(without, label) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// calls are what the drawings name, as calls of Case. Those without a name in
// the drawings change no status.
func calls() map[string]func(*deployment.Case) error {
	report := func(e deployment.Execution, o deployment.Outcome) func(*deployment.Case) error {
		return func(c *deployment.Case) error {
			return c.Report(deployment.Report{Execution: e, Outcome: o}, now)
		}
	}
	cancellation := func(e deployment.Execution, o deployment.Outcome) func(*deployment.Case) error {
		return func(c *deployment.Case) error {
			return c.ReportCancel(deployment.Report{Execution: e, Outcome: o}, now)
		}
	}
	return map[string]func(*deployment.Case) error{
		"fetch":                   func(c *deployment.Case) error { return c.Fetch(now) },
		"closed":                  report(deployment.ExecClosed, deployment.OutcomeSuccess),
		"failed":                  report(deployment.ExecClosed, deployment.OutcomeFailure),
		"downloaded":              report(deployment.ExecDownloaded, deployment.OutcomeSuccess),
		"cancellation closed":     cancellation(deployment.ExecClosed, deployment.OutcomeSuccess),
		"cancellation failed":     cancellation(deployment.ExecClosed, deployment.OutcomeFailure),
		"cancellation rejected":   cancellation(deployment.ExecRejected, deployment.OutcomeNone),
		"confirm":                 func(c *deployment.Case) error { return c.Confirm(deployment.Answer{Confirmed: true}, true, now) },
		"deny":                    func(c *deployment.Case) error { return c.Confirm(deployment.Answer{}, true, now) },
		"cancel":                  func(c *deployment.Case) error { return c.Cancel("By hand.", now) },
		"force quit":              func(c *deployment.Case) error { return c.ForceQuit("By hand.", now) },
		"not named: proceeding":   report(deployment.ExecProceeding, deployment.OutcomeNone),
		"not named: canceled":     report(deployment.ExecCanceled, deployment.OutcomeSuccess),
		"not named: scheduled":    report(deployment.ExecScheduled, deployment.OutcomeNone),
		"not named: rejected":     report(deployment.ExecRejected, deployment.OutcomeFailure),
		"not named: resumed":      report(deployment.ExecResumed, deployment.OutcomeNone),
		"not named: download":     report(deployment.ExecDownload, deployment.OutcomeNone),
		"not named: under way":    cancellation(deployment.ExecProceeding, deployment.OutcomeNone),
		"not named: canceled it":  cancellation(deployment.ExecCanceled, deployment.OutcomeNone),
		"not named: file":         func(c *deployment.Case) error { return c.NoteDownload("/a", now) },
		"not named: cancellation": func(c *deployment.Case) error { return c.FetchCancel(now) },
		"not named: force":        func(c *deployment.Case) error { c.Force(now); return nil },
		"lapse": func(c *deployment.Case) error {
			c.Action.Window = deployment.Window{Schedule: "0 0 3 1 1 ? 2020", Duration: "01:00:00", Timezone: "Z"}
			if !c.Lapse(now) {
				return fault.New(fault.NotThere, "It does not lapse.")
			}
			return nil
		},
		"auto-confirm": func(c *deployment.Case) error {
			if c.Action.Status != deployment.WaitForConfirmation { // the store asks for no others
				return fault.New(fault.NotThere, "It does not wait.")
			}
			c.AutoConfirmed(fleet.AutoConfirm{}, now)
			return nil
		},
	}
}

// TestActionDrawing tries every call in every state an action can be in.
func TestActionDrawing(t *testing.T) {
	t.Parallel()
	name := func(s deployment.Status) string { return strings.ToUpper(s.String()) }
	found := map[string]bool{}
	for label, call := range calls() {
		for _, s := range states() {
			for _, awaited := range []bool{false, true} {
				for _, kind := range []deployment.Type{deployment.Forced, deployment.DownloadOnly} {
					if awaited && s.status != deployment.Canceling {
						continue
					}
					c := caseIn(s)
					c.Action.ConsentAwaited, c.Action.Type = awaited, kind
					if call(c) == nil && c.Action.Status != s.status {
						found[name(s.status)+" --> "+name(c.Action.Status)+": "+label] = true
					}
					if !s.active && c.Action.Active {
						t.Errorf("%s makes the closed %v active", label, s)
					}
				}
			}
		}
	}
	for _, a := range []deployment.Assignment{{}, {Policy: deployment.Policy{Flow: true}}, {Offline: true}} {
		label := "assign"
		if a.Offline {
			label = "assign offline"
		}
		a.Orders = make([]deployment.Order, 1)
		a.Set = newSet
		v, err := a.Decide(deployment.SetFacts{Valid: true, Complete: true}, []deployment.Candidate{{}})
		if err != nil {
			t.Fatal(err)
		}
		found["[*] --> "+name(v.Start[0].Status)+": "+label] = true
	}
	// What the store does to many at once is held against the drawing there.
	if diff := cmp.Diff(drawn(t, 0, "rollout", "autoclose", "superseded"), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("drawing and code differ (-drawing +code):\n%s", diff)
	}
}

// TestTargetDrawing tries the calls that move a target, whatever it holds.
func TestTargetDrawing(t *testing.T) {
	t.Parallel()
	name := func(s fleet.Status) string { return strings.ToUpper(s.String()) }
	labels := map[string]string{"closed": "closed", "failed": "failed", "downloaded": "downloaded", "cancellation closed": "canceled", "force quit": "canceled"}
	found := map[string]bool{}
	for key, call := range calls() {
		for _, s := range states() {
			for _, status := range []fleet.Status{fleet.StatusPending, fleet.StatusError, fleet.StatusInSync} {
				for _, assigned := range []software.SetID{0, newSet, otherSet} {
					for _, installedAt := range []time.Time{{}, earlier, now.Add(time.Hour)} {
						for _, next := range []software.SetID{0, otherSet} {
							c := caseIn(s)
							c.Holding.Status, c.Holding.Assigned, c.Holding.InstalledAt, c.NextActive = status, assigned, installedAt, next
							if call(c) != nil || c.Action.Active || !s.active {
								if c.Holding.Status != status {
									t.Errorf("%s moves the target from %v to %v without closing the action", key, status, c.Holding.Status)
								}
								continue
							}
							found[name(status)+" --> "+name(c.Holding.Status)+": "+labels[key]] = true
						}
					}
				}
			}
		}
	}
	if diff := cmp.Diff(drawn(t, 1, "assign", "assign offline", "created by a user", "registers itself", "first poll"), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("drawing and code differ (-drawing +code):\n%s", diff)
	}
}
