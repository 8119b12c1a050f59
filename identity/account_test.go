package identity_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
)

type world struct {
	identity.Service
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: testdb.SQLite(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{now: time.UnixMilli(1_700_000_000_000)}
	w.Service = identity.Service{Store: store.Accounts{DB: db}, DefaultTenant: "DEFAULT", Now: func() time.Time { return w.now }}
	tenants := store.Tenants{DB: db}
	if err := tenants.EnsureTenant(t.Context(), "DEFAULT", w.now); err != nil {
		t.Fatal(err)
	}
	r, err := tenants.TenantByName(t.Context(), "DEFAULT")
	if err != nil {
		t.Fatal(err)
	}
	generated, created, err := w.EnsureAdmin(t.Context(), r.ID, "admin", "secret")
	if err != nil || generated != "" || !created {
		t.Fatalf("got %q, %v, %v", generated, created, err)
	}
	if _, created, err := w.EnsureAdmin(t.Context(), r.ID, "second", ""); err != nil || created {
		t.Fatalf("a second administrator was made up (%v)", err)
	}
	return w
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, login := range []string{"admin", `DEFAULT\admin`, `default\admin`, "DEFAULT%5Cadmin"} {
		for range 2 { // checked, then remembered
			p, err := w.Authenticate(t.Context(), login, "secret")
			if err != nil {
				t.Fatalf("%s: %v", login, err)
			}
			if p.User != "admin" || p.TenantName != "DEFAULT" || !cmp.Equal(p.Authorities, []string{identity.RoleTenantAdmin}) || !p.Permissions[identity.ApproveRollout] {
				t.Errorf("%s: got %+v", login, p)
			}
		}
	}
	for _, wrong := range [][2]string{{"admin", "Secret"}, {"admin", ""}, {"Admin", "secret"}, {"nobody", "secret"}, {`OTHER\admin`, "secret"}, {"", ""}} {
		if _, err := w.Authenticate(t.Context(), wrong[0], wrong[1]); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

// down is a store that fails when asked.
type down struct{ identity.Store }

func (down) Account(context.Context, string, string) (*identity.Account, error) {
	return nil, fault.New(fault.Unavailable, "down")
}

func TestARememberedProofEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Authenticate(t.Context(), "admin", "secret"); err != nil {
		t.Fatal(err)
	}
	w.Store = down{w.Store}
	if _, err := w.Authenticate(t.Context(), "admin", "secret"); err != nil {
		t.Errorf("a proof of a moment ago was not remembered: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), "admin", "other"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("another password: %v", err)
	}
	w.Forget()
	if _, err := w.Authenticate(t.Context(), "admin", "secret"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after Forget: %v", err)
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	hash := identity.HashPassword("p")
	if hash == identity.HashPassword("p") {
		t.Error("two hashes of one password are equal: there is no salt")
	}
	for password, want := range map[string]bool{"p": true, "P": false, "": false} {
		if got, err := identity.CheckPassword(hash, password); err != nil || got != want {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	for _, damaged := range []string{"", "plain", "$argon2id$v=19$m=0,t=0,p=0$AA$AA", "$argon2id$v=19$m=19456,t=2,p=1$!$!", "$argon2id$v=19$m=99999999,t=2,p=1$AA$AA"} {
		if ok, err := identity.CheckPassword(damaged, "p"); ok || err == nil {
			t.Errorf("%q: %v, %v", damaged, ok, err)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	for granted, want := range map[string][]identity.Permission{
		"READ_TARGET":                  {identity.ReadTarget, identity.ReadTargetType, identity.ReadAutoAssignment},
		"UPDATE_TARGETS":               {identity.UpdateTarget, identity.CreateAutoAssignment, identity.ReadTargetType},
		"READ_REPOSITORY":              {identity.ReadSoftwareModule, identity.ReadDistributionSet, identity.ReadDistributionSetType},
		"DOWNLOAD_REPOSITORY_ARTIFACT": {identity.ReadArtifact},
		"ROLLOUT_MANAGEMENT":           {identity.CreateRollout, identity.HandleRollout, identity.ApproveRollout},
		"TENANT_CONFIGURATION":         {identity.UpdateConfiguration, identity.ReadGatewaySecurityToken},
		identity.RoleTenantAdmin:       {identity.DeleteTarget, identity.ReadTargetSecurityToken, identity.ReadArtifact, identity.UpdateConfiguration},
	} {
		if m := identity.Expand([]string{granted}).Missing(want...); m != "" {
			t.Errorf("%s does not grant %s", granted, m)
		}
	}
	for granted, denied := range map[string]identity.Permission{
		"UPDATE_TARGET": identity.ReadTarget, "READ_TARGET": identity.ReadTargetSecurityToken, "READ_SOFTWARE_MODULE": identity.ReadArtifact,
		identity.RoleRepositoryAdmin: identity.ReadTarget, "CREATE_ROLLOUT": identity.HandleRollout, "": identity.ReadTarget,
	} {
		if identity.Expand([]string{granted})[denied] {
			t.Errorf("%s grants %s", granted, denied)
		}
	}
}
