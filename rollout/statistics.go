package rollout

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/tenant"
)

// rememberFrom is how many targets a rollout has whose statistics are
// remembered. Counting fewer takes a few milliseconds.
const rememberFrom = 10_000

// A statistics remembers for a moment how many actions have which status.
//
// Counting the actions of a million targets takes a tenth of a second of a
// processor, and interfaces, scripts and several people look at the same rollout
// each second. A count is used for ten times as long as it took, and five seconds
// at most, so that looking costs a tenth of a processor however many look; those
// who ask at once share one count.
//
// What is remembered belongs to the states in which the rollouts and groups were
// found just before it was counted. Whoever finds them in other ones, by whatever
// process they were changed, gets a new count: who has seen that a group is
// finished sees the figures that it finished with. Reports of devices alone
// change no state, and show after that time.
//
// The zero statistics is ready to use.
type statistics[ID ~int64] struct {
	counting singleflight.Group
	mu       sync.Mutex
	kept     map[string]count[ID]
}

type count[ID ~int64] struct {
	tallies map[ID]Tally
	until   time.Time
}

const (
	rememberTimes = 10
	rememberMost  = 5 * time.Second
	// maxCounts bounds the memory, to some megabytes where each is a list of 500
	// groups.
	maxCounts = 64
)

// get returns what is remembered for the states, or counts.
func (s *statistics[ID]) get(ctx context.Context, states string, now func() time.Time, tally func(context.Context) (map[ID]Tally, error)) (map[ID]Tally, error) {
	if t, ok := s.remembered(states, now()); ok {
		return t, nil
	}
	// Others wait for it, too: it does not end with the request that began it.
	ctx = context.WithoutCancel(ctx)
	t, err, _ := s.counting.Do(states, func() (any, error) {
		began := now()
		tallies, err := tally(ctx)
		if err != nil {
			return nil, err
		}
		ended := now()
		s.remember(states, count[ID]{tallies, ended.Add(min(rememberTimes*ended.Sub(began), rememberMost))}, ended)
		return tallies, nil
	})
	if err != nil {
		return nil, err
	}
	return t.(map[ID]Tally), nil //nolint:forcetypeassert // what the function above returns
}

func (s *statistics[ID]) remembered(states string, now time.Time) (map[ID]Tally, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.kept[states]
	return c.tallies, ok && now.Before(c.until)
}

// remember keeps a count, in place of those that are over, or of any other.
func (s *statistics[ID]) remember(states string, c count[ID], now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]count[ID]{}
	}
	for other, old := range s.kept {
		if !now.Before(old.until) {
			delete(s.kept, other)
		}
	}
	for other := range s.kept {
		if len(s.kept) < maxCounts {
			break
		}
		delete(s.kept, other)
	}
	s.kept[states] = c
}

// states tells states of rollouts and groups from others.
type states struct{ hash.Hash }

func statesOf(t tenant.ID) states {
	s := states{sha256.New()}
	fmt.Fprintf(s, "tenant %d\n", t)
	return s
}

func (s states) rollout(r *Rollout) {
	fmt.Fprintf(s, "rollout %d %d %d %d %d\n", r.ID, r.Status, r.Total, r.GroupCount, r.ModifiedAt.UnixMilli())
}

func (s states) group(g *Group) {
	fmt.Fprintf(s, "group %d %d %t %d %d\n", g.ID, g.Status, g.Starting, g.Total, g.ModifiedAt.UnixMilli())
}

func (s states) text() string { return string(s.Sum(nil)) }

// Progress says how the targets of rollouts are doing, by rollout: exactly, or, of
// a rollout with 10,000 targets and more, within the last seconds. The list is to
// have been read by the same request: the figures are as new as the states that it
// shows.
func (s *Service) Progress(ctx context.Context, list []Rollout) (map[ID]Progress, error) {
	t := caller.From(ctx).Tenant
	var small, large []ID
	of := statesOf(t)
	for i := range list {
		if r := &list[i]; r.Total < rememberFrom {
			small = append(small, r.ID)
		} else {
			large = append(large, r.ID)
			of.rollout(r)
		}
	}
	tallies, err := s.Store.Tallies(ctx, t, small)
	if err != nil {
		return nil, err
	}
	if len(large) > 0 {
		// A group may start without any change of its rollout.
		groups, err := s.Store.GroupsOf(ctx, t, large)
		if err != nil {
			return nil, err
		}
		for i := range groups {
			of.group(&groups[i])
		}
		remembered, err := s.rollouts.get(ctx, of.text(), s.Now, func(ctx context.Context) (map[ID]Tally, error) { return s.Store.Tallies(ctx, t, large) })
		if err != nil {
			return nil, err
		}
		maps.Copy(tallies, remembered)
	}
	out := make(map[ID]Progress, len(list))
	for i := range list {
		out[list[i].ID] = ProgressOf(list[i].Total, tallies[list[i].ID], list[i].Type)
	}
	return out, nil
}

// GroupProgress says how the targets of groups of one rollout are doing, by group,
// as exactly as Progress does for the rollout.
func (s *Service) GroupProgress(ctx context.Context, r *Rollout, list []Group) (map[GroupID]Progress, error) {
	t := caller.From(ctx).Tenant
	ids := make([]GroupID, len(list))
	of := statesOf(t)
	of.rollout(r)
	for i := range list {
		ids[i] = list[i].ID
		of.group(&list[i])
	}
	tally := func(ctx context.Context) (map[GroupID]Tally, error) { return s.Store.GroupTallies(ctx, t, ids) }
	var tallies map[GroupID]Tally
	var err error
	if r.Total < rememberFrom {
		tallies, err = tally(ctx)
	} else {
		tallies, err = s.groups.get(ctx, of.text(), s.Now, tally)
	}
	if err != nil {
		return nil, err
	}
	out := make(map[GroupID]Progress, len(list))
	for i := range list {
		out[list[i].ID] = ProgressOf(list[i].Total, tallies[list[i].ID], r.Type)
	}
	return out, nil
}
