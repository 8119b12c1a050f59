package tenant_test

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// overrides makes a record of pairs of key and stored text.
func overrides(pairs ...string) tenant.Record {
	r := tenant.Record{DefaultSetType: 3}
	for i := 0; i < len(pairs); i += 2 {
		r.Overrides = append(r.Overrides, tenant.Override{Key: tenant.Key(pairs[i]), Value: pairs[i+1]})
	}
	return r
}

// plain leaves out the second form of the values.
func plain(s *tenant.Settings) tenant.Settings {
	fields := *s
	fields.Values = nil
	return fields
}

func TestSettingsByDefault(t *testing.T) {
	t.Parallel()
	s, problems := tenant.NewSettings(tenant.Record{DefaultSetType: 3})
	if len(problems) > 0 {
		t.Error(problems)
	}
	want := tenant.Settings{
		Polling:           tenant.Polling{Base: every(300, 0)},
		OverdueAfter:      5 * time.Minute,
		WindowPollCount:   3,
		ImplicitLock:      true,
		CleanupExpiry:     -1,
		CleanupStatuses:   []string{"CANCELED", "ERROR"},
		DeletableStatuses: []string{"CANCELED", "ERROR", "FINISHED"},
		DefaultSetType:    3,
	}
	if diff := cmp.Diff(want, plain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	shown := map[tenant.Key]any{}
	for k, v := range s.Values {
		shown[k] = v.Shown
	}
	// As the model server shows a fresh tenant, and anonymous download.
	fresh := map[tenant.Key]any{
		"authentication.targettoken.enabled":   false,
		"authentication.gatewaytoken.enabled":  false,
		"authentication.gatewaytoken.key":      "",
		"authentication.header.enabled":        false,
		"authentication.header.authority":      "",
		"pollingTime":                          "00:05:00",
		"pollingOverdueTime":                   "00:05:00",
		"maintenanceWindowPollCount":           int64(3),
		"rollout.approval.enabled":             false,
		"auto.assignment.approval.enabled":     false,
		"repository.actions.autoclose.enabled": false,
		"user.confirmation.flow.enabled":       false,
		"implicit.lock.enabled":                true,
		"batch.assignments.enabled":            false,
		"action.cleanup.auto.expiry":           int64(-1),
		"action.cleanup.auto.status":           "CANCELED,ERROR",
		"action.cleanup.onQuotaHit.percent":    int64(0),
		"action.delete.allowed.statuses":       "CANCELED,ERROR,FINISHED",
		"default.ds.type":                      int64(3),
		"anonymous.download.enabled":           false,
	}
	if diff := cmp.Diff(fresh, shown); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingsOfOverrides(t *testing.T) {
	t.Parallel()
	s, problems := rules().Settings(overrides(
		"authentication.targettoken.enabled", "true",
		"authentication.gatewaytoken.enabled", "true",
		"authentication.gatewaytoken.key", " padded ",
		"authentication.header.enabled", "true",
		"authentication.header.authority", ";HASH1, hash2;;\t2E:24 ,",
		"pollingTime", "PT10M~5%, group==x -> 60",
		"pollingOverdueTime", "P2D",
		"maintenanceWindowPollCount", "-1",
		"rollout.approval.enabled", "true",
		"auto.assignment.approval.enabled", "true",
		"repository.actions.autoclose.enabled", "true",
		"user.confirmation.flow.enabled", "true",
		"implicit.lock.enabled", "false",
		"batch.assignments.enabled", "true",
		"action.cleanup.auto.expiry", "86400000",
		"action.cleanup.auto.status", "canceled, ERROR",
		"action.cleanup.onQuotaHit.percent", "101",
		"action.delete.allowed.statuses", "FINISHED,,nonsense",
		"anonymous.download.enabled", "true",
	))
	if len(problems) > 0 {
		t.Error(problems)
	}
	want := tenant.Settings{
		TargetTokenEnabled:  true,
		GatewayTokenEnabled: true,
		GatewayKey:          " padded ",
		HeaderEnabled:       true,
		Authorities:         []string{"hash1", "hash2", "2e:24"},
		AnonymousDownload:   true,
		Polling: tenant.Polling{Base: every(600, 5), Overrides: []tenant.PollingOverride{
			{Query: "group==x", Interval: every(60, 0)},
		}},
		OverdueAfter:       48 * time.Hour,
		WindowPollCount:    -1,
		RolloutApproval:    true,
		AutoAssignApproval: true,
		AutoClose:          true,
		ConfirmationFlow:   true,
		BatchAssignments:   true,
		CleanupExpiry:      24 * time.Hour,
		CleanupStatuses:    []string{"CANCELED", "ERROR"},
		OnQuotaHitPercent:  101,
		DeletableStatuses:  []string{"FINISHED", "NONSENSE"},
		DefaultSetType:     3,
	}
	if diff := cmp.Diff(want, plain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Values[tenant.KeyPollingTime]; got.Shown != "PT10M~5%, group==x -> 60" {
		t.Errorf("the polling time is shown as %v, not as it was given", got)
	}
}

// TestSettingsSurviveWhatTheyCannotRead is for values of another version.
func TestSettingsSurviveWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	r := rules()
	r.Defaults = map[tenant.Key]string{tenant.KeyWindowPollCount: "7", tenant.KeyPollingOverdue: "not even this", tenant.KeyAutoClose: "true"}
	s, problems := r.Settings(overrides(
		"authentication.targettoken.enabled", "perhaps",
		"pollingTime", "300, nosuchfield==1 -> 60",
		"pollingOverdueTime", "soon",
		"maintenanceWindowPollCount", "99999999999",
		"multi.assignments.enabled", "true",
		"default.ds.type", "9",
	))
	want := tenant.Settings{
		Polling:           tenant.Polling{Base: every(300, 0)},
		OverdueAfter:      5 * time.Minute,
		WindowPollCount:   7,
		AutoClose:         true,
		ImplicitLock:      true,
		CleanupExpiry:     -1,
		CleanupStatuses:   []string{"CANCELED", "ERROR"},
		DeletableStatuses: []string{"CANCELED", "ERROR", "FINISHED"},
		DefaultSetType:    3,
	}
	if diff := cmp.Diff(want, plain(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var told []string
	for _, p := range problems {
		told = append(told, strings.Split(p.Error(), `"`)[1])
	}
	if diff := cmp.Diff([]string{
		"multi.assignments.enabled", "default.ds.type",
		"authentication.targettoken.enabled", "pollingTime", "pollingOverdueTime", "maintenanceWindowPollCount",
	}, told); diff != "" {
		t.Errorf("problems of (-want +got):\n%s", diff)
	}
}

func TestSettingsCleanupExpiry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		stored string
		want   time.Duration
	}{
		{"-9223372036854775808", -1},
		{"-1", -1},
		{"0", 0},
		{"1", time.Millisecond},
		{"9223372036854775807", math.MaxInt64},
	}
	for _, test := range tests {
		s, _ := tenant.NewSettings(overrides("action.cleanup.auto.expiry", test.stored))
		if s.CleanupExpiry != test.want {
			t.Errorf("%s is %v, want %v", test.stored, s.CleanupExpiry, test.want)
		}
	}
}

func TestExceeds(t *testing.T) {
	t.Parallel()
	q := tenant.DefaultQuotas()
	if tenant.Exceeds(q.EntriesPerAction, q.EntriesPerAction) || !tenant.Exceeds(q.ArtifactSize+1, q.ArtifactSize) || tenant.Exceeds(1, 0) || tenant.Exceeds(1, -1) {
		t.Error("a quota is reached at its number, and zero or less is none")
	}
}

// bench is a service on a real database, with one tenant and a caller of it.
type bench struct {
	*tenant.Service
	ctx context.Context
	id  tenant.ID
	now time.Time
}

func newBench(t *testing.T, at testdb.Database) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: at.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{now: time.UnixMilli(1_700_000_000_000)}
	keep := store.Tenants{DB: db}
	b.Service = &tenant.Service{
		Store: keep, Rules: rules(), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return b.now },
	}
	db.Listen(func([]event.Event) { b.Forget() })
	if err := keep.EnsureTenant(t.Context(), "DEFAULT", b.now); err != nil {
		t.Fatal(err)
	}
	b.id = b.tenant(t).ID
	b.ctx = caller.With(t.Context(), caller.Caller{Tenant: b.id, TenantName: "DEFAULT", User: "anna"})
	return b
}

func (b *bench) tenant(t *testing.T) *tenant.Tenant {
	t.Helper()
	x, err := b.ByName(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// shown returns the values of some settings.
func (b *bench) shown(t *testing.T, keys ...tenant.Key) []any {
	t.Helper()
	x := b.tenant(t)
	var values []any
	for _, k := range keys {
		s, err := x.Setting(k)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, s.Value)
	}
	return values
}

func TestPutAndReset(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		b := newBench(t, at)
		old := b.tenant(t).Settings.DefaultSetType
		some := []tenant.Key{tenant.KeyPollingTime, tenant.KeyPollingOverdue, tenant.KeyRolloutApproval, tenant.KeyWindowPollCount, tenant.KeyGatewayTokenKey, tenant.KeyCleanupExpiry, tenant.KeyDefaultSetType}
		initial := []any{"00:05:00", "00:05:00", false, int64(3), "", int64(-1), old}
		after := func(step string, want ...any) {
			t.Helper()
			if diff := cmp.Diff(want, b.shown(t, some...)); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", step, diff)
			}
		}
		good := func(step string, raw map[tenant.Key]any) {
			t.Helper()
			if err := b.Put(b.ctx, b.id, raw); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
		bad := func(step string, raw map[tenant.Key]any, kind fault.Kind) {
			t.Helper()
			if err := b.Put(b.ctx, b.id, raw); !fault.Is(err, kind) {
				t.Errorf("%s: %v", step, err)
			}
		}
		after("nothing", initial...)

		good("several", map[tenant.Key]any{
			tenant.KeyPollingTime: "00:02:00", tenant.KeyPollingOverdue: "00:04:00", tenant.KeyRolloutApproval: true,
			tenant.KeyWindowPollCount: float64(9), tenant.KeyGatewayTokenKey: "several",
		})
		after("several", "00:02:00", "00:04:00", true, int64(9), "several", int64(-1), old)
		good("several as texts", map[tenant.Key]any{tenant.KeyRolloutApproval: "false", tenant.KeyWindowPollCount: "4", tenant.KeyCleanupExpiry: "1000000000"})
		now := []any{"00:02:00", "00:04:00", false, int64(4), "several", int64(1000000000), old}
		after("several as texts", now...)

		bad("one bad", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", tenant.KeyWindowPollCount: "abc", tenant.KeyPollingOverdue: "00:07:00"}, fault.ConfigValue)
		bad("one unknown", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", "nonsense": 1.0}, fault.ConfigKey)
		bad("one null", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", tenant.KeyRolloutApproval: nil}, fault.ConfigValue)
		bad("as value objects", map[tenant.Key]any{tenant.KeyPollingTime: map[string]any{"value": "00:03:00"}}, fault.ConfigValue)
		bad("default type that is no number", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", tenant.KeyDefaultSetType: "abc"}, fault.ConfigValue)
		bad("unknown default type", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", tenant.KeyDefaultSetType: 99999999.0}, fault.NotFound)
		bad("default type 0", map[tenant.Key]any{tenant.KeyPollingTime: "00:03:00", tenant.KeyDefaultSetType: 0.0}, fault.NotFound)
		bad("default type -1", map[tenant.Key]any{tenant.KeyDefaultSetType: -1.0}, fault.NotFound)
		good("none", nil)
		good("default type null", map[tenant.Key]any{tenant.KeyDefaultSetType: nil})
		after("what was refused", now...)

		good("another default type", map[tenant.Key]any{tenant.KeyDefaultSetType: float64(old) - 1, tenant.KeyWindowPollCount: 3.0})
		after("another default type", "00:02:00", "00:04:00", false, int64(3), "several", int64(1000000000), old-1)
		good("the old default type", map[tenant.Key]any{tenant.KeyDefaultSetType: float64(old)})

		for _, k := range some[:6] {
			for range 2 { // resetting twice is no error
				if err := b.Reset(b.ctx, b.id, k); err != nil {
					t.Errorf("reset %s: %v", k, err)
				}
			}
		}
		after("reset", initial...)
		if err := b.Reset(b.ctx, b.id, "nonsense"); err != nil {
			t.Errorf("reset of an unknown key: %v", err)
		}
		err := b.Reset(b.ctx, b.id, tenant.KeyDefaultSetType)
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("reset of the default type: %v", err)
		}
	})
}

func TestSettingTellsWhoChangedIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.SQLite(t))
	put := func(user string, value any) {
		t.Helper()
		b.now = b.now.Add(time.Second)
		ctx := caller.With(t.Context(), caller.Caller{Tenant: b.id, User: user})
		if err := b.Put(ctx, b.id, map[tenant.Key]any{tenant.KeyAutoClose: value}); err != nil {
			t.Fatal(err)
		}
	}
	started := b.now
	put("anna", true)
	put("bert", false)
	s, err := b.tenant(t).Setting(tenant.KeyAutoClose)
	if err != nil {
		t.Fatal(err)
	}
	want := tenant.Setting{Key: tenant.KeyAutoClose, Value: false, Override: &tenant.Override{
		Key: tenant.KeyAutoClose, Value: "false",
		CreatedBy: "anna", CreatedAt: started.Add(time.Second), ModifiedBy: "bert", ModifiedAt: started.Add(2 * time.Second),
	}}
	if diff := cmp.Diff(want, s); diff != "" || s.Global() {
		t.Errorf("(-want +got):\n%s", diff)
	}

	global := map[tenant.Key]bool{}
	for _, s := range b.tenant(t).AllSettings() {
		global[s.Key] = s.Global()
	}
	if len(global) != 20 || global[tenant.KeyAutoClose] || global[tenant.KeyDefaultSetType] || !global[tenant.KeyPollingTime] {
		t.Errorf("global are %v", global)
	}
	if _, err := b.tenant(t).Setting("nonsense"); !fault.Is(err, fault.ConfigKey) {
		t.Errorf("an unknown setting: %v", err)
	}
}
