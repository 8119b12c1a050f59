// Package fleet knows the targets: what they are, how they are grouped, what
// they said of themselves, when they were last seen. It does not know actions;
// what a target is told to do is deployment's.
package fleet

import (
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/software"
)

type (
	// TargetID is the key of a target, unique over all tenants.
	TargetID int64
	// ControllerID is the name a device gives itself, unique within its tenant;
	// it never changes, and case matters.
	ControllerID string
	// TargetTypeID is the key of a target type.
	TargetTypeID int64
	// TagID is the key of a target tag.
	TagID int64
)

// Status says how a target stands to what is assigned to it (update-domain
// 2.7). The numbers are stored.
type Status int

// The states of a target.
const (
	StatusUnknown    Status = 0 // created by a user, never seen
	StatusInSync     Status = 1 // what is assigned is installed
	StatusPending    Status = 2 // something is assigned and not finished
	StatusError      Status = 3 // the last action failed
	StatusRegistered Status = 4 // seen, nothing assigned yet
)

// String returns the status as the management API spells it.
func (s Status) String() string {
	switch s {
	case StatusUnknown:
		return "unknown"
	case StatusInSync:
		return "in_sync"
	case StatusPending:
		return "pending"
	case StatusError:
		return "error"
	case StatusRegistered:
		return "registered"
	}
	return "unknown"
}

// Target is one device under management.
type Target struct {
	ID                TargetID
	ControllerID      ControllerID
	Name              string
	Description       *string
	Token             string // the target's secret; shown only to holders of READ_TARGET_SECURITY_TOKEN
	Address           *string
	Group             *string // levels are separated by "/"
	Status            Status
	Type              TargetTypeID // 0: none, so that it takes any set
	TypeName          string       // of Type, when read
	AssignedSet       software.SetID
	InstalledSet      software.SetID
	InstalledAt       time.Time // zero: never
	RequestAttributes bool      // the device shall send its attributes
	SeenAt            time.Time // zero: never; may lag by the second that check-ins are gathered for
	AutoConfirm       *AutoConfirm
	Poll              *PollStatus // nil: never seen; only the service fills it in
	caller.Stamps
}

// PollStatus says how a target's polls stand (update-domain 5.5).
type PollStatus struct {
	Last    time.Time
	Next    time.Time // when it will have polled again, by the interval that holds for it
	Overdue bool      // Next is longer past than the tenant lets devices off
}

// AutoConfirm says that a target consents to every update (update-domain 2.4).
type AutoConfirm struct {
	Initiator   string
	Remark      string
	ActivatedBy string
	ActivatedAt time.Time
}

// Limits of a target's texts, in characters (management-api 1.12).
const (
	MaxControllerID = 256
	MaxName         = 128
	MaxDescription  = 512
	MaxToken        = 128
	MaxAddress      = 512
	MaxGroup        = 256
)
