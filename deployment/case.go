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

	// NewestEntry is the status of the newest entry of the history, or NoEntry.
	// Fetch reads it; adding an entry moves it.
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

// NoEntry is the NewestEntry of an action without history.
const NoEntry Status = -1

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
	held := boundAll
	if closes {
		held = boundMessages
	}
	if err := c.enter(status, r.At, now, r.Code, messages, held); err != nil {
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
	status, messages, held := Running, []string(nil), boundNone
	switch {
	case r.Execution == ExecClosed && r.Outcome == OutcomeFailure:
		status, messages = Error, []string{ServerPrefix + "The device could not cancel the update."}
	case r.Execution == ExecClosed:
		status, messages = Canceled, []string{ServerPrefix + "The device confirmed the cancellation."}
	case r.Execution == ExecRejected:
		status, messages = CancelRejected, []string{ServerPrefix + "The device refused the cancellation."}
	case r.Execution == ExecCanceled:
		status, messages, held = Warning, []string{ServerPrefix + "A cancellation cannot be canceled; report it as closed or rejected."}, boundAll
	default:
		held = boundAll
	}
	if !c.Action.Active { // it is closed already: nothing depends on one more report
		held = boundAll
	}
	messages = append(messages, details(r.Details)...)
	if r.Code != nil {
		messages = append(messages, codeText(*r.Code))
	}
	if status == Canceled {
		messages = append(messages, ServerPrefix+"The cancellation is complete.")
	}
	if err := c.enter(status, r.At, now, r.Code, messages, held); err != nil {
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
	return c.enter(Download, time.Time{}, now, nil, []string{ServerPrefix + "The device downloads " + path}, boundAll)
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
	if err := c.enter(status, time.Time{}, now, a.Code, messages, boundAll); err != nil {
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
// device answers; even one that the device never saw. The text tells why.
func (c *Case) Cancel(text string, now time.Time) error {
	if c.Action.Canceling() {
		return fault.New(fault.NotCancelable, "Action %d is being canceled, or was, already.", c.Action.ID)
	}
	if !c.Action.Active {
		return fault.New(fault.NotCancelable, "Action %d is not active, so there is nothing to cancel.", c.Action.ID)
	}
	c.startCancel(ServerPrefix+text, now)
	return nil
}

func (c *Case) startCancel(message string, now time.Time) {
	c.note(Canceling, now, message)
	c.Action.ConsentAwaited = c.Action.Status == WaitForConfirmation
	c.Action.Status = Canceling
	c.Action.Revision++
}

// Lapse starts the cancellation of an action whose maintenance windows have
// all passed (update-domain 2.5), and reports whether it did. It is asked
// whenever the device comes for its action; an action without a window, or one
// that is closed or being canceled, never lapses.
func (c *Case) Lapse(now time.Time) bool {
	a := &c.Action
	if !a.Active || a.Canceling() || !a.Window.Over(now) {
		return false
	}
	c.startCancel("The last maintenance window has passed; the update is canceled.", now)
	return true
}

// ForceQuit ends an action whose cancellation the device does not answer. The
// device is not told. The text tells why.
func (c *Case) ForceQuit(text string, now time.Time) error {
	if !c.Action.Active {
		return fault.New(fault.NotForceQuitable, "Action %d is not active, so there is nothing to quit.", c.Action.ID)
	}
	if c.Action.Status != Canceling {
		return fault.New(fault.NotForceQuitable, "Action %d is not being canceled yet; cancel it first, then force quit.", c.Action.ID)
	}
	c.note(Canceled, now, ServerPrefix+text)
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
	c.add(Entry{Status: s, OccurredAt: now, ReportedAt: now, Messages: messages})
}

// bounds say which of the limits an entry is held to. An action can be closed,
// canceled, and refuse its cancellation, however long its history is.
type bounds int

const (
	boundAll      bounds = iota
	boundMessages        // a closing report
	boundNone            // the final word on a cancellation
)

// enter adds an entry for what somebody reported.
func (c *Case) enter(s Status, at, now time.Time, code *int, messages []string, b bounds) error {
	if b == boundAll && c.Limits.Entries > 0 && c.Action.Entries >= c.Limits.Entries {
		return fault.New(fault.Quota, "Quota exceeded: action %d has %d entries in its history, which is the maximum; only a closing report is taken now.", c.Action.ID, c.Action.Entries)
	}
	if b != boundNone && c.Limits.Messages > 0 && len(messages) > c.Limits.Messages {
		return fault.New(fault.Quota, "Quota exceeded: a report may hold %d messages of %d characters, the server's own included; this one has %d.", c.Limits.Messages, maxMessage, len(messages))
	}
	if at.IsZero() {
		at = now
	}
	c.add(Entry{Status: s, OccurredAt: at, ReportedAt: now, Code: code, Messages: messages})
	return nil
}

func (c *Case) add(e Entry) {
	e.Action = c.Action.ID
	c.New = append(c.New, e)
	c.Action.Entries++
	c.NewestEntry = e.Status
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
