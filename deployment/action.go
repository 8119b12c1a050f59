// Package deployment knows actions: what one target was told to do, and what
// it answered. Its rules are plain methods on plain values; the state machine
// is drawn in docs/state-machines.md and specified in update-domain 2.
package deployment

import (
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
)

// ActionID is the key of an action, unique over all tenants. Devices hold it.
type ActionID int64

// Status is the state of an action, or what one entry of its history reports.
// The numbers are stored.
type Status int

// The statuses (update-domain 1.7). Warning, Download and CancelRejected are
// only ever entries of the history.
const (
	Finished            Status = 0
	Error               Status = 1
	Warning             Status = 2
	Running             Status = 3
	Canceled            Status = 4
	Canceling           Status = 5
	Retrieved           Status = 6
	Download            Status = 7
	Scheduled           Status = 8
	CancelRejected      Status = 9
	Downloaded          Status = 10
	WaitForConfirmation Status = 11
)

// names are the statuses as the management API spells them, by number.
func names() [12]string {
	return [...]string{"finished", "error", "warning", "running", "canceled", "canceling", "retrieved", "download", "scheduled", "cancel_rejected", "downloaded", "wait_for_confirmation"}
}

// String returns the status as the management API spells it.
func (s Status) String() string {
	if n := names(); s >= 0 && int(s) < len(n) {
		return n[s]
	}
	return "unknown"
}

// Type says how urgently the device shall act. The numbers are stored.
type Type int

// The types of action (management-api 1.16).
const (
	Forced       Type = 0
	Soft         Type = 1
	TimeForced   Type = 2 // soft until ForcedAt
	DownloadOnly Type = 3
)

// DefaultWeight is the weight of an action for which none is given.
const DefaultWeight = 1000

// Action is what one target was told to do.
type Action struct {
	ID           ActionID
	Target       fleet.TargetID
	ControllerID fleet.ControllerID
	Set          software.SetID
	Status       Status
	Active       bool // the device still has something to do
	Type         Type
	ForcedAt     time.Time // of TimeForced; zero: at once
	Weight       int       // the heaviest active action of a target is offered first
	Window       Window    // zero: none
	LastCode     *int      // of the newest report
	ExternalRef  *string

	// ConsentAwaited remembers, while Canceling, that the action waited for
	// consent, so that a refused cancellation does not skip it.
	ConsentAwaited bool

	// Revision grows with every change that a device may hear of; the change
	// token in poll links is made of it.
	Revision int64

	// Entries counts the history's entries, for the quota.
	Entries int

	Rollout      int64 // 0: none
	RolloutGroup int64
	RolloutName  string // when read for people, as the next three
	TargetName   string
	SetName      string
	SetVersion   string
	InitiatedBy  string
	caller.Stamps
}

// Entry is one row of an action's history.
type Entry struct {
	ID         int64
	Action     ActionID
	Status     Status
	OccurredAt time.Time // what the device says, else ReportedAt
	ReportedAt time.Time
	Code       *int
	Messages   []string
}
