package rollout

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/tenant"
)

const stepTime = 50 * time.Millisecond

// Whatever a step costs, its size is soon one that takes stepTime, or a bound.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		work         Work
		step, target time.Duration // what a step costs, and each target
		want         int64
	}{
		{Launch, 0, 50 * time.Microsecond, 1000},
		{Launch, 10 * time.Millisecond, 100 * time.Microsecond, 400},
		{Launch, 0, 10 * time.Millisecond, leastStep},
		{Launch, 0, 0, StepSize},
		{Schedule, 0, time.Microsecond, StepSize},
		{Fill, 0, time.Microsecond, FillSize},
		{Fill, 0, 5 * time.Microsecond, 10_000},
	} {
		var p Pace
		for range 20 {
			n := p.size(test.work)
			p.Took(test.work, n, test.step+time.Duration(n)*test.target, stepTime)
		}
		if got := p.size(test.work); got < test.want*98/100 || got > test.want*102/100 {
			t.Errorf("%+v: steps of %d", test, got)
		}
	}
}

func TestPaceIsNotMisled(t *testing.T) {
	t.Parallel()
	var p Pace
	p.sizes[Launch], p.sizes[Schedule] = 1000, 2000
	p.Took(Launch, 499, time.Microsecond, stepTime) // the rest of a group
	p.Took(Launch, 0, time.Minute, stepTime)
	if got := p.size(Launch); got != 1000 {
		t.Errorf("after a rest: %d", got)
	}
	p.Took(Launch, 1000, time.Minute, stepTime) // the disk
	if got := p.size(Launch); got != 500 {
		t.Errorf("after a long step: %d", got)
	}
	if got := p.size(Schedule); got != 2000 {
		t.Errorf("another kind of work: %d", got)
	}
	p.Took(Grow, 3, time.Minute, stepTime)
	if got := p.size(Grow); got != StepSize {
		t.Errorf("growing: %d", got)
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		work       Work
		took, want time.Duration
	}{
		{Launch, time.Second, 0}, {Schedule, 50 * time.Millisecond, 50 * time.Millisecond}, {Fill, time.Hour, longestPause}, {CancelActive, time.Second, 0}, {NoWork, time.Second, 0},
	} {
		if got := (&Turn{Work: test.work}).pause(test.took); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// A worker pauses after each step that there is more to do after, and its pauses
// are part of the share of time.
func TestWorkerPauses(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	var pauses []time.Duration
	steps := 0
	w := &worker[ID, struct{}]{
		lease: "x", keeper: &lease.Keeper{For: time.Minute, Now: func() time.Time { return now }}, every: time.Second,
		now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler), noun: "a thing",
		busy: func(context.Context) ([]Busy[ID], error) { return []Busy[ID]{{Tenant: tenant.ID(1), ID: 1}}, nil },
		turn: func(*struct{}, time.Time) {},
		step: func(context.Context, Busy[ID], *struct{}, *lease.Held) (bool, error) {
			steps++
			now = now.Add(100 * time.Millisecond)
			return steps != 5, nil
		},
		rest:  func(*struct{}, time.Duration) time.Duration { return 0 },
		pause: func(_ *struct{}, took time.Duration) time.Duration { return took / 2 },
		wait: func(_ context.Context, d time.Duration) {
			pauses = append(pauses, d)
			now = now.Add(d)
		},
		items: map[ID]*item[struct{}]{},
	}
	var next []time.Duration
	for range 2 {
		next = append(next, w.round(t.Context()))
	}
	half := 50 * time.Millisecond
	if diff := cmp.Diff([]time.Duration{half, half, half, half}, pauses); diff != "" || steps != 5 {
		t.Errorf("%d steps; pauses (-want +got):\n%s", steps, diff)
	}
	if diff := cmp.Diff([]time.Duration{0, time.Second}, next); diff != "" {
		t.Errorf("rounds follow each other (-want +got):\n%s", diff)
	}
}
