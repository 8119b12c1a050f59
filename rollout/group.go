package rollout

import (
	"strconv"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
)

// GroupStatus is the state of a deployment group. The numbers are stored.
type GroupStatus int

// The states of a group (update-domain 2.11).
const (
	GroupReady     GroupStatus = 0
	GroupScheduled GroupStatus = 1 // its actions are made, and wait
	GroupFinished  GroupStatus = 2
	GroupError     GroupStatus = 3
	GroupRunning   GroupStatus = 4
	GroupCreating  GroupStatus = 5 // it is being filled
)

// String returns the state as the management API spells it.
func (s GroupStatus) String() string {
	names := [...]string{"ready", "scheduled", "finished", "error", "running", "creating"}
	if s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// SuccessAction is what a group's success leads to. The numbers are stored.
type SuccessAction int

// The success actions.
const (
	NextGroup         SuccessAction = 0 // starts the next group
	PauseAfterSuccess SuccessAction = 1 // pauses the rollout, if a group is left to start
)

// Group is a deployment group: the part of a rollout's targets that start together.
type Group struct {
	ID          GroupID
	Rollout     ID
	Name        string
	Description *string
	Status      GroupStatus
	// Starting says that its scheduled actions are being started, one part after
	// the other.
	Starting bool

	SuccessThreshold string // percent, as it was given
	SuccessAction    SuccessAction
	SuccessActionExp *string // kept, without effect
	ErrorThreshold   *string // percent, as it was given; nil: never an error
	ErrorActionExp   *string // kept, without effect

	Filter     string  // narrows the rollout's; empty: it does not
	Percentage float32 // of the targets that match; of a dynamic group: how many targets it takes
	Planned    int64   // how many targets it is to have
	Total      int64   // how many it has
	Consent    bool    // its targets are asked for consent, while the tenant's flow is on
	Dynamic    bool
	// Cursor is the last target that the step under way looked at, and once all
	// actions are made the last one that was started.
	Cursor int64
	caller.Stamps
}

// Launched is the id of the last action that was started: later ones of the group
// are scheduled or gone, and those before are not scheduled any more.
func (g *Group) Launched() int64 {
	if g.Status == GroupCreating || g.Status == GroupReady {
		return 0
	}
	return g.Cursor
}

// open reports whether the group may still change by itself.
func (g *Group) open() bool { return g.Status != GroupFinished && g.Status != GroupError }

// A Tally counts actions by their status.
type Tally [12]int64

// Total is how many actions were counted.
func (t Tally) Total() (n int64) {
	for _, c := range t {
		n += c
	}
	return n
}

// succeeded are the actions that count as success.
func (t Tally) succeeded(typ deployment.Type) int64 {
	if typ == deployment.DownloadOnly {
		return t[deployment.Downloaded] + t[deployment.Finished]
	}
	return t[deployment.Finished]
}

// ended are the actions that nothing more will come of.
func (t Tally) ended(typ deployment.Type) int64 {
	n := t[deployment.Error] + t[deployment.Finished] + t[deployment.Canceled]
	if typ == deployment.DownloadOnly {
		n += t[deployment.Downloaded]
	}
	return n
}

// threshold reads a percentage: an integer with an optional sign. Anything else
// is accepted at creation, too, and is never reached.
func threshold(text string) (percent float32, ok bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return float32(n), err == nil
}

// failed reports whether the group's error condition holds: more than so many
// percent failed. Percentages compare as fractions in single precision
// (update-domain 2.11).
func (g *Group) failed(t Tally, of int64) bool {
	if g.ErrorThreshold == nil || of == 0 {
		return false
	}
	percent, ok := threshold(*g.ErrorThreshold)
	return ok && float32(t[deployment.Error])/float32(of) > percent/100
}

// reached reports whether so many percent succeeded.
func (g *Group) reached(t Tally, of int64, typ deployment.Type) bool {
	if of == 0 {
		return true
	}
	percent, ok := threshold(g.SuccessThreshold)
	return ok && float32(t.succeeded(typ))/float32(of) >= percent/100
}

// complete reports whether nothing more will come of the group's actions.
func (g *Group) complete(t Tally, typ deployment.Type) bool { return t.ended(typ) == t.Total() }

// Progress says how a rollout's or a group's targets are doing, in the terms of
// update-domain 4.8.
type Progress struct {
	NotStarted, Scheduled, Running, Finished, Error, Cancelled int64
}

// ProgressOf reads a tally of the actions for so many targets.
func ProgressOf(total int64, t Tally, typ deployment.Type) Progress {
	p := Progress{
		NotStarted: max(total-t.Total(), 0),
		Scheduled:  t[deployment.Scheduled],
		Running: t[deployment.Running] + t[deployment.Retrieved] + t[deployment.Warning] + t[deployment.Download] +
			t[deployment.WaitForConfirmation] + t[deployment.Canceling] + t[deployment.CancelRejected],
		Finished:  t[deployment.Finished],
		Error:     t[deployment.Error],
		Cancelled: t[deployment.Canceled],
	}
	if typ == deployment.DownloadOnly {
		p.Finished += t[deployment.Downloaded]
	} else {
		p.Running += t[deployment.Downloaded]
	}
	return p
}
