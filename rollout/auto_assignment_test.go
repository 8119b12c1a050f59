package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/rollout"
)

// Every call in every state (update-domain 2.12).
func TestAutoAssignmentStates(t *testing.T) {
	t.Parallel()
	const (
		waiting, denied, ready, paused, running = rollout.AutoWaitingForApproval, rollout.AutoDenied, rollout.AutoReady, rollout.AutoPaused, rollout.AutoRunning
		refused                                 = rollout.AutoAssignmentStatus(-1)
	)
	remark := "fine"
	for name, c := range map[string]struct {
		call func(*rollout.AutoAssignment) error
		to   [5]rollout.AutoAssignmentStatus // by the state before
	}{
		"approve": {func(a *rollout.AutoAssignment) error { return a.Approve("ann", &remark) }, [5]rollout.AutoAssignmentStatus{ready, refused, refused, refused, refused}},
		"deny":    {func(a *rollout.AutoAssignment) error { return a.Deny("ann", nil) }, [5]rollout.AutoAssignmentStatus{denied, refused, refused, refused, refused}},
		"start":   {(*rollout.AutoAssignment).Start, [5]rollout.AutoAssignmentStatus{refused, refused, running, refused, refused}},
		"pause":   {(*rollout.AutoAssignment).Pause, [5]rollout.AutoAssignmentStatus{refused, refused, refused, refused, paused}},
		"resume":  {(*rollout.AutoAssignment).Resume, [5]rollout.AutoAssignmentStatus{refused, refused, refused, running, refused}},
	} {
		for from, to := range c.to {
			a := rollout.AutoAssignment{Status: rollout.AutoAssignmentStatus(from)}
			err := c.call(&a)
			switch {
			case to == refused && !fault.Is(err, fault.AutoAssignState), to != refused && err != nil:
				t.Errorf("%s while %s: %v", name, rollout.AutoAssignmentStatus(from), err)
			case to == refused && a.Status != rollout.AutoAssignmentStatus(from), to != refused && a.Status != to:
				t.Errorf("%s while %s leads to %s", name, rollout.AutoAssignmentStatus(from), a.Status)
			}
		}
	}
}

func TestAutoAssignmentIsDue(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	before, after := now.Add(-time.Second), now.Add(time.Millisecond)
	for name, c := range map[string]struct {
		status rollout.AutoAssignmentStatus
		at     *time.Time
		want   bool
	}{
		"at once":     {rollout.AutoReady, nil, true},
		"long ago":    {rollout.AutoReady, &before, true},
		"just now":    {rollout.AutoReady, &now, true},
		"later":       {rollout.AutoReady, &after, false},
		"unapproved":  {rollout.AutoWaitingForApproval, nil, false},
		"paused":      {rollout.AutoPaused, nil, false},
		"has started": {rollout.AutoRunning, nil, false},
	} {
		a := rollout.AutoAssignment{Status: c.status, StartAt: c.at}
		if got := a.Due(now); got != c.want {
			t.Errorf("%s: due %t", name, got)
		}
	}
}

// What becomes of a filter's auto-assignment when the filter changes
// (update-domain 1.3).
func TestFilterTakesItsAutoAssignmentAlong(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(5)
	text := func(s string) *string { return &s }
	rule := func(id rollout.AutoAssignmentID, name, filter string, s rollout.AutoAssignmentStatus) *rollout.AutoAssignment {
		return &rollout.AutoAssignment{ID: id, Name: name, Filter: filter, Set: 3, Status: s}
	}
	for name, c := range map[string]struct {
		namesake    *rollout.AutoAssignment
		name, query *string
		want        rollout.TargetFilter
		changed     bool
	}{
		"nothing said":            {rule(7, "f", "q", rollout.AutoPaused), nil, nil, rollout.TargetFilter{Name: "f", Query: "q", Namesake: rule(7, "f", "q", rollout.AutoPaused)}, false},
		"the same again":          {rule(7, "f", "q", rollout.AutoPaused), text("f"), text("q"), rollout.TargetFilter{Name: "f", Query: "q", Namesake: rule(7, "f", "q", rollout.AutoPaused)}, false},
		"renamed":                 {rule(7, "f", "q", rollout.AutoPaused), text("g"), nil, rollout.TargetFilter{Name: "g", Query: "q", Namesake: rule(7, "g", "q", rollout.AutoPaused)}, true},
		"another query":           {rule(7, "f", "q", rollout.AutoPaused), nil, text("p"), rollout.TargetFilter{Name: "f", Query: "p", Namesake: rule(0, "f", "p", rollout.AutoReady)}, true},
		"both":                    {rule(7, "f", "q", rollout.AutoPaused), text("g"), text("p"), rollout.TargetFilter{Name: "g", Query: "p", Namesake: rule(0, "g", "p", rollout.AutoReady)}, true},
		"another's stays":         {rule(7, "f", "x", rollout.AutoPaused), text("g"), text("p"), rollout.TargetFilter{Name: "g", Query: "p", Namesake: rule(7, "f", "x", rollout.AutoPaused)}, true},
		"another's becomes ours":  {rule(7, "f", "p", rollout.AutoPaused), nil, text("p"), rollout.TargetFilter{Name: "f", Query: "p", Namesake: rule(7, "f", "p", rollout.AutoPaused)}, true},
		"nothing belonged to it":  {nil, nil, text("p"), rollout.TargetFilter{Name: "f", Query: "p"}, true},
		"nothing, and a new name": {nil, text("g"), nil, rollout.TargetFilter{Name: "g", Query: "q"}, true},
	} {
		if c.namesake != nil {
			c.namesake.StartAt, c.namesake.Waiting = &at, "for something"
			if c.want.Namesake.ID != 0 {
				c.want.Namesake.StartAt, c.want.Namesake.Waiting = &at, "for something"
			}
		}
		f := rollout.TargetFilter{Name: "f", Query: "q", Namesake: c.namesake}
		changed, err := f.Change(c.name, c.query, func(a *rollout.AutoAssignment) error {
			a.Status = rollout.AutoReady
			return nil
		})
		if err != nil || changed != c.changed {
			t.Errorf("%s: changed %t, %v", name, changed, err)
		}
		if d := cmp.Diff(c.want, f); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestFilterAssigns(t *testing.T) {
	t.Parallel()
	next := &rollout.AutoAssignment{Name: "f", Filter: "q", Set: 9}
	f := rollout.TargetFilter{Name: "f", Query: "q"}
	if err := f.Assign(next); err != nil || f.Linked() != next {
		t.Errorf("for the first time: %v, %v", f.Linked(), err)
	}
	again := *next
	if err := f.Assign(&again); err != nil || f.Linked() != &again {
		t.Errorf("in the place of the first: %v, %v", f.Linked(), err)
	}
	f.Namesake = &rollout.AutoAssignment{Name: "f", Filter: "other"}
	if err := f.Assign(next); !fault.Is(err, fault.Exists) || f.Linked() != nil {
		t.Errorf("where another one has the name: %v, %v", f.Linked(), err)
	}
}
