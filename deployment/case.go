package deployment

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/software"
)

// Holding is what a target has and should have; what closing an action changes.
type Holding struct {
	Status            fleet.Status
	Assigned          software.SetID // 0: none
	Installed         software.SetID // 0: none
	InstalledAt       time.Time      // zero: never
	RequestAttributes bool
}

// A Case is one action together with what its target holds. Its methods are
// the state machine: each takes what happened, changes Action and Holding, and
// adds what the history gets to New. A method that returns an error changed
// nothing.
type Case struct {
	Action  Action
	Holding Holding

	// NextActive is the set of the target's active action with the lowest id
	// other than this one; 0 when there is none. Ending a cancellation reads it.
	NextActive software.SetID

	// NewestEntry is the status of the newest entry of the history. Fetch reads it.
	NewestEntry Status

	// New are the entries to add, oldest first.
	New []Entry

	Limits Limits
}

// Limits bound an action's history (device-apis A.16). Zero or less means no limit.
type Limits struct {
	Entries  int // per action
	Messages int // per entry
}

// ServerPrefix begins the messages that a device shall not see in its history.
const ServerPrefix = "Update Server: "

// maxMessage is the longest message kept in one piece, in characters.
const maxMessage = 512

// Execution is what a device says it does, on the wire and here.
type Execution int

// The executions (device-apis A.6).
const (
	ExecClosed Execution = iota
	ExecProceeding
	ExecCanceled
	ExecScheduled
	ExecRejected
	ExecResumed
	ExecDownloaded
	ExecDownload
)

// Outcome is how an execution ended. It matters for ExecClosed alone, where
// OutcomeNone counts as success.
type Outcome int

// The outcomes.
const (
	OutcomeNone Outcome = iota
	OutcomeSuccess
	OutcomeFailure
)

// Report is what a device says about an action.
type Report struct {
	Execution Execution
	Outcome   Outcome
	Code      *int
	Details   []string
	At        time.Time // by the device's clock; zero when it did not say
}

// Report takes a device's report on its deployment (device-apis A.6). Only a
// closing report, or the downloaded of a download-only action, moves the
// action; everything else is history. A closed action takes nothing more, so
// that a device that repeats itself learns to stop.
func (c *Case) Report(r Report, now time.Time) error {
	if c.Action.Status == WaitForConfirmation && c.Action.Active {
		return fault.New(fault.NotThere, "The action waits for the device's consent.")
	}
	if !c.Action.Active {
		return fault.New(fault.Gone, "The action is closed.")
	}
	status, closes := Running, false
	switch r.Execution {
	case ExecClosed:
		status, closes = Finished, true
		if r.Outcome == OutcomeFailure {
			status = Error
		}
	case ExecDownloaded:
		status = Downloaded
	case ExecDownload:
		status = Download
	case ExecRejected:
		status = Warning
	case ExecCanceled:
		status = Canceled // history only: a device confirms a cancellation at cancelAction
	case ExecProceeding, ExecScheduled, ExecResumed:
	}
	messages := details(r.Details)
	if r.Code != nil {
		messages = append(messages, codeText(*r.Code))
	}
	if len(messages) == 0 {
		messages = []string{ServerPrefix + reportText(r)}
	}
	if err := c.enter(status, r.At, now, r.Code, messages, !closes); err != nil {
		return err
	}
	c.setCode(r.Code)
	switch {
	case status == Error:
		c.close(Error)
		c.Holding.Status = fleet.StatusError
		c.Holding.Assigned = 0
	case closes:
		c.finish(r.At, now)
	case status == Downloaded && c.Action.Type == DownloadOnly:
		c.close(Downloaded)
		c.Holding.Status = fleet.StatusInSync
		c.Holding.RequestAttributes = true
	}
	return nil
}

// finish closes the action as finished (update-domain 2.3). The device's clock
// decides: a report older than the last installation leaves what is installed
// untouched.
func (c *Case) finish(at, now time.Time) {
	if at.IsZero() {
		at = now
	}
	c.close(Finished)
	if c.Holding.InstalledAt.IsZero() || c.Holding.InstalledAt.Before(at) {
		c.Holding.Installed, c.Holding.InstalledAt = c.Action.Set, at
		if c.Action.Type == DownloadOnly {
			c.Holding.Assigned = c.Action.Set
		}
		if c.Holding.Assigned == c.Holding.Installed {
			c.Holding.Status = fleet.StatusInSync
		}
	}
	c.Holding.RequestAttributes = true
}

// Canceling reports whether the action is being, or was, canceled.
func (a *Action) Canceling() bool { return a.Status == Canceling || a.Status == Canceled }

// ReportCancel takes a device's report on a cancellation (device-apis A.7).
func (c *Case) ReportCancel(r Report, now time.Time) error {
	if !c.Action.Canceling() {
		return fault.New(fault.NotCancelable, "The action is not being canceled, so there is no cancellation to report on.")
	}
	status, messages, final := Running, []string(nil), true
	switch {
	case r.Execution == ExecClosed && r.Outcome == OutcomeFailure:
		status, messages = Error, []string{ServerPrefix + "The device could not cancel the update."}
	case r.Execution == ExecClosed:
		status, messages = Canceled, []string{ServerPrefix + "The device confirmed the cancellation."}
	case r.Execution == ExecRejected:
		status, messages = CancelRejected, []string{ServerPrefix + "The device refused the cancellation."}
	case r.Execution == ExecCanceled:
		status, messages, final = Warning, []string{ServerPrefix + "A cancellation cannot be canceled."}, false
	default:
		final = false
	}
	messages = append(messages, details(r.Details)...)
	if r.Code != nil {
		messages = append(messages, codeText(*r.Code))
	}
	if status == Canceled {
		messages = append(messages, ServerPrefix+"The cancellation is complete.")
	}
	if err := c.enter(status, r.At, now, r.Code, messages, !final); err != nil {
		return err
	}
	if !c.Action.Active { // closed before: the report is kept, and moves nothing any more
		return nil
	}
	switch status {
	case Canceled:
		c.canceled()
	case Error, CancelRejected:
		c.Action.Status = Running
		if c.Action.ConsentAwaited {
			c.Action.Status = WaitForConfirmation
		}
		c.Action.ConsentAwaited = false
		c.Action.Revision++
	default:
	}
	return nil
}

// canceled closes the action as canceled and puts the target back to what is
// left for it (update-domain 2.5, "after cancel").
func (c *Case) canceled() {
	c.close(Canceled)
	if c.NextActive != 0 {
		c.Holding.Assigned = c.NextActive
		return
	}
	c.Holding.Assigned = c.Holding.Installed
	c.Holding.Status = fleet.StatusInSync
}

// Fetch notes that the device read its deployment document. It is offered in
// every state but these: being canceled, and waiting for consent.
func (c *Case) Fetch(now time.Time) error {
	if c.Action.Canceling() || c.Action.Status == WaitForConfirmation {
		return fault.New(fault.NotThere, "The action offers no deployment in its state.")
	}
	if c.NewestEntry == Retrieved {
		return nil
	}
	c.note(Retrieved, now, ServerPrefix+"The device fetched the update.")
	// A closed action keeps its end; reading it again is history.
	if c.Action.Active && c.Action.Status != Retrieved {
		c.Action.Status = Retrieved
		c.Action.Revision++
	}
	return nil
}

// FetchCancel notes that the device read the cancellation.
func (c *Case) FetchCancel(now time.Time) error {
	if !c.Action.Canceling() {
		return fault.New(fault.NotThere, "The action is not being canceled.")
	}
	if c.NewestEntry != Retrieved {
		c.note(Retrieved, now, ServerPrefix+"The device fetched the cancellation.")
	}
	return nil
}

// NoteDownload notes that the device asked for a file, by the path it used.
func (c *Case) NoteDownload(path string, now time.Time) error {
	return c.enter(Download, time.Time{}, now, nil, []string{ServerPrefix + "The device downloads " + path}, true)
}

// Answer is what a device, or a user in its place, says to a request for
// consent.
type Answer struct {
	Confirmed bool
	Code      *int
	Details   []string
}

// Confirm takes the answer (device-apis A.8, update-domain 2.4). A denied
// action goes on waiting; denying one that runs takes the consent back, where
// the tenant asks for consent at all.
func (c *Case) Confirm(a Answer, flow bool, now time.Time) error {
	if !c.Action.Active {
		return fault.New(fault.Gone, "The action is closed.")
	}
	waiting := c.Action.Status == WaitForConfirmation
	if !waiting && (a.Confirmed || c.Action.Canceling() || !flow) {
		return fault.New(fault.NotThere, "The action does not wait for consent.")
	}
	status, text, next := WaitForConfirmation, "The device denied the update; it goes on waiting for consent.", WaitForConfirmation
	switch {
	case a.Confirmed:
		status, text, next = Running, "The device consented; the update goes on.", Running
	case !waiting:
		text = "The device took its consent back; the update waits for it again."
	}
	messages := append(details(a.Details), ServerPrefix+text)
	if a.Code != nil {
		messages = append(messages, codeText(*a.Code))
	}
	if err := c.enter(status, time.Time{}, now, a.Code, messages, true); err != nil {
		return err
	}
	c.Action.LastCode = a.Code
	c.Action.Status = next
	c.Action.Revision++
	return nil
}

// AutoConfirmed releases an action that waits, because its target now consents
// to everything. No quota holds it back.
func (c *Case) AutoConfirmed(ac fleet.AutoConfirm, now time.Time) {
	c.note(Running, now, AutoConfirmText(ac))
	c.Action.Status = Running
	c.Action.Revision++
}

// AutoConfirmText tells who consents in advance.
func AutoConfirmText(ac fleet.AutoConfirm) string {
	or := func(s string) string {
		if s == "" {
			return "n/a"
		}
		return s
	}
	return fmt.Sprintf("Assignment confirmed by auto-confirmation. Initiator: %s, activated by: %s, remark: %s", or(ac.Initiator), or(ac.ActivatedBy), or(ac.Remark))
}

// Cancel asks the device to give the action up. It stays active until the
// device answers; even one that the device never saw.
func (c *Case) Cancel(text string, now time.Time) error {
	if c.Action.Canceling() {
		return fault.New(fault.NotCancelable, "Action %d is being canceled, or was, already.", c.Action.ID)
	}
	if !c.Action.Active {
		return fault.New(fault.NotCancelable, "Action %d is not active, so there is nothing to cancel.", c.Action.ID)
	}
	c.note(Canceling, now, text)
	c.Action.ConsentAwaited = c.Action.Status == WaitForConfirmation
	c.Action.Status = Canceling
	c.Action.Revision++
	return nil
}

// ForceQuit ends an action whose cancellation the device does not answer. The
// device is not told.
func (c *Case) ForceQuit(text string, now time.Time) error {
	if !c.Action.Active {
		return fault.New(fault.NotForceQuitable, "Action %d is not active, so there is nothing to quit.", c.Action.ID)
	}
	if c.Action.Status != Canceling {
		return fault.New(fault.NotForceQuitable, "Action %d is not being canceled yet; cancel it first, then force quit.", c.Action.ID)
	}
	c.note(Canceled, now, text)
	c.canceled()
	return nil
}

// Force makes a soft, download-only or not yet due time-forced action forced.
// It may be called in every state and changes nothing when there is nothing to change.
func (c *Case) Force(now time.Time) {
	a := &c.Action
	if a.Type == Forced || a.Type == TimeForced && !a.ForcedAt.After(now) {
		return
	}
	a.Type = Forced
	a.Revision++
}

// close ends the action with the status.
func (c *Case) close(s Status) {
	c.Action.Status, c.Action.Active, c.Action.ConsentAwaited = s, false, false
	c.Action.Revision++
}

// setCode keeps the code of the newest report.
func (c *Case) setCode(code *int) {
	if (code == nil) != (c.Action.LastCode == nil) || code != nil && *code != *c.Action.LastCode {
		c.Action.LastCode = code
		c.Action.Revision++
	}
}

// note adds an entry of the server's, which no quota refuses.
func (c *Case) note(s Status, now time.Time, messages ...string) {
	c.New = append(c.New, Entry{Action: c.Action.ID, Status: s, OccurredAt: now, ReportedAt: now, Messages: messages})
	c.Action.Entries++
}

// enter adds an entry. bounded says whether the quota on entries holds: an
// action can be closed, canceled and refuse its cancellation however long its
// history is.
func (c *Case) enter(s Status, at, now time.Time, code *int, messages []string, bounded bool) error {
	if bounded && c.Limits.Entries > 0 && c.Action.Entries >= c.Limits.Entries {
		return fault.New(fault.Quota, "Quota exceeded: action %d has %d status entries, which is the maximum; only a closing report is taken now.", c.Action.ID, c.Limits.Entries)
	}
	// A final answer to a cancellation is exempt from the bound on messages, too.
	exempt := !bounded && (s == Canceled || s == CancelRejected || s == Error && c.Action.Canceling())
	if !exempt && c.Limits.Messages > 0 && len(messages) > c.Limits.Messages {
		return fault.New(fault.Quota, "Quota exceeded: a report may hold %d messages of %d characters, this one has %d.", c.Limits.Messages, maxMessage, len(messages))
	}
	if at.IsZero() {
		at = now
	}
	if messages == nil {
		messages = []string{}
	}
	c.New = append(c.New, Entry{Action: c.Action.ID, Status: s, OccurredAt: at, ReportedAt: now, Code: code, Messages: messages})
	c.Action.Entries++
	return nil
}

// details cuts what a device says into pieces that fit.
func details(list []string) []string {
	out := make([]string, 0, len(list)+1)
	for _, d := range list {
		for utf8.RuneCountInString(d) > maxMessage {
			cut := 0
			for range maxMessage {
				_, n := utf8.DecodeRuneInString(d[cut:])
				cut += n
			}
			out = append(out, d[:cut])
			d = d[cut:]
		}
		out = append(out, d)
	}
	return out
}

func codeText(code int) string { return fmt.Sprintf("Device reported status code: %d", code) }

func reportText(r Report) string {
	switch r.Execution {
	case ExecClosed:
		if r.Outcome == OutcomeFailure {
			return "The device reported that the update failed."
		}
		return "The device reported that the update is finished."
	case ExecProceeding:
		return "The device reported that it is at work."
	case ExecCanceled:
		return "The device reported a cancellation; it is confirmed at the cancelAction resource only."
	case ExecScheduled:
		return "The device reported that the update is scheduled."
	case ExecRejected:
		return "The device reported that it rejects the update."
	case ExecResumed:
		return "The device reported that it resumed the update."
	case ExecDownloaded:
		return "The device reported that the download is complete."
	case ExecDownload:
		return "The device reported that the download began."
	}
	return "The device reported."
}
