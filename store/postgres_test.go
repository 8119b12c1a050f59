package store

import (
	"bytes"
	"context"
	"database/sql"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/internal/testdb"
	"github.com/otaria/otaria/tenant"
)

// A line stands between a client and PostgreSQL and fails when told to.
type line struct {
	t      *testing.T
	server string // its socket

	cut    atomic.Bool                   // breaks the connection before the answer to a commit
	commit atomic.Pointer[func()]        // runs before a commit is passed on
	quiet  atomic.Pointer[chan struct{}] // lets nothing through until it is closed
}

// openThrough opens the database by way of a line.
func openThrough(t *testing.T, d testdb.Database) (*DB, *line) {
	t.Helper()
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	l := &line{t: t, server: filepath.Join(q.Get("host"), ".s.PGSQL.5432")}
	dir := t.TempDir()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client)
		}
	}()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return open(t, testdb.Database{Name: d.Name, URL: u.String()}), l
}

func (l *line) carry(client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(l.t.Context(), "unix", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	var mute atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() { // questions
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:n], []byte("commit")) {
				mute.Store(l.cut.Load())
				if f := l.commit.Load(); f != nil {
					(*f)()
				}
			}
			l.wait()
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	wg.Go(func() { // answers
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || mute.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	wg.Wait()
}

// hold lets nothing through until release.
func (l *line) hold() (release func()) {
	c := make(chan struct{})
	l.quiet.Store(&c)
	return func() {
		l.quiet.Store(nil)
		close(c)
	}
}

func (l *line) wait() {
	if c := l.quiet.Load(); c != nil {
		<-*c
	}
}

// ear keeps what it hears.
type ear struct {
	mu    sync.Mutex
	heard []event.Kind
}

func (e *ear) listen(events []event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range events {
		e.heard = append(e.heard, x.Kind)
	}
}

func (e *ear) take() []event.Kind {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	return heard
}

func setting(ctx context.Context, db *DB, id tenant.ID, value string) error {
	return (Tenants{DB: db}).SaveSettings(ctx, id, tenant.Change{Set: map[tenant.Key]string{tenant.KeyPollingTime: value}}, time.UnixMilli(0))
}

func newTenant(t *testing.T, db *DB) tenant.Record {
	t.Helper()
	if err := (Tenants{DB: db}).EnsureTenant(t.Context(), "T", time.UnixMilli(0)); err != nil {
		t.Fatal(err)
	}
	r, err := (Tenants{DB: db}).TenantByName(t.Context(), "T")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A commit whose answer is lost has happened or not, or will: whatever listens
// has to hear of it, at once and when it becomes visible.
func TestACommitWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	db, l := openThrough(t, testdb.Postgres(t))
	r := newTenant(t, db)
	since, err := db.Follow(t.Context(), Followed{})
	if err != nil {
		t.Fatal(err)
	}
	var e ear
	db.Listen(e.listen)

	l.cut.Store(true)
	if err := setting(t.Context(), db, r.ID, "00:01:00"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	l.cut.Store(false)
	told := []event.Kind{event.SettingsChanged}
	if diff := cmp.Diff(told, e.take()); diff != "" {
		t.Errorf("at once: %s", diff)
	}
	// The answer was lost, the commit was not.
	if r, err := (Tenants{DB: db}).TenantByName(t.Context(), "T"); err != nil || len(r.Overrides) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	if since, err = db.Follow(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(told, e.take()); diff != "" {
		t.Errorf("by following: %s", diff)
	}

	// From then on it knows its own changes again.
	if err := setting(t.Context(), db, r.ID, "00:02:00"); err != nil {
		t.Fatal(err)
	}
	e.take()
	if since, err = db.Follow(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	if _, err = db.Follow(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	for _, kind := range e.take() {
		if kind != event.SettingsChanged { // the unanswered one may come again
			t.Errorf("heard %v", kind)
		}
	}
}

// A caller who leaves during the commit does not make its outcome unknown.
func TestACallerLeavesDuringTheCommit(t *testing.T) {
	t.Parallel()
	db, l := openThrough(t, testdb.Postgres(t))
	r := newTenant(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	leave := func() {
		cancel()
		time.Sleep(50 * time.Millisecond) // for the driver to hear of it
	}
	l.commit.Store(&leave)
	if err := setting(ctx, db, r.ID, "00:01:00"); err != nil {
		t.Errorf("got %v", err)
	}
	if r, err := (Tenants{DB: db}).TenantByName(t.Context(), "T"); err != nil || len(r.Overrides) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// A database that hangs is no different from one that is gone.
func TestADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	db, l := openThrough(t, testdb.Postgres(t))
	r := newTenant(t, db)
	db.patience = 300 * time.Millisecond
	release := l.hold()
	for what, call := range map[string]func() error{
		"reading": func() error {
			_, err := (Tenants{DB: db}).TenantByName(t.Context(), "T")
			return err
		},
		"changing": func() error { return setting(t.Context(), db, r.ID, "00:01:00") },
	} {
		began := time.Now()
		if err := call(); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %v, want unavailable", what, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
	db.patience = patience
	release()
	if err := setting(t.Context(), db, r.ID, "00:01:00"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A database that lets nobody in is an outage, whatever its reason.
func TestADatabaseThatLetsNobodyIn(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	db := open(t, d)
	r := newTenant(t, db)
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	let := func(in string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), "ALTER DATABASE "+name+" WITH ALLOW_CONNECTIONS "+in); err != nil {
			t.Fatal(err)
		}
	}
	let("false")
	if _, err := admin.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the first may meet a connection that was ended
		if err := setting(t.Context(), db, r.ID, "00:01:00"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
	}
	let("true")
	if err := setting(t.Context(), db, r.ID, "00:01:00"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A database whose transactions are numbered lower than before is another one.
func TestFollowAnotherDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.Postgres(t))
	var e ear
	db.Listen(e.listen)
	next, err := db.Follow(t.Context(), Followed{known: true, end: math.MaxInt64})
	if err != nil || next.end == math.MaxInt64 {
		t.Fatalf("got %+v, %v", next, err)
	}
	if diff := cmp.Diff([]event.Kind{event.SettingsChanged, event.AccountChanged}, e.take()); diff != "" {
		t.Error(diff)
	}
}

func TestPostgres_transactions_of_a_silent_process_end(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Options{URL: testdb.Postgres(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var ends int64
	err = db.view(t.Context(), func(q querier) error {
		return q.row(t.Context(), "SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'").Scan(&ends)
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := time.Duration(ends) * time.Millisecond; after <= patience || after > 2*patience {
		t.Errorf("PostgreSQL ends a silent transaction after %v, want soon after %v", after, patience)
	}
}

// What a transaction recorded that began before others and ends after them is
// heard once it ends, and what others recorded meanwhile is not heard again;
// however much it is.
func TestFollowALongTransaction(t *testing.T) {
	t.Parallel()
	d := testdb.Postgres(t)
	here, there := open(t, d), open(t, d)
	var e ear
	here.Listen(e.listen)
	long, err := there.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	type executor interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
	}
	record := func(q executor, kind event.Kind, n int) {
		t.Helper()
		if _, err := q.ExecContext(t.Context(), "INSERT INTO event (tenant_id, node, kind, subject, target_id, data, at) SELECT 1, $1, $2, 1, -1, '{}', 1 FROM generate_series(1, $3)", there.node.Load(), string(kind), n); err != nil {
			t.Fatal(err)
		}
	}
	look := func(since Followed, want map[event.Kind]int) Followed {
		t.Helper()
		next, err := here.Follow(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		heard := map[event.Kind]int{}
		for _, k := range e.take() {
			heard[k]++
		}
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Error(diff)
		}
		return next
	}
	record(long, event.TargetCreated, 1)
	since := look(Followed{}, map[event.Kind]int{})
	record(there.read, event.TargetChanged, 2*followAtOnce+1)
	since = look(since, map[event.Kind]int{event.TargetChanged: 2*followAtOnce + 1})
	since = look(since, map[event.Kind]int{})
	record(long, event.TargetCreated, followAtOnce)
	if err := long.Commit(); err != nil {
		t.Fatal(err)
	}
	since = look(since, map[event.Kind]int{event.TargetCreated: followAtOnce + 1})
	look(since, map[event.Kind]int{})
}
