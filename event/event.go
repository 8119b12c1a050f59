// Package event says what happened. Every change of state records its event in
// the transaction that makes it, so that what readers see is what was
// committed, no more and no less. A reader may see an event twice, never not
// at all.
package event

import "github.com/otaria/otaria/tenant"

// Kind names what happened, as "entity.verb".
type Kind string

// The kinds of event.
const (
	SettingsChanged   Kind = "tenant.settings"
	TargetCreated     Kind = "target.created"
	TargetChanged     Kind = "target.changed"
	TargetDeleted     Kind = "target.deleted"
	TargetAttributes  Kind = "target.attributes"
	TargetTypeChanged Kind = "targettype.changed"
	TargetTagChanged  Kind = "targettag.changed"
	ActionAssigned    Kind = "action.assigned"
	ActionChanged     Kind = "action.changed"
	ActionDeleted     Kind = "action.deleted"
	ActionDownload    Kind = "action.download"  // a file is being downloaded: its entry in the history, and the bytes since the last such event
	SoftwareChanged   Kind = "software.changed" // a set, a module or an artifact
	AccountChanged    Kind = "account.changed"

	RolloutCreated      Kind = "rollout.created"
	RolloutChanged      Kind = "rollout.changed"
	RolloutDeleted      Kind = "rollout.deleted"
	RolloutGroupChanged Kind = "rolloutgroup.changed"
	ActionsScheduled    Kind = "rollout.scheduled" // so many actions of a rollout were made, which wait for their group
	ActionsDropped      Kind = "rollout.dropped"   // so many actions of a rollout were removed that had not begun
)

// More kinds, of what brings sets to targets by itself.
const (
	AutoAssignmentCreated Kind = "autoassignment.created"
	AutoAssignmentChanged Kind = "autoassignment.changed"
	AutoAssignmentDeleted Kind = "autoassignment.deleted"
	TargetFilterCreated   Kind = "targetfilter.created"
	TargetFilterChanged   Kind = "targetfilter.changed"
	TargetFilterDeleted   Kind = "targetfilter.deleted"
)

// Reach says whose next poll may be answered otherwise because of an event: a
// target's id, or one of the two constants.
type Reach int64

const (
	AnyTarget Reach = 0  // any target of the tenant
	NoTarget  Reach = -1 // none
)

// Event is one thing that happened.
type Event struct {
	ID      int64 // set when read; grows
	Tenant  tenant.ID
	Kind    Kind
	Subject int64 // id of what it happened to
	Reach   Reach
	Data    string // JSON object, or empty
	At      int64  // milliseconds
}
