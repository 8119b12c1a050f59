package tenant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key names a setting of a tenant (management-api 4.2).
type Key string

// The settings.
const (
	KeyTargetToken       Key = "authentication.targettoken.enabled"
	KeyGatewayToken      Key = "authentication.gatewaytoken.enabled"
	KeyGatewayTokenKey   Key = "authentication.gatewaytoken.key"
	KeyHeader            Key = "authentication.header.enabled"
	KeyHeaderAuthority   Key = "authentication.header.authority"
	KeyAnonymousDownload Key = "anonymous.download.enabled"
	KeyPollingTime       Key = "pollingTime"
	KeyPollingOverdue    Key = "pollingOverdueTime"
	KeyWindowPollCount   Key = "maintenanceWindowPollCount"
	KeyRolloutApproval   Key = "rollout.approval.enabled"
	KeyAutoApproval      Key = "auto.assignment.approval.enabled"
	KeyAutoClose         Key = "repository.actions.autoclose.enabled"
	KeyConfirmationFlow  Key = "user.confirmation.flow.enabled"
	KeyImplicitLock      Key = "implicit.lock.enabled"
	KeyBatchAssignments  Key = "batch.assignments.enabled"
	KeyCleanupExpiry     Key = "action.cleanup.auto.expiry"
	KeyCleanupStatus     Key = "action.cleanup.auto.status"
	KeyOnQuotaHit        Key = "action.cleanup.onQuotaHit.percent"
	KeyDeletable         Key = "action.delete.allowed.statuses"
	KeyDefaultSetType    Key = "default.ds.type"
)

// Type is what a setting's value is on the wire.
type Type int

// The types of settings.
const (
	Text Type = iota
	Bool
	Int  // 32 bits
	Long // 64 bits
)

// A Definition says what a key takes.
type Definition struct {
	Key     Key
	Type    Type
	Default string // as stored
	Secret  bool   // readable only with READ_GATEWAY_SECURITY_TOKEN
}

// Definitions lists every setting that is kept as an override;
// default.ds.type, which is kept with the tenant, is not among them.
func Definitions() []Definition {
	return []Definition{
		{Key: KeyTargetToken, Type: Bool, Default: "false"},
		{Key: KeyGatewayToken, Type: Bool, Default: "false"},
		{Key: KeyGatewayTokenKey, Type: Text, Secret: true},
		{Key: KeyHeader, Type: Bool, Default: "false"},
		{Key: KeyHeaderAuthority, Type: Text},
		{Key: KeyAnonymousDownload, Type: Bool, Default: "false"},
		{Key: KeyPollingTime, Type: Text, Default: "00:05:00"},
		{Key: KeyPollingOverdue, Type: Text, Default: "00:05:00"},
		{Key: KeyWindowPollCount, Type: Int, Default: "3"},
		{Key: KeyRolloutApproval, Type: Bool, Default: "false"},
		{Key: KeyAutoApproval, Type: Bool, Default: "false"},
		{Key: KeyAutoClose, Type: Bool, Default: "false"},
		{Key: KeyConfirmationFlow, Type: Bool, Default: "false"},
		{Key: KeyImplicitLock, Type: Bool, Default: "true"},
		{Key: KeyBatchAssignments, Type: Bool, Default: "false"},
		{Key: KeyCleanupExpiry, Type: Long, Default: "-1"},
		{Key: KeyCleanupStatus, Type: Text, Default: "CANCELED,ERROR"},
		{Key: KeyOnQuotaHit, Type: Int, Default: "0"},
		{Key: KeyDeletable, Type: Text, Default: "CANCELED,ERROR,FINISHED"},
	}
}

// Define returns the definition of a key.
func Define(k Key) (Definition, bool) {
	list := Definitions()
	i := slices.IndexFunc(list, func(d Definition) bool { return d.Key == k })
	if i < 0 {
		return Definition{}, false
	}
	return list[i], true
}

// Settings are the settings in force for one tenant. They are never changed.
type Settings struct {
	TargetTokenEnabled  bool
	GatewayTokenEnabled bool
	GatewayKey          string
	HeaderEnabled       bool
	Authorities         []string // lower case, none empty (device-apis B.2)
	AnonymousDownload   bool
	Polling             Polling
	OverdueAfter        time.Duration
	WindowPollCount     int
	RolloutApproval     bool
	AutoAssignApproval  bool
	AutoClose           bool
	ConfirmationFlow    bool
	ImplicitLock        bool
	BatchAssignments    bool
	CleanupExpiry       time.Duration // negative: off
	CleanupStatuses     []string      // upper case
	OnQuotaHitPercent   int
	DeletableStatuses   []string // upper case
	DefaultSetType      int64
}

// NewSettings reads the stored overrides. One that cannot be read, perhaps
// written by another version, leaves its default in force and is reported.
func NewSettings(r Record) (*Settings, []error) {
	values := map[Key]string{}
	for _, d := range Definitions() {
		values[d.Key] = d.Default
	}
	for _, o := range r.Overrides {
		values[o.Key] = o.Value
	}
	var problems []error
	value := func(k Key, read func(string) error) {
		if err := read(values[k]); err != nil {
			problems = append(problems, fmt.Errorf("setting %s: %w", k, err))
			d, _ := Define(k)
			_ = read(d.Default) // defaults are readable: a test says so
		}
	}
	boolean := func(k Key) (b bool) {
		value(k, func(s string) (err error) { b, err = strconv.ParseBool(s); return err })
		return b
	}
	number := func(k Key) (n int64) {
		value(k, func(s string) (err error) { n, err = strconv.ParseInt(s, 10, 64); return err })
		return n
	}
	s := &Settings{
		TargetTokenEnabled:  boolean(KeyTargetToken),
		GatewayTokenEnabled: boolean(KeyGatewayToken),
		GatewayKey:          values[KeyGatewayTokenKey],
		HeaderEnabled:       boolean(KeyHeader),
		Authorities:         list(strings.ToLower(values[KeyHeaderAuthority]), ";,"),
		AnonymousDownload:   boolean(KeyAnonymousDownload),
		WindowPollCount:     int(max(1, min(number(KeyWindowPollCount), 1<<20))),
		RolloutApproval:     boolean(KeyRolloutApproval),
		AutoAssignApproval:  boolean(KeyAutoApproval),
		AutoClose:           boolean(KeyAutoClose),
		ConfirmationFlow:    boolean(KeyConfirmationFlow),
		ImplicitLock:        boolean(KeyImplicitLock),
		BatchAssignments:    boolean(KeyBatchAssignments),
		CleanupExpiry:       time.Duration(number(KeyCleanupExpiry)) * time.Millisecond,
		CleanupStatuses:     list(strings.ToUpper(values[KeyCleanupStatus]), ","),
		OnQuotaHitPercent:   int(number(KeyOnQuotaHit)),
		DeletableStatuses:   list(strings.ToUpper(values[KeyDeletable]), ","),
		DefaultSetType:      r.DefaultSetType,
	}
	value(KeyPollingTime, func(t string) (err error) { s.Polling, err = ParsePolling(t); return err })
	value(KeyPollingOverdue, func(t string) (err error) { s.OverdueAfter, err = ParseDuration(t); return err })
	return s, problems
}

// list splits a text at any of the separators, without blanks and empty parts.
func list(text, separators string) []string {
	var out []string
	for _, p := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// Quotas bound what a tenant may have (management-api 4.3). Zero or less means
// no limit.
type Quotas struct {
	EntriesPerAction    int
	MessagesPerEntry    int
	AttributesPerTarget int
	MetadataPerEntity   int
	ModulesPerSet       int
	ModuleTypesPerType  int
	SetTypesPerType     int
	ArtifactsPerModule  int
	ArtifactSize        int64 // bytes
	ArtifactStorage     int64 // bytes per tenant
	ActionsPerTarget    int
	TargetsPerRequest   int
}

// DefaultQuotas are those of the contract.
func DefaultQuotas() Quotas {
	return Quotas{
		EntriesPerAction: 1000, MessagesPerEntry: 50, AttributesPerTarget: 100, MetadataPerEntity: 100,
		ModulesPerSet: 100, ModuleTypesPerType: 50, SetTypesPerType: 50, ArtifactsPerModule: 50,
		ArtifactSize: 1 << 30, ArtifactStorage: 20 << 30, ActionsPerTarget: 2000, TargetsPerRequest: 5000,
	}
}
