// Package rollout knows campaigns: rollouts, which bring a distribution set to
// many targets group by group, and auto-assignments, which bring it to every
// target that comes to match a filter. Its rules are plain methods on plain
// values (update-domain 2.9 to 2.12 and 4); the Engine carries them out in steps
// that are bounded, survive a crash between any two of them, and may be taken by
// any process.
package rollout

import (
	"context"
	"strings"
	"time"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/software"
)

type (
	// ID is the key of a rollout, unique over all tenants.
	ID int64
	// GroupID is the key of a deployment group, unique over all tenants. The
	// groups of a rollout follow each other in the order of their ids.
	GroupID int64
)

// Status is the state of a rollout. The numbers are stored.
type Status int

// The states (update-domain 2.9). The engine works on Creating, Ready, Starting,
// Running, Deleting and Stopping.
const (
	Creating           Status = 0 // its groups are being filled
	Ready              Status = 1
	Paused             Status = 2
	Starting           Status = 3 // its actions are being made
	Stopped            Status = 4
	Running            Status = 5
	Finished           Status = 6
	Deleting           Status = 7
	Deleted            Status = 8 // kept for its history; its name stays taken
	WaitingForApproval Status = 9
	ApprovalDenied     Status = 10
	Stopping           Status = 11
)

// StatusNames are the states as the management API spells them, by number.
func StatusNames() []string {
	return []string{
		"creating", "ready", "paused", "starting", "stopped", "running", "finished",
		"deleting", "deleted", "waiting_for_approval", "approval_denied", "stopping",
	}
}

// String returns the state as the management API spells it.
func (s Status) String() string {
	if n := StatusNames(); s >= 0 && int(s) < len(n) {
		return n[s]
	}
	return "unknown"
}

// Rollout is a campaign that brings one distribution set to many targets.
type Rollout struct {
	ID          ID
	Name        string
	Description *string
	Filter      string // which targets take part
	RetryOf     ID     // 0, or the rollout whose failed targets take part; Filter then only says so
	Set         software.SetID
	SetName     string // when read, as the next
	SetVersion  string
	Status      Status
	Type        deployment.Type
	ForcedAt    time.Time // of TimeForced; zero: at once
	Weight      int
	StartAt     *time.Time // starts by itself then; nil: when a user says so
	Dynamic     bool       // grows groups for targets that come to match
	GroupSuffix string     // of the names of dynamic groups
	GroupSize   int64      // of dynamic groups; 0: as the last static group

	ApprovalBy     *string
	ApprovalRemark *string
	// NeedsNoApproval says that who made the rollout may approve it.
	NeedsNoApproval bool

	StartedBy  string
	Total      int64 // targets that take part
	GroupCount int
	Waiting    string // why the next step fails, for people; empty when it does not
	Deleted    bool
	caller.Stamps
}

// MaxRemark is the longest remark on an approval, in characters.
const MaxRemark = 255

func illegal(format string, args ...any) error { return fault.New(fault.RolloutState, format, args...) }

// ended reports whether the rollout is deleted, or about to be.
func (r *Rollout) ended() bool { return r.Status == Deleting || r.Status == Deleted }

// describe renames or describes the rollout. What changes nothing leaves no trace.
func (r *Rollout) describe(ctx context.Context, name, description *string, now time.Time) error {
	if r.ended() {
		return fault.New(fault.ReadOnly, "Rollout %d is deleted and cannot be changed.", r.ID)
	}
	changed := false
	if name != nil && r.Name != freetext.Trim(*name) {
		r.Name, changed = freetext.Trim(*name), true
	}
	if description != nil {
		if text := freetext.Trim(*description); r.Description == nil || *r.Description != text {
			r.Description, changed = &text, true
		}
	}
	if changed {
		r.Touch(ctx, now)
	}
	return nil
}

// Start begins the rollout; the engine does the rest.
func (r *Rollout) Start(by string) error {
	if r.Status != Ready {
		return illegal("Rollout %d can be started when it is ready; it is %s.", r.ID, r.Status)
	}
	r.Status, r.StartedBy = Starting, by
	return nil
}

// Pause keeps groups from being started and judged; what runs goes on.
func (r *Rollout) Pause() error {
	if r.Status != Running {
		return illegal("Rollout %d can be paused while it is running; it is %s.", r.ID, r.Status)
	}
	r.Status = Paused
	return nil
}

// Approve lets the rollout go on. Nobody asks whether somebody else made it.
func (r *Rollout) Approve(by string, remark *string) error { return r.decide(Ready, by, remark) }

// Deny ends the rollout before it began.
func (r *Rollout) Deny(by string, remark *string) error { return r.decide(ApprovalDenied, by, remark) }

func (r *Rollout) decide(to Status, by string, remark *string) error {
	if r.Status != WaitingForApproval {
		return illegal("Rollout %d is not waiting for approval; it is %s.", r.ID, r.Status)
	}
	r.Status, r.ApprovalBy, r.ApprovalRemark = to, &by, remark
	return nil
}

// stoppable are the states that a rollout can be stopped in.
func stoppable() []Status {
	return []Status{Creating, Ready, WaitingForApproval, Starting, Running, Paused, ApprovalDenied}
}

// Stoppable reports whether the rollout can be stopped.
func (r *Rollout) Stoppable() bool {
	for _, s := range stoppable() {
		if r.Status == s {
			return true
		}
	}
	return false
}

// Stop asks the devices to give up what they have not finished; what was not
// started never is.
func (r *Rollout) Stop() error {
	if !r.Stoppable() {
		var names []string
		for _, s := range stoppable() {
			names = append(names, s.String())
		}
		return illegal("Rollout %d can be stopped while it is one of %s; it is %s.", r.ID, strings.Join(names, ", "), r.Status)
	}
	r.Status = Stopping
	return nil
}

// Delete ends the rollout without asking the devices. Doing so again is no error.
func (r *Rollout) Delete() { r.Status = Deleting }
