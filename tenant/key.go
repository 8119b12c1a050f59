package tenant

import (
	"slices"
	"strings"
)

// A Key names a setting of a tenant (spec management-api 4.2). Case counts.
type Key string

// The settings. KeyAnonymousDownload is ours (spec device-apis B.6); the others
// are the contract's.
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
	KeyDefaultSetType    Key = "default.ds.type" // kept with the tenant, not as an override
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
	Default string // as stored; a server may have another one, see Rules
	Secret  bool   // shown only to holders of READ_GATEWAY_SECURITY_TOKEN, never in messages
}

// Definitions lists every setting, in the order of the contract.
func Definitions() []Definition {
	return []Definition{
		{Key: KeyTargetToken, Type: Bool, Default: "false"},
		{Key: KeyGatewayToken, Type: Bool, Default: "false"},
		{Key: KeyGatewayTokenKey, Type: Text, Secret: true},
		{Key: KeyHeader, Type: Bool, Default: "false"},
		{Key: KeyHeaderAuthority, Type: Text},
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
		{Key: KeyDefaultSetType, Type: Long, Default: "0"},
		{Key: KeyAnonymousDownload, Type: Bool, Default: "false"},
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

// nearest returns the key that somebody who wrote another one most likely
// meant; false when none is near.
func nearest(k Key) (Key, bool) {
	if len(k) > 2*len(KeyAutoClose) {
		return "", false
	}
	word := strings.ToLower(string(k))
	best, found := max(2, len(word)/4)+1, Key("")
	for _, d := range Definitions() {
		if n := distance(word, strings.ToLower(string(d.Key))); n < best {
			best, found = n, d.Key
		}
	}
	return found, found != ""
}

// distance counts the letters to insert, remove or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
