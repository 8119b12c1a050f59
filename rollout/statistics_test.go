package rollout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// counter counts how often it is asked, taking its time.
type counter struct {
	now   time.Time
	takes time.Duration
	asked int64
	err   error
}

func (c *counter) tally(context.Context) (map[ID]Tally, error) {
	c.asked++
	c.now = c.now.Add(c.takes)
	return map[ID]Tally{1: {c.asked}}, c.err
}

// get returns the number of the count that it gets.
func (c *counter) get(t *testing.T, s *statistics[ID], states string) int64 {
	t.Helper()
	got, err := s.get(t.Context(), states, func() time.Time { return c.now }, c.tally)
	if err != nil {
		t.Fatal(err)
	}
	return got[1].Total()
}

func TestACountIsUsedTenTimesAsLongAsItTook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ takes, used time.Duration }{
		{0, 0}, {time.Millisecond, 10 * time.Millisecond}, {100 * time.Millisecond, time.Second}, {time.Minute, 5 * time.Second},
	} {
		var s statistics[ID]
		c := &counter{now: time.UnixMilli(1_800_000_000_000), takes: test.takes}
		if c.get(t, &s, "a") != 1 {
			t.Fatal("the first count is another")
		}
		counted := c.now
		if test.used > 0 {
			c.now = counted.Add(test.used - 1)
			if got := c.get(t, &s, "a"); got != 1 {
				t.Errorf("a count that took %v is gone after %v", test.takes, test.used-1)
			}
			if got := c.get(t, &s, "b"); got != 2 {
				t.Errorf("other states get the count %d", got)
			}
		}
		c.now, c.asked = counted.Add(test.used), 10
		if got := c.get(t, &s, "a"); got != 11 {
			t.Errorf("a count that took %v is used after %v", test.takes, test.used)
		}
	}
}

func TestAFailedCountIsNotRemembered(t *testing.T) {
	t.Parallel()
	var s statistics[ID]
	c := &counter{takes: time.Second, err: errors.New("gone")}
	if _, err := s.get(t.Context(), "a", func() time.Time { return c.now }, c.tally); !errors.Is(err, c.err) {
		t.Errorf("got %v", err)
	}
	c.err = nil
	if got := c.get(t, &s, "a"); got != 2 {
		t.Errorf("got the count %d", got)
	}
}

func TestStatisticsAreBounded(t *testing.T) {
	t.Parallel()
	var s statistics[ID]
	c := &counter{takes: time.Millisecond}
	for i := range 10 * maxCounts {
		c.get(t, &s, fmt.Sprint(i))
	}
	if len(s.kept) > maxCounts {
		t.Errorf("%d are remembered", len(s.kept))
	}
}

// Who asks while it is being counted gets that count, also when the one who asked
// first is gone.
func TestThoseWhoAskAtOnceShareACount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s statistics[ID]
		asked, answer := 0, make(chan struct{})
		tally := func(ctx context.Context) (map[ID]Tally, error) {
			asked++
			<-answer
			return map[ID]Tally{1: {7}}, ctx.Err()
		}
		done := make(chan error)
		first, leave := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{first, t.Context(), t.Context()} {
			go func() {
				got, err := s.get(ctx, "a", time.Now, tally)
				if err == nil && got[1].Total() != 7 {
					err = fmt.Errorf("got %v", got)
				}
				done <- err
			}()
			synctest.Wait()
		}
		leave()
		close(answer)
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if asked != 1 {
			t.Errorf("it was counted %d times", asked)
		}
	})
}

// What a state shows, and nothing else, tells it from another.
func TestStates(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_800_000_000_000)
	text := func(change func(*Rollout, *Group)) string {
		r, g := Rollout{ID: 1, Status: Running, Total: 5}, Group{ID: 2, Status: GroupRunning, Total: 5}
		r.ModifiedAt, g.ModifiedAt = at, at
		change(&r, &g)
		s := statesOf(1)
		s.rollout(&r)
		s.group(&g)
		return s.text()
	}
	same := text(func(*Rollout, *Group) {})
	if text(func(r *Rollout, g *Group) { r.Name, g.Cursor = "other", 9 }) != same {
		t.Error("progress that nobody sees is another state")
	}
	seen := map[string]bool{same: true}
	for i, change := range []func(*Rollout, *Group){
		func(r *Rollout, _ *Group) { r.Status = Finished },
		func(r *Rollout, _ *Group) { r.Total = 6 },
		func(r *Rollout, _ *Group) { r.GroupCount++ },
		func(r *Rollout, _ *Group) { r.ModifiedAt = at.Add(time.Millisecond) },
		func(_ *Rollout, g *Group) { g.Status = GroupFinished },
		func(_ *Rollout, g *Group) { g.Starting = true },
		func(_ *Rollout, g *Group) { g.Total = 6 },
		func(_ *Rollout, g *Group) { g.ModifiedAt = at.Add(time.Millisecond) },
	} {
		other := text(change)
		if seen[other] {
			t.Errorf("change %d leads to a known state", i)
		}
		seen[other] = true
	}
}
