package rollout

import (
	"cmp"
	"time"
)

// A Pace steers how many targets a step takes, by how long steps of its kind took
// for how many: as many as take the time that the store has for a step, whatever
// the machine and however dear a target is. A shorter step would spend more of its
// time on what each one costs, and wait for the disk more often.
//
// The zero Pace knows nothing yet and begins with small steps.
type Pace struct {
	sizes [Remove + 1]int64 // by kind of work; 0: not known yet
}

const (
	firstStep = 500
	leastStep = 100
)

// StepSize is how many targets a step takes at most: what it reads of them is in
// memory.
const StepSize = 5000

// FillSize is the same of targets that are put into a group or taken out, which
// takes far less for each.
const FillSize = 20_000

// most is how many targets a step of the kind may take.
func (w Work) most() int64 {
	if w == Fill || w == DropMembers {
		return FillSize
	}
	return StepSize
}

// size is how many targets the next step takes. A group that grows takes what it
// can at once: it does so once in a turn, and looking for them takes longer.
func (p *Pace) size(w Work) int64 {
	if w == Grow {
		return w.most()
	}
	return cmp.Or(p.sizes[w], firstStep)
}

// Took tells how long the work of a step took for n targets, and how long it is to
// take.
func (p *Pace) Took(w Work, n int64, took, wanted time.Duration) {
	size := p.size(w)
	if n < size/2 {
		return // the rest of something says little about a whole step
	}
	want := float64(n) * float64(wanted) / float64(max(took, 1))
	// One step that had to wait for something says little, too.
	want = min(max(want, float64(size)/2, leastStep), 2*float64(size), float64(w.most()))
	p.sizes[w] = int64(want)
}

// longestPause bounds a pause after a step that something held up.
const longestPause = time.Second

// pause is how long the background leaves the database and the processors to
// others after a step that took so long: as long as it took, in what nobody waits
// for. A group that starts is waited for, and calling actions off may be urgent.
func (t *Turn) pause(took time.Duration) time.Duration {
	switch t.Work {
	case Fill, Schedule, Grow, DropMembers:
		return halfTheTime(took)
	case NoWork, Launch, DropScheduled, CancelActive, QuitActive, Remove:
	}
	return 0
}

// halfTheTime is the pause of work that nobody waits for.
func halfTheTime(took time.Duration) time.Duration { return min(took, longestPause) }
