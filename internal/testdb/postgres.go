package testdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres returns an empty database on the private server, started if need
// be. The test fails, rather than being skipped, where PostgreSQL is missing.
func Postgres(tb testing.TB) Database {
	tb.Helper()
	c, err := locate(shared)
	if err != nil {
		tb.Fatal(err)
	}
	// Whoever holds this lock keeps the server from being stopped.
	release, err := lock(c.inUse(), syscall.LOCK_SH)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)

	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	admin, err := c.connect(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()

	name := prefix + strings.ToLower(rand.Text())
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("create a database for the test: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
		defer cancel()
		if err := c.drop(ctx, name); err != nil {
			tb.Errorf("drop the test's database: %v", err)
		}
	})
	return Database{Name: "postgres", URL: c.url(name)}
}

// prefix starts the name of every database made here.
const prefix = "otaria_test_"

// idle is how many seconds the server outlives the last test that used it:
// long enough to be there for the next package of the same run.
const idle = "20"

// cluster is the private server: where its programs and files are.
type cluster struct {
	bin   string              // directory of initdb and pg_ctl
	dir   string              // data, socket, log and locks
	owner *syscall.Credential // whom the server runs as; nil for ourselves
}

// shared names the directory of the server that all tests of a user share.
func shared(version string) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("otaria-testdb-%d-%s", os.Getuid(), version))
}

// locate finds PostgreSQL's programs and makes the cluster's directory, which
// dir names.
func locate(dir func(version string) string) (cluster, error) {
	bin, err := programs()
	if err != nil {
		return cluster{}, err
	}
	c := cluster{bin: bin}
	uid := os.Getuid()
	if uid == 0 { // the programs refuse to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return cluster{}, fmt.Errorf("tests run as root need the user postgres, which Debian's package postgresql makes: %w", err)
		}
		id, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return cluster{}, fmt.Errorf("uid of postgres: %w", err)
		}
		group, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return cluster{}, fmt.Errorf("gid of postgres: %w", err)
		}
		c.owner = &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}
	}
	version := filepath.Base(filepath.Dir(bin)) // …/postgresql/15/bin
	c.dir = dir(version)
	return c, c.prepare()
}

// programs returns the directory of the newest PostgreSQL installed.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", fmt.Errorf("look for PostgreSQL: %w", err)
	}
	best, newest := "", -1
	for _, f := range found {
		bin := filepath.Dir(f)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && v > newest {
			best, newest = bin, v
		}
	}
	if best != "" {
		return best, nil
	}
	if f, err := exec.LookPath("initdb"); err == nil {
		if f, err = filepath.EvalSymlinks(f); err == nil {
			return filepath.Dir(f), nil
		}
	}
	return "", errors.New("this test needs PostgreSQL's programs (initdb, pg_ctl): install the package postgresql, or run make test as root")
}

// prepare makes the cluster's directory, open to its owner alone: the server
// trusts whoever reaches its socket.
func (c cluster) prepare() error {
	err := os.Mkdir(c.dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("directory of the test server: %w", err)
	}
	owner := os.Getuid()
	if c.owner != nil {
		owner = int(c.owner.Uid)
		if err == nil {
			if err := os.Chown(c.dir, owner, int(c.owner.Gid)); err != nil {
				return fmt.Errorf("directory of the test server: %w", err)
			}
		}
	}
	info, err := os.Lstat(c.dir)
	if err != nil {
		return fmt.Errorf("directory of the test server: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != owner && int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to somebody else: remove it or set TMPDIR", c.dir)
	}
	return nil
}

func (c cluster) data() string  { return filepath.Join(c.dir, "data") }
func (c cluster) log() string   { return filepath.Join(c.dir, "log") }
func (c cluster) inUse() string { return filepath.Join(c.dir, "in-use") }

func (c cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{
		"host": {c.dir}, "user": {"postgres"}, "sslmode": {"disable"},
	}.Encode()}
	return u.String()
}

// connect returns a connection to the server's own database, after starting
// the server if nobody has.
func (c cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	if conn, err := pgx.Connect(ctx, c.url("postgres")); err == nil {
		return conn, nil
	}
	release, err := lock(filepath.Join(c.dir, "starting"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer release()
	if conn, err := pgx.Connect(ctx, c.url("postgres")); err == nil {
		return conn, nil
	}
	if err := c.start(ctx); err != nil {
		// A cluster that does not fsync may not survive the machine's crash.
		if err := os.RemoveAll(c.data()); err != nil {
			return nil, fmt.Errorf("remove the broken test server: %w", err)
		}
		if err := c.start(ctx); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return nil, fmt.Errorf("reach the test server just started: %w", err)
	}
	return conn, c.dropStale(ctx, conn)
}

// start makes the cluster unless it is there, starts its server, and leaves a
// watcher behind that stops it once nobody uses it.
func (c cluster) start(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.data(), "PG_VERSION")); err != nil {
		if err := os.RemoveAll(c.data()); err != nil {
			return fmt.Errorf("remove a half-made test server: %w", err)
		}
		if err := c.create(ctx); err != nil {
			return err
		}
	}
	if err := c.launch(ctx, "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum_naptime=1h -c max_wal_size=2GB"); err != nil {
		return err
	}
	return c.watch()
}

// create makes an empty cluster.
func (c cluster) create(ctx context.Context) error {
	return c.run(ctx, "initdb", "--pgdata", c.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
}

// launch starts the server on its socket alone, with further options.
func (c cluster) launch(ctx context.Context, options string) error {
	options = "-c listen_addresses='' -c unix_socket_directories='" + c.dir + "' -c max_connections=200 " + options
	if err := c.run(ctx, "pg_ctl", "start", "--wait", "--silent", "--pgdata", c.data(), "--log", c.log(), "--options", options); err != nil {
		tail, _ := os.ReadFile(c.log())
		return fmt.Errorf("%w\n%s", err, tail[max(0, len(tail)-2000):])
	}
	return nil
}

// watch leaves a shell behind that stops the server when nobody has used it
// for a while. flock answers 75 while a test holds the lock.
func (c cluster) watch() error {
	const script = `while sleep "$1"; do
  flock --nonblock --conflict-exit-code 75 --exclusive "$2" "$3" stop --silent --mode immediate --pgdata "$4"
  [ $? = 75 ] || exit 0
done`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", idle, c.inUse(), filepath.Join(c.bin, "pg_ctl"), c.data()) //nolint:gosec,noctx // our own script, and it must outlive us
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.owner}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("leave a watcher behind: %w", err)
	}
	return cmd.Process.Release()
}

// run runs one of PostgreSQL's programs as the server's user.
func (c cluster) run(ctx context.Context, program string, args ...string) error {
	out, err := os.CreateTemp("", "testdb-*") // not a pipe: the server would keep it open
	if err != nil {
		return fmt.Errorf("output of %s: %w", program, err)
	}
	defer func() { _, _ = out.Close(), os.Remove(out.Name()) }()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...) //nolint:gosec // PostgreSQL's own programs
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.owner}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w\n%s", program, err, said)
	}
	return nil
}

func (c cluster) drop(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	return err
}

// dropStale removes what tests left behind that were killed. It runs while
// the server is new, when no test can have made its database yet.
func (c cluster) dropStale(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
	if err != nil {
		return fmt.Errorf("list left-over databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list left-over databases: %w", err)
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name); err != nil {
			return fmt.Errorf("drop the left-over database %s: %w", name, err)
		}
	}
	return nil
}

// lock waits for a lock on the file and returns what gives it back. The end
// of the process gives it back, too.
func lock(path string, how int) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // the watcher, another user, reads it
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
