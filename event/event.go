// Package event says what happened. Every change of state records its event in
// the transaction that makes it, so that what readers see is what was
// committed, no more and no less. A reader may see an event twice, never not
// at all.
//
// Feed lets many follow what happens, each from where it left off.
package event

import "github.com/otaria/otaria/tenant"

// Kind names what happened, as "entity.verb". Readers of the stream see it
// (docs/events.md): a kind keeps its text and its meaning.
type Kind string

// The kinds of event. What happened to many at once may be one event that counts
// them.
const (
	SettingsChanged Kind = "settings.changed"
	AccountChanged  Kind = "account.changed"

	TargetCreated     Kind = "target.created"
	TargetChanged     Kind = "target.updated"
	TargetDeleted     Kind = "target.deleted"
	TargetAttributes  Kind = "target.attributes.updated"
	TargetTypeCreated Kind = "targettype.created"
	TargetTypeChanged Kind = "targettype.updated"
	TargetTypeDeleted Kind = "targettype.deleted"
	TargetTagCreated  Kind = "targettag.created"
	TargetTagChanged  Kind = "targettag.updated"
	TargetTagDeleted  Kind = "targettag.deleted"

	ActionAssigned Kind = "action.assigned"
	ActionChanged  Kind = "action.updated"
	ActionDeleted  Kind = "action.deleted"
	ActionDownload Kind = "action.download" // a file is being downloaded: its entry in the history, and the bytes since the last such event
)

// Kinds of software.
const (
	ModuleCreated     Kind = "softwaremodule.created"
	ModuleChanged     Kind = "softwaremodule.updated"
	ModuleDeleted     Kind = "softwaremodule.deleted"
	ModuleTypeCreated Kind = "softwaremoduletype.created"
	ModuleTypeChanged Kind = "softwaremoduletype.updated"
	ModuleTypeDeleted Kind = "softwaremoduletype.deleted"
	ArtifactCreated   Kind = "artifact.created"
	ArtifactDeleted   Kind = "artifact.deleted"
	SetCreated        Kind = "distributionset.created"
	SetChanged        Kind = "distributionset.updated"
	SetDeleted        Kind = "distributionset.deleted"
	SetTypeCreated    Kind = "distributionsettype.created"
	SetTypeChanged    Kind = "distributionsettype.updated"
	SetTypeDeleted    Kind = "distributionsettype.deleted"
	SetTagCreated     Kind = "distributionsettag.created"
	SetTagChanged     Kind = "distributionsettag.updated"
	SetTagDeleted     Kind = "distributionsettag.deleted"
)

// Kinds of what brings sets to many targets.
const (
	RolloutCreated      Kind = "rollout.created"
	RolloutChanged      Kind = "rollout.updated"
	RolloutDeleted      Kind = "rollout.deleted"
	RolloutGroupChanged Kind = "rolloutgroup.updated"
	ActionsScheduled    Kind = "rollout.actions.scheduled" // so many actions of a rollout were made, which wait for their group
	ActionsDropped      Kind = "rollout.actions.dropped"   // so many actions of a rollout were removed that had not begun

	AutoAssignmentCreated Kind = "autoassignment.created"
	AutoAssignmentChanged Kind = "autoassignment.updated"
	AutoAssignmentDeleted Kind = "autoassignment.deleted"
	TargetFilterCreated   Kind = "targetfilter.created"
	TargetFilterChanged   Kind = "targetfilter.updated"
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
	At      int64  // milliseconds; 0: when it is written
}
