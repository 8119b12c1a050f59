package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/otaria/otaria/caller"
)

// A Run is a rollout with its groups: what one step of the engine looks at. Its
// methods are the state machine (update-domain 2.9 to 2.11). Next says what to do
// with the rows of many targets, and Done takes how that went; both change states
// on the way. All progress is in the values, so that a step may be the first one
// after a crash.
type Run struct {
	Rollout Rollout
	Groups  []Group // by id
	// Tallies count the actions of the groups that run, where Next asks for them.
	Tallies map[GroupID]Tally
	// HasActions says, of a rollout that is being deleted, that some are left.
	HasActions bool
	// Approval says that the tenant wants rollouts approved.
	Approval bool
	// MaxGroups bounds the groups of a dynamic rollout; not positive: no bound.
	MaxGroups int
	// StepSize is the size of all steps; 0: the turn's pace has it.
	StepSize int64
	Now      time.Time
}

// Work is what a step does with the rows of many targets.
type Work int

// The kinds of work.
const (
	NoWork        Work = iota // only states changed
	Fill                      // choose targets for a group
	Schedule                  // make the actions of a group's targets
	Launch                    // start scheduled actions of a group
	Grow                      // make actions for targets that came to match
	DropScheduled             // remove actions that were not started
	CancelActive              // ask devices to give up
	QuitActive                // end actions without asking
	DropMembers               // forget who was to take part
	Remove                    // remove the rollout itself
)

// A Step is a bounded piece of work.
type Step struct {
	Work  Work
	Group *Group // of Fill, Schedule, Launch, Grow
	Limit int64  // targets, at most
}

// Outcome says how a step went.
type Outcome struct {
	N      int64 // targets
	More   bool  // there may be more
	Cursor int64 // the last target looked at; of Launch the last action
}

// A Turn is what a rollout has gone through since the engine last left it alone.
type Turn struct {
	Judged bool // thresholds were looked at
	Full   bool // nothing came to match lately: do not look for targets to grow by
	Work   Work // of the last step
	Pace   Pace
	// Remark is what people should know of a rollout that goes on.
	Remark string
}

// size is how many targets a step of the kind takes.
func (r *Run) size(t *Turn, w Work) int64 { return cmp.Or(r.StepSize, t.Pace.size(w)) }

// Next decides the next step. After more is false the rollout waits for the
// engine's next turn.
func (r *Run) Next(t *Turn) (s Step, more bool) {
	switch r.Rollout.Status {
	case Creating:
		return r.fill(t)
	case Ready:
		if at := r.Rollout.StartAt; at != nil && !at.After(r.Now) {
			r.Rollout.Status, r.Rollout.StartedBy = Starting, caller.System
			r.touch(caller.System)
		}
	case Starting:
		return r.schedule(t)
	case Running:
		return r.judge(t)
	case Stopping, Deleting:
		return Step{Work: DropScheduled, Limit: r.size(t, DropScheduled)}, true
	case Paused, Stopped, Finished, Deleted, WaitingForApproval, ApprovalDenied:
	}
	return Step{}, false
}

// Chooses reports whether the rollout is in a state in which a step chooses
// targets.
func (r *Run) Chooses() bool {
	return r.Rollout.Status == Creating || r.Rollout.Status == Running && r.Rollout.Dynamic
}

// Judges reports whether Next looks at thresholds, which it does once in a turn and
// when no group is being started.
func (r *Run) Judges(t *Turn) bool {
	return r.Rollout.Status == Running && !t.Judged && !slices.ContainsFunc(r.Groups, func(g Group) bool { return g.Starting })
}

// Done takes the outcome of a step. It may ask for another one in the same
// transaction.
func (r *Run) Done(s Step, o Outcome, t *Turn) (next Step, more bool) {
	switch s.Work {
	case Fill:
		r.filled(s.Group, o)
		return Step{}, true
	case Schedule:
		s.Group.Cursor = o.Cursor
		if !o.More {
			s.Group.Status, s.Group.Cursor = GroupScheduled, 0
			s.Group.ModifiedBy, s.Group.ModifiedAt = r.Rollout.StartedBy, r.Now
		}
		return Step{}, true
	case Launch:
		return Step{}, r.launched(s.Group, o)
	case Grow:
		return Step{}, r.grown(s.Group, o, t)
	case DropScheduled:
		return r.dropped(o, t)
	case CancelActive, QuitActive:
		if o.More {
			return Step{}, true
		}
		r.end()
	case DropMembers:
		if o.More {
			return Step{}, true
		}
		return Step{Work: Remove}, false
	case NoWork, Remove:
	}
	return Step{}, false
}

func (r *Run) touch(by string) { r.Rollout.ModifiedBy, r.Rollout.ModifiedAt = by, r.Now }

func (r *Run) touchGroup(g *Group, by string) { g.ModifiedBy, g.ModifiedAt = by, r.Now }

// fill goes on with the groups that are not filled.
func (r *Run) fill(t *Turn) (Step, bool) {
	for i := range r.Groups {
		g := &r.Groups[i]
		switch {
		case g.Status != GroupCreating:
		case g.Dynamic || g.Total >= g.Planned:
			r.full(i)
		default:
			return Step{Fill, g, min(r.size(t, Fill), g.Planned-g.Total)}, true
		}
	}
	r.created()
	return Step{}, false
}

func (r *Run) filled(g *Group, o Outcome) {
	g.Total += o.N
	g.Cursor = o.Cursor
	if !o.More || g.Total >= g.Planned {
		for i := range r.Groups {
			if r.Groups[i].ID == g.ID {
				r.full(i)
			}
		}
	}
}

// full makes a group ready. Groups take targets in the order of their ids: a
// following group of the same filter need not look at those before.
func (r *Run) full(i int) {
	g := &r.Groups[i]
	g.Status, g.Planned = GroupReady, max(g.Planned, g.Total)
	if !g.Dynamic {
		g.Planned = g.Total
	}
	if i+1 < len(r.Groups) && r.Groups[i+1].Filter == g.Filter {
		r.Groups[i+1].Cursor = g.Cursor
	}
	g.Cursor = 0
	r.touchGroup(g, caller.System)
}

// created ends the creation.
func (r *Run) created() {
	r.Rollout.Total = 0
	for i := range r.Groups {
		r.Rollout.Total += r.Groups[i].Total
	}
	if r.Rollout.Dynamic && !r.Groups[len(r.Groups)-1].Dynamic {
		r.appendGroup(GroupReady)
	}
	r.Rollout.Status = Ready
	if r.Approval && !r.Rollout.NeedsNoApproval {
		r.Rollout.Status = WaitingForApproval
	}
	r.touch(caller.System)
}

// appendGroup adds an empty dynamic group, like the last one.
func (r *Run) appendGroup(s GroupStatus) {
	last := r.Groups[len(r.Groups)-1]
	size := r.Rollout.GroupSize
	switch {
	case size > 0:
	case last.Dynamic:
		size = last.Planned
	default:
		size = last.Total
	}
	size = max(size, 1)
	r.Groups = append(r.Groups, dynamicGroup(&r.Rollout, len(r.Groups)+1, last, size, s, r.Now))
	r.Rollout.GroupCount = len(r.Groups)
}

// dynamicGroup is the group of that number, with the conditions of another.
func dynamicGroup(r *Rollout, number int, like Group, size int64, s GroupStatus, now time.Time) Group {
	name := "group-" + strconv.Itoa(number) + r.GroupSuffix
	like.ID, like.Name, like.Description, like.Status, like.Starting = 0, name, &name, s, false
	like.Dynamic, like.Percentage, like.Planned, like.Total, like.Cursor = true, float32(size), size, 0, 0
	like.Stamps = caller.Stamps{CreatedBy: r.CreatedBy, CreatedAt: now, ModifiedBy: r.CreatedBy, ModifiedAt: now}
	return like
}

// schedule goes on with making actions, and begins the first group after that.
func (r *Run) schedule(t *Turn) (Step, bool) {
	for i := range r.Groups {
		g := &r.Groups[i]
		switch {
		case g.Status != GroupReady:
		case g.Dynamic:
			g.Status = GroupScheduled
			r.touchGroup(g, r.Rollout.StartedBy)
		default:
			return Step{Schedule, g, r.size(t, Schedule)}, true
		}
	}
	first := &r.Groups[0]
	first.Starting = true
	return Step{Launch, first, r.size(t, Launch)}, true
}

func (r *Run) launched(g *Group, o Outcome) (more bool) {
	g.Cursor = o.Cursor
	if o.More {
		return true
	}
	if g.Status == GroupScheduled {
		g.Status = GroupRunning
		if r.Rollout.Status == Starting {
			r.touchGroup(g, caller.System)
		}
	}
	g.Starting = false
	if r.Rollout.Status == Starting {
		r.Rollout.Status = Running
		r.touch(caller.System)
		return false
	}
	return true // there may be more groups to start
}

// judge is a turn of a running rollout (update-domain 2.11).
func (r *Run) judge(t *Turn) (Step, bool) {
	for i := range r.Groups {
		if g := &r.Groups[i]; g.Starting {
			return Step{Launch, g, r.size(t, Launch)}, true
		}
	}
	if t.Judged {
		return Step{}, false
	}
	t.Judged, t.Remark = true, ""
	if last := &r.Groups[len(r.Groups)-1]; r.Rollout.Dynamic && !t.Full && last.Status != GroupError {
		switch {
		case last.Total < last.Planned && last.Status != GroupFinished:
			return Step{Grow, last, min(r.size(t, Grow), last.Planned-last.Total)}, true
		case r.MaxGroups > 0 && len(r.Groups) >= r.MaxGroups:
			t.Remark = fmt.Sprintf("The rollout has %d groups, which is the maximum: targets that come to match now do not take part.", len(r.Groups))
		default:
			r.appendGroup(GroupScheduled)
			r.touch(caller.System)
			return Step{}, false
		}
	}
	return r.thresholds(t)
}

// thresholds looks at the groups that run.
func (r *Run) thresholds(t *Turn) (Step, bool) {
	var running []int
	for i := range r.Groups {
		if r.Groups[i].Status == GroupRunning {
			running = append(running, i)
		}
	}
	if len(running) == 0 {
		r.startNext()
	}
	failed := false
	for n, i := range running {
		failed = r.judgeGroup(i, n == len(running)-1) || failed
	}
	switch left := r.left(); {
	case !left:
		r.Rollout.Status = Finished
		r.touch(caller.System)
	case failed:
		r.Rollout.Status = Paused
		r.touch(r.Rollout.CreatedBy)
	case r.Rollout.Status == Paused:
		r.touch(r.Rollout.CreatedBy)
	}
	if r.Rollout.Status != Running {
		return Step{}, false
	}
	for i := range r.Groups {
		if g := &r.Groups[i]; g.Starting {
			return Step{Launch, g, r.size(t, Launch)}, true
		}
	}
	return Step{}, false
}

// judgeGroup looks at one group, and reports whether its error condition holds.
func (r *Run) judgeGroup(i int, last bool) (failed bool) {
	g, typ := &r.Groups[i], r.Rollout.Type
	tally := r.Tallies[g.ID]
	total := tally.Total()
	if total != g.Total { // targets are gone
		r.Rollout.Total += total - g.Total
		g.Total = total
		r.touchGroup(g, r.Rollout.CreatedBy)
		r.touch(r.Rollout.CreatedBy)
	}
	of := total
	if last && g.Dynamic {
		of = max(g.Planned, 1)
	}
	if g.failed(tally, of) {
		g.Status = GroupError
		r.touchGroup(g, r.Rollout.CreatedBy)
		return true
	}
	grows := g.Dynamic && i == len(r.Groups)-1
	complete := g.complete(tally, typ) && !grows
	if complete || g.reached(tally, of, typ) {
		r.succeed(i)
	}
	if complete {
		g.Status = GroupFinished
		r.touchGroup(g, caller.System)
	}
	return false
}

// succeed carries out the success action of a group, which does nothing once
// its child was started.
func (r *Run) succeed(i int) {
	if i+1 >= len(r.Groups) {
		return
	}
	child := &r.Groups[i+1]
	if child.Status != GroupScheduled || child.Starting {
		return
	}
	if r.Groups[i].SuccessAction == PauseAfterSuccess {
		r.Rollout.Status = Paused
		return
	}
	child.Starting = true
}

// left reports whether a group runs or is to run.
func (r *Run) left() bool {
	for i := range r.Groups {
		if s := r.Groups[i].Status; s == GroupRunning || s == GroupScheduled {
			return true
		}
	}
	return false
}

// newest is the place of the group that was started last, or -1.
func (r *Run) newest() int {
	for i := len(r.Groups) - 1; i >= 0; i-- {
		if g := &r.Groups[i]; g.Status == GroupRunning || g.Status == GroupFinished || g.Status == GroupError || g.Starting {
			return i
		}
	}
	return -1
}

// startNext begins the group after the newest one, if one is left.
func (r *Run) startNext() bool {
	for i := r.newest() + 1; i < len(r.Groups); i++ {
		if g := &r.Groups[i]; g.Status == GroupScheduled {
			g.Starting = true
			return true
		}
	}
	return false
}

// Resume lets a paused rollout go on (update-domain 2.9): with the next group if
// what it was paused for is the end of the one before.
func (r *Run) Resume() error {
	if r.Rollout.Status != Paused {
		return illegal("Rollout %d can be resumed while it is paused; it is %s.", r.Rollout.ID, r.Rollout.Status)
	}
	r.Rollout.Status = Running
	i := r.newest()
	if i < 0 {
		return nil
	}
	g := &r.Groups[i]
	tally := r.Tallies[g.ID]
	over := g.SuccessAction == PauseAfterSuccess &&
		(g.Status == GroupFinished || g.complete(tally, r.Rollout.Type) || g.reached(tally, tally.Total(), r.Rollout.Type))
	if g.Status == GroupError || over {
		r.startNext()
	}
	return nil
}

// TriggerNext starts the next group, whatever the thresholds say.
func (r *Run) TriggerNext() error {
	if r.Rollout.Status != Running {
		return illegal("The next group of rollout %d can be started while the rollout is running; it is %s.", r.Rollout.ID, r.Rollout.Status)
	}
	if !r.startNext() {
		return illegal("Rollout %d has no group left to start.", r.Rollout.ID)
	}
	return nil
}

func (r *Run) grown(g *Group, o Outcome, t *Turn) (more bool) {
	if o.N == 0 { // now for the thresholds
		t.Full = true
		_, more = r.thresholds(t)
		return more
	}
	g.Total += o.N
	r.Rollout.Total += o.N
	r.touch(caller.System)
	g.Starting = g.Status == GroupRunning
	return g.Starting
}

// dropped goes on with stopping or deleting once nothing is scheduled any more.
func (r *Run) dropped(o Outcome, t *Turn) (Step, bool) {
	if o.More {
		return Step{}, true
	}
	if r.Rollout.Status == Deleting && !r.HasActions {
		return Step{Work: DropMembers, Limit: r.size(t, DropMembers)}, true
	}
	for i := range r.Groups {
		if g := &r.Groups[i]; g.open() {
			g.Status = GroupFinished
			r.touchGroup(g, caller.System)
		}
		r.Groups[i].Starting = false
	}
	if r.Rollout.Status == Deleting {
		return Step{Work: QuitActive, Limit: r.size(t, QuitActive)}, true
	}
	return Step{Work: CancelActive, Limit: r.size(t, CancelActive)}, true
}

func (r *Run) end() {
	if r.Rollout.Status == Deleting {
		r.Rollout.Status, r.Rollout.Deleted = Deleted, true
	} else {
		r.Rollout.Status = Stopped
	}
	r.touch(caller.System)
}
