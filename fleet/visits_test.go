package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fleet"
)

// shelf keeps visits in memory, or refuses them.
type shelf struct {
	mu    sync.Mutex
	err   error
	calls int
	seen  map[fleet.TargetID]int64
}

func (s *shelf) SaveVisits(_ context.Context, visits []fleet.Visit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return s.err
	}
	for i, v := range visits {
		if i > 0 && visits[i-1].Target >= v.Target {
			return errors.New("visits are not sorted by target")
		}
		s.seen[v.Target] = max(s.seen[v.Target], v.SeenAt)
	}
	return nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms) }

func TestVisitsAreGatheredAndShownAtOnce(t *testing.T) {
	t.Parallel()
	s := &shelf{seen: map[fleet.TargetID]int64{}}
	v := &fleet.Visits{Store: s, Log: slog.New(slog.DiscardHandler)}
	if _, ok := v.SeenAt(1); ok {
		t.Error("a target that never came was seen")
	}
	for i := range 1000 {
		v.Note(fleet.TargetID(i%100+1), at(int64(i)))
	}
	if got, ok := v.SeenAt(1); !ok || !got.Equal(at(900)) {
		t.Errorf("not saved yet, target 1 was seen at %v, %v", got, ok)
	}
	if err := v.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.calls != 1 || len(s.seen) != 100 || s.seen[100] != 999 {
		t.Errorf("%d calls, %d targets, target 100 at %d", s.calls, len(s.seen), s.seen[100])
	}
	if _, ok := v.SeenAt(1); ok {
		t.Error("what was saved is kept")
	}
	if err := v.Flush(t.Context()); err != nil || s.calls != 1 {
		t.Errorf("with nothing to save the store was asked again (%v)", err)
	}
}

func TestVisitsThatCannotBeSavedAreKept(t *testing.T) {
	t.Parallel()
	s := &shelf{seen: map[fleet.TargetID]int64{}, err: errors.New("full")}
	v := &fleet.Visits{Store: s, Log: slog.New(slog.DiscardHandler)}
	v.Note(1, at(10))
	v.Note(2, at(10))
	if err := v.Flush(t.Context()); !errors.Is(err, s.err) {
		t.Fatal(err)
	}
	v.Note(1, at(20)) // newer than what is kept
	s.err = nil
	if err := v.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[fleet.TargetID]int64{1: 20, 2: 10}, s.seen); diff != "" {
		t.Error(diff)
	}
}

func TestRunSavesEverySecondAndAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{seen: map[fleet.TargetID]int64{}}
		v := &fleet.Visits{Store: s, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx, time.Second) }()
		v.Note(1, at(1))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if s.seen[1] != 1 {
			t.Error("after a second the visit is not saved")
		}
		v.Note(2, at(2))
		cancel()
		if err := <-done; err != nil || s.seen[2] != 2 {
			t.Errorf("at the end: %v, %v", s.seen, err)
		}
	})
}
