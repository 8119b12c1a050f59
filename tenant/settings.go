package tenant

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Settings are the settings in force for one tenant. They are never changed; a
// change makes new ones.
type Settings struct {
	TargetTokenEnabled  bool
	GatewayTokenEnabled bool
	GatewayKey          string // empty: matches nothing
	HeaderEnabled       bool
	Authorities         []string // lower case, none empty (spec device-apis B.2)
	AnonymousDownload   bool
	Polling             Polling
	OverdueAfter        time.Duration // zero or more
	WindowPollCount     int           // may be zero or less, see deployment.Window
	RolloutApproval     bool
	AutoAssignApproval  bool
	AutoClose           bool
	ConfirmationFlow    bool
	ImplicitLock        bool
	BatchAssignments    bool
	CleanupExpiry       time.Duration // negative: off
	CleanupStatuses     []string      // upper case; may have unknown names
	OnQuotaHitPercent   int           // acts from 1 to 99; may be any number
	DeletableStatuses   []string      // upper case; may have unknown names
	DefaultSetType      int64

	// Values has the same by key, in the form that clients see.
	Values map[Key]Value
}

// NewSettings is Rules.Settings with the zero Rules.
func NewSettings(r Record) (*Settings, []error) { return Rules{}.Settings(r) }

// Settings makes a tenant's settings of its stored overrides. One that cannot
// be read, written by another version perhaps, leaves the default in force and
// is reported.
func (r Rules) Settings(record Record) (*Settings, []error) {
	stored := make(map[Key]string, len(record.Overrides))
	var problems []error
	for _, o := range record.Overrides {
		if _, ok := Define(o.Key); !ok || o.Key == KeyDefaultSetType {
			problems = append(problems, fmt.Errorf("stored setting %q: nothing reads this key", o.Key))
			continue
		}
		stored[o.Key] = o.Value
	}
	values := make(map[Key]Value)
	for _, d := range Definitions() {
		v, err := r.valueOf(d, stored)
		if err != nil {
			problems = append(problems, fmt.Errorf("stored setting %q: %w", d.Key, err))
		}
		values[d.Key] = v
	}
	setType := record.DefaultSetType
	values[KeyDefaultSetType] = Value{fmt.Sprint(setType), setType}

	enabled := func(k Key) bool { b, _ := values[k].Shown.(bool); return b }
	number := func(k Key) int64 { n, _ := values[k].Shown.(int64); return n }
	text := func(k Key) string { return values[k].Text }
	// Both were read before; what is not readable did not become a value.
	polling, _ := ParsePolling(text(KeyPollingTime))
	overdue, _ := ParseDuration(text(KeyPollingOverdue))
	return &Settings{
		TargetTokenEnabled:  enabled(KeyTargetToken),
		GatewayTokenEnabled: enabled(KeyGatewayToken),
		GatewayKey:          text(KeyGatewayTokenKey),
		HeaderEnabled:       enabled(KeyHeader),
		Authorities:         split(strings.ToLower(text(KeyHeaderAuthority)), ";,"),
		AnonymousDownload:   enabled(KeyAnonymousDownload),
		Polling:             polling,
		OverdueAfter:        overdue,
		WindowPollCount:     int(number(KeyWindowPollCount)),
		RolloutApproval:     enabled(KeyRolloutApproval),
		AutoAssignApproval:  enabled(KeyAutoApproval),
		AutoClose:           enabled(KeyAutoClose),
		ConfirmationFlow:    enabled(KeyConfirmationFlow),
		ImplicitLock:        enabled(KeyImplicitLock),
		BatchAssignments:    enabled(KeyBatchAssignments),
		CleanupExpiry:       milliseconds(number(KeyCleanupExpiry)),
		CleanupStatuses:     split(strings.ToUpper(text(KeyCleanupStatus)), ","),
		OnQuotaHitPercent:   int(number(KeyOnQuotaHit)),
		DeletableStatuses:   split(strings.ToUpper(text(KeyDeletable)), ","),
		DefaultSetType:      setType,
		Values:              values,
	}, problems
}

// valueOf reads what is stored, else the server's default, else that of the
// definition. The error tells what could not be read on the way.
func (r Rules) valueOf(d Definition, stored map[Key]string) (Value, error) {
	var problem error
	for _, from := range []map[Key]string{stored, r.Defaults} {
		text, ok := from[d.Key]
		if !ok {
			continue
		}
		v, err := r.read(d, text)
		if err == nil {
			return v, problem
		}
		if problem == nil {
			problem = err
		}
	}
	v, err := Rules{}.read(d, d.Default)
	if problem == nil {
		problem = err
	}
	return v, problem
}

// OverdueSince returns the time whose earlier polls make a device overdue, as
// ${OVERDUE_TS} in queries means it: by the base interval, whatever the
// overrides (spec management-api 3.3).
func (s *Settings) OverdueSince(now time.Time) time.Time {
	return now.Add(-s.Polling.Base.Longest()).Add(-s.OverdueAfter)
}

// split parts a text at any of the separators, without blanks and empty parts.
func split(text, separators string) []string {
	var parts []string
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// milliseconds makes a duration, the longest there is for more than it can hold.
func milliseconds(n int64) time.Duration {
	switch {
	case n < 0:
		return -1
	case n > math.MaxInt64/int64(time.Millisecond):
		return math.MaxInt64
	default:
		return time.Duration(n) * time.Millisecond
	}
}
