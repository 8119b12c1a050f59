package rollout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/deployment"
)

// The thresholds of update-domain 2.11.
func TestThresholds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		threshold string
		n, of     int64
		reached   bool // so many succeeded
		failed    bool // so many failed
	}{
		{"66", 2, 3, true, true},
		{"67", 2, 3, false, false},
		{"67", 3, 3, true, true},
		{"33", 1, 3, true, true},
		{"34", 1, 3, false, false},
		{"34", 2, 3, true, true},
		{"50", 1, 2, true, false}, // half is enough, and not too much
		{"50", 2, 2, true, true},
		{"0", 0, 5, true, false},
		{"-1", 0, 5, true, true},
		{"+50", 1, 2, true, false},
		{"100", 5, 5, true, false},
		{"150", 5, 5, false, false},
		{"50", 0, 0, true, false},
		{"", 5, 5, false, false},
		{"all", 5, 5, false, false},
		{" 5", 5, 5, false, false},
		{"50.5", 5, 5, false, false},
	}
	for _, test := range tests {
		g := Group{SuccessThreshold: test.threshold, ErrorThreshold: &test.threshold}
		var well, badly Tally
		well[deployment.Finished], badly[deployment.Error] = test.n, test.n
		if got := g.reached(well, test.of, deployment.Forced); got != test.reached {
			t.Errorf("%d of %d at success threshold %q: %t", test.n, test.of, test.threshold, got)
		}
		if got := g.failed(badly, test.of); got != test.failed {
			t.Errorf("%d of %d at error threshold %q: %t", test.n, test.of, test.threshold, got)
		}
	}
	if (&Group{}).failed(Tally{deployment.Error: 5}, 5) {
		t.Error("a group without error condition fails")
	}
}

func TestProgressOf(t *testing.T) {
	t.Parallel()
	var tally Tally
	for s := range tally {
		tally[s] = 1
	}
	want := Progress{NotStarted: 8, Scheduled: 1, Running: 8, Finished: 1, Error: 1, Cancelled: 1}
	if diff := cmp.Diff(want, ProgressOf(20, tally, deployment.Forced)); diff != "" {
		t.Error(diff)
	}
	want.Running, want.Finished = 7, 2
	if diff := cmp.Diff(want, ProgressOf(20, tally, deployment.DownloadOnly)); diff != "" {
		t.Error(diff)
	}
}

// Two groups run at once: what becomes of the rollout when each ends.
func TestLastGroups(t *testing.T) {
	t.Parallel()
	half := "50"
	group := func(id GroupID, s GroupStatus) Group {
		return Group{ID: id, Status: s, SuccessThreshold: half, ErrorThreshold: &half}
	}
	one := func(s deployment.Status) (t Tally) {
		t[s] = 1
		return t
	}
	tests := []struct {
		name   string
		groups []Group
		tally  map[GroupID]Tally
		want   Status
		states []GroupStatus
	}{
		{
			"the last ends in error while an earlier one runs",
			[]Group{group(1, GroupRunning), group(2, GroupRunning)},
			map[GroupID]Tally{1: one(deployment.Running), 2: one(deployment.Error)},
			Paused,
			[]GroupStatus{GroupRunning, GroupError},
		},
		{
			"the error strikes the last one",
			[]Group{group(1, GroupFinished), group(2, GroupRunning)},
			map[GroupID]Tally{2: one(deployment.Error)},
			Finished,
			[]GroupStatus{GroupFinished, GroupError},
		},
		{
			"cancelled ones complete without success",
			[]Group{group(1, GroupRunning)},
			map[GroupID]Tally{1: one(deployment.Canceled)},
			Finished,
			[]GroupStatus{GroupFinished},
		},
		{
			"canceling is not complete",
			[]Group{group(1, GroupRunning)},
			map[GroupID]Tally{1: one(deployment.Canceling)},
			Running,
			[]GroupStatus{GroupRunning},
		},
		{
			"empty groups finish one a turn",
			[]Group{group(1, GroupRunning), group(2, GroupScheduled)},
			nil, Running,
			[]GroupStatus{GroupFinished, GroupScheduled},
		},
	}
	for _, test := range tests {
		run := Run{Rollout: Rollout{Status: Running}, Groups: test.groups, Tallies: test.tally}
		run.Next(&Turn{})
		var states []GroupStatus
		for _, g := range run.Groups {
			states = append(states, g.Status)
		}
		if diff := cmp.Diff(test.states, states); diff != "" || run.Rollout.Status != test.want {
			t.Errorf("%s: %s, %s", test.name, run.Rollout.Status, diff)
		}
	}
}

// At the most groups that a rollout may have it goes on judging, and says who is
// left out.
func TestFullDynamicRollout(t *testing.T) {
	t.Parallel()
	run := Run{
		Rollout: Rollout{Status: Running, Dynamic: true}, MaxGroups: 2, Tallies: map[GroupID]Tally{1: {}},
		Groups: []Group{
			{ID: 1, Status: GroupRunning, SuccessThreshold: "50"},
			{ID: 2, Status: GroupScheduled, SuccessThreshold: "50", Dynamic: true, Planned: 1, Total: 1},
		},
	}
	var turn Turn
	step, more := run.Next(&turn)
	if step.Work != Launch || step.Group.ID != 2 || !more || len(run.Groups) != 2 {
		t.Errorf("the step is %+v, more %t, with %d groups", step, more, len(run.Groups))
	}
	if !strings.Contains(turn.Remark, "2 groups") {
		t.Errorf("the remark is %q", turn.Remark)
	}
}
