package ddi

import (
	"net/http"
	"testing"

	"github.com/otaria/otaria/fault"
)

// TestReplies: a kind of fault that a device can meet has a face; the others
// are faults of ours, or those of operators alone.
func TestReplies(t *testing.T) {
	t.Parallel()
	operators := map[fault.Kind]bool{}
	for _, k := range []fault.Kind{
		fault.Internal, fault.Rejected, fault.SortSyntax, fault.SortField, fault.SortDirection, fault.QuerySyntax, fault.QueryField,
		fault.ConfigKey, fault.ConfigValue, fault.MaintenanceWindow, fault.HashMD5, fault.HashSHA1, fault.HashSHA256, fault.UploadMalformed,
		fault.EncryptionMissing, fault.KeyOrNameMissing, fault.Locked, fault.ReadOnly, fault.InUse, fault.ModuleUnsuited, fault.ModuleNotInType,
		fault.NotForceQuitable, fault.NotDeletable, fault.ConflictingOrders, fault.AutoAssignType, fault.AutoAssignState, fault.RolloutState,
		fault.QuotaFileSize, fault.QuotaStorage, fault.TenantUnknown,
	} {
		operators[k] = true
	}
	all := replies()
	for _, k := range fault.Kinds() {
		r, ok := all[k]
		if ok == operators[k] {
			t.Errorf("kind %d: has a reply: %v, is met by operators alone: %v", k, ok, operators[k])
		}
		if ok && (http.StatusText(r.status) == "" || (r.code == "") != (r.class == "")) {
			t.Errorf("kind %d: reply %+v", k, r)
		}
	}
}
