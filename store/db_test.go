package store_test

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the raw driver, to spoil a file

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

func start() time.Time { return time.UnixMilli(1_700_000_000_000) }

func TestOpenTwiceKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		db, err := store.Open(t.Context(), store.Options{URL: d.URL})
		if err != nil {
			t.Fatal(err)
		}
		if err := (store.Tenants{DB: db}).EnsureTenant(t.Context(), "T", start()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := (store.Tenants{DB: open(t, d)}).TenantByName(t.Context(), "T")
		if err != nil || r.Name != "T" || r.DefaultSetType == 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
	})
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	d := testdb.SQLite(t)
	if err := open(t, d).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{URL: d.URL})
	if err == nil || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer otaria") {
		t.Fatalf("got %v, want a refusal that names the version", err)
	}
}

// Many changes at once share commits on SQLite; each stands or falls alone.
func TestChangesAtOnceStandOrFallAlone(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		db := open(t, d)
		tenants, accounts := store.Tenants{DB: db}, store.Accounts{DB: db}
		if err := tenants.EnsureTenant(t.Context(), "T", start()); err != nil {
			t.Fatal(err)
		}
		r, err := tenants.TenantByName(t.Context(), "T")
		if err != nil {
			t.Fatal(err)
		}
		const n = 40
		results := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				// Each name is asked for twice: one of the two must be refused, alone.
				name := string(rune('a' + i/2))
				results[i] = accounts.CreateAccount(t.Context(), identity.Account{Tenant: r.ID, Name: name, PasswordHash: "x"}, start())
			})
		}
		wg.Wait()
		for i := 0; i < n; i += 2 {
			a, b := results[i], results[i+1]
			if (a == nil) == (b == nil) || !fault.Is(errors.Join(a, b), fault.Exists) {
				t.Errorf("name %d: %v and %v, want one success and one fault.Exists", i/2, a, b)
			}
			if _, err := accounts.Account(t.Context(), "T", string(rune('a'+i/2))); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestACancelledCallerChangesNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		db := open(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (store.Tenants{DB: db}).EnsureTenant(ctx, "T", start()); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if _, err := (store.Tenants{DB: db}).TenantByName(t.Context(), "T"); !fault.Is(err, fault.TenantUnknown) {
			t.Fatalf("got %v, want no tenant", err)
		}
	})
}

// Another process's changes arrive through Follow, its own ones do not come twice.
func TestFollowTellsWhatOtherProcessesDid(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	here, there := open(t, d), open(t, d)
	var heard []event.Kind
	since, err := here.Follow(t.Context(), store.Followed{})
	if err != nil {
		t.Fatal(err)
	}
	if err := (store.Tenants{DB: there}).EnsureTenant(t.Context(), "T", start()); err != nil {
		t.Fatal(err)
	}
	r, err := (store.Tenants{DB: here}).TenantByName(t.Context(), "T")
	if err != nil {
		t.Fatal(err)
	}
	here.Listen(func(events []event.Event) {
		for _, e := range events {
			heard = append(heard, e.Kind)
		}
	})
	if err := (store.Tenants{DB: there}).SaveSettings(t.Context(), r.ID, tenant.Change{Set: map[tenant.Key]string{tenant.KeyAutoClose: "true"}}, start()); err != nil {
		t.Fatal(err)
	}
	if err := (store.Accounts{DB: here}).CreateAccount(t.Context(), identity.Account{Tenant: r.ID, Name: "a", PasswordHash: "x"}, start()); err != nil {
		t.Fatal(err)
	}
	heard = nil
	if _, err = here.Follow(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 1 || heard[0] != event.SettingsChanged {
		t.Fatalf("heard %v, want the other process's change alone", heard)
	}
}

// A database that went away is a fault.Unavailable, and works again by itself.
func TestOldEventsAreForgotten(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		db := open(t, d)
		tenants := store.Tenants{DB: db}
		if err := tenants.EnsureTenant(t.Context(), "T", start()); err != nil {
			t.Fatal(err)
		}
		r, err := tenants.TenantByName(t.Context(), "T")
		if err != nil {
			t.Fatal(err)
		}
		const n = 5 // one event each, a second apart
		for i := range n {
			value := time.Duration(i + 1).String()
			if err := tenants.SaveSettings(t.Context(), r.ID, tenant.Change{Set: map[tenant.Key]string{tenant.KeyPollingTime: value}}, start().Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			before time.Time
			left   int
		}{
			{start(), n},
			{start().Add(2 * time.Second), n - 2},
			{start().Add(2 * time.Second), n - 2},
			{start().Add(time.Hour), 0},
		} {
			// Other tests' transactions on the same PostgreSQL hold it up.
			left := 0
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				if more, err := db.ForgetEvents(t.Context(), test.before, math.MaxInt64); more || err != nil {
					t.Fatalf("got %t, %v", more, err)
				}
				if left = countEvents(t, d); left == test.left {
					break
				}
			}
			if left != test.left {
				t.Errorf("%d events are left from before %v, want %d", left, test.before, test.left)
			}
		}
	})
}

func countEvents(t *testing.T, d testdb.Database) (n int) {
	t.Helper()
	driver := map[string]string{"sqlite": "sqlite", "postgres": "pgx"}[d.Name]
	raw, err := sql.Open(driver, d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.QueryRowContext(t.Context(), "SELECT count(*) FROM event").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnOutageIsUnavailableAndEnds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	url := filepath.Join(dir, "otaria.db")
	db := open(t, testdb.Database{URL: url})
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{URL: url})
	if err == nil {
		t.Error("a directory that is gone was opened")
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("the database is back, but: %v", err)
	}
}

func TestSettingsOfAnotherTenantStay(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, d testdb.Database) {
		s := store.Tenants{DB: open(t, d)}
		ids := map[string]tenant.ID{}
		for _, name := range []string{"A", "B"} {
			if err := s.EnsureTenant(t.Context(), name, start()); err != nil {
				t.Fatal(err)
			}
			r, err := s.TenantByName(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = r.ID
		}
		a, err := s.TenantByName(t.Context(), "A")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSettings(t.Context(), ids["B"], tenant.Change{DefaultSetType: a.DefaultSetType}, start()); !fault.Is(err, fault.NotFound) {
			t.Errorf("B took a set type of A: %v", err)
		}
		if err := s.SaveSettings(t.Context(), ids["A"], tenant.Change{Set: map[tenant.Key]string{tenant.KeyAutoClose: "true"}}, start()); err != nil {
			t.Fatal(err)
		}
		if b, err := s.TenantByName(t.Context(), "B"); err != nil || len(b.Overrides) != 0 {
			t.Errorf("B has %v, %v", b.Overrides, err)
		}
	})
}
