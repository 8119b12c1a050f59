// Package store keeps everything but artifact bytes in one database: SQLite
// (embedded) or PostgreSQL. It is the only package that knows SQL. For each
// domain package there is one type (Software, Fleet, Deployment, …) that
// implements the Store interface which that package declares.
//
// A method that changes something is one transaction; when it returns without
// error, the change survives a crash of the process and of the machine.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/outage"
)

// Options say how to open a database.
type Options struct {
	// URL is a path of a SQLite file, or postgres://….
	URL string
	Log *slog.Logger

	// Now is the clock; nil is the machine's.
	Now func() time.Time

	// MaxConns bounds the connections to PostgreSQL; 0 chooses by the number of
	// processors: four of each, and at least 16. Up to six more are for changes that
	// share transactions.
	MaxConns int
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect
	read  *sql.DB // SQLite: many readers; PostgreSQL: the one pool
	write *sql.DB // SQLite: one connection; PostgreSQL: nil
	group *writer // SQLite: joins transactions into one commit; PostgreSQL: nil
	keyed *sql.DB // PostgreSQL: connections for changes of known rows; SQLite: nil
	stmts statements

	cases         *queue[caseKey, *caseChange]
	sightings     *queue[fleet.TargetID, *sighting]
	registrations *queue[registrationKey, *registration]

	standing string // the statement of that name

	// node names this process in the event table, so that it does not read its
	// own events. It changes when this process cannot know its own; see unsure.
	node atomic.Int64

	mu        sync.RWMutex
	listeners []func([]event.Event)

	now       func() time.Time
	patience  time.Duration // how long a call waits for PostgreSQL
	outage    *outage.Log
	unwritten atomic.Bool // the last change failed for want of the database; reads may still work
}

// keyedConns are for the batches of three queues.
const keyedConns = 3 * queueWorkers

// Open opens the database and brings its schema up to date. A database whose
// schema is newer than this program is refused and left untouched.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of an option
	}
	db := &DB{patience: patience, now: o.Now}
	db.cases, db.sightings, db.registrations = newQueue(db, (*Tx).changeCases), newQueue(db, (*Tx).see), newQueue(db, (*Tx).register)
	db.rename()
	if strings.HasPrefix(o.URL, "postgres://") || strings.HasPrefix(o.URL, "postgresql://") {
		db.dialect = postgresDialect()
		pool, err := openPostgres(o.URL, "")
		if err != nil {
			return nil, fmt.Errorf("database address: %w", err)
		}
		if db.keyed, err = openPostgres(o.URL, alongKeys); err != nil {
			return nil, errors.Join(fmt.Errorf("database address: %w", err), pool.Close())
		}
		db.keyed.SetMaxOpenConns(keyedConns)
		db.keyed.SetMaxIdleConns(keyedConns)
		db.keyed.SetConnMaxIdleTime(5 * time.Minute)
		n := o.MaxConns
		if n == 0 {
			n = max(16, 4*runtime.NumCPU())
		}
		pool.SetMaxOpenConns(n)
		pool.SetMaxIdleConns(n)
		pool.SetConnMaxIdleTime(5 * time.Minute)
		db.read = pool
	} else {
		db.dialect = sqliteDialect()
		var err error
		if db.write, err = sql.Open("sqlite", sqliteDSN(o.URL, false)); err != nil {
			return nil, err
		}
		db.write.SetMaxOpenConns(1)
		if db.read, err = sql.Open("sqlite", sqliteDSN(o.URL, true)); err != nil {
			return nil, errors.Join(err, db.write.Close())
		}
		n := max(4, 2*runtime.NumCPU())
		db.read.SetMaxOpenConns(n)
		db.read.SetMaxIdleConns(n)
	}
	db.standing = standing(db.dialect)
	db.outage = outage.New(o.Log, o.Now,
		"the database cannot be used; requests get 503 until it works again: check that its disk has space and is writable, that it is running and reachable, and that no other program holds it",
		"the database works again", slog.String("database", db.name))
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if db.write != nil {
		db.group = startWriter(db)
		return db, nil
	}
	if err := db.adoptEvents(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("events of another server: %w", err), db.Close())
	}
	return db, nil
}

// Close waits for the transactions under way and closes the database.
func (db *DB) Close() error {
	if db.group != nil {
		db.group.stop()
	}
	err := db.stmts.close()
	if db.read != nil {
		err = errors.Join(err, db.read.Close())
	}
	if db.write != nil {
		err = errors.Join(err, db.write.Close())
	}
	if db.keyed != nil {
		err = errors.Join(err, db.keyed.Close())
	}
	return err
}

// Name is "sqlite" or "postgres".
func (db *DB) Name() string { return db.name }

// migrate brings the schema forward, each step in a transaction. Several
// processes may start at once on PostgreSQL: one migrates, the others wait.
func (db *DB) migrate(ctx context.Context) error {
	d, pool := goose.DialectSQLite3, db.write
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler))}
	if db.write == nil {
		d, pool = goose.DialectPostgres, db.read
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migration lock: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(d, pool, db.migrations, options...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	known := p.ListSources()
	newest := known[len(known)-1].Version
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the schema version of the %s database (is it reachable, and is it ours?): %w", db.name, err)
	}
	if has > newest {
		return fmt.Errorf("the database has schema version %d, this program knows up to %d: start the newer otaria that wrote it, or restore the backup made before its upgrade", has, newest)
	}
	if has == newest {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("schema upgrade from version %d to %d: %w", has, newest, err)
	}
	return nil
}

// Ping reports whether the database can be read and written. After an outage it
// does so once nothing has failed for a moment (outage.Settle): a disk that is
// nearly full still takes a small change. It writes only during an outage, since
// strangers may call it.
func (db *DB) Ping(ctx context.Context) error {
	err := db.update(ctx, func(tx *Tx) error {
		which := "-1"
		if db.outage.Lasting() {
			which = "(SELECT min(id) FROM tenant)"
		}
		_, err := tx.exec(ctx, "UPDATE tenant SET created_at = created_at WHERE id = "+which)
		return err
	})
	if err == nil && db.outage.Lasting() {
		return fault.New(fault.Unavailable, "The database could not be used a moment ago.")
	}
	return err
}

// Tx is a transaction that changes something.
type Tx struct {
	db     *DB
	conn   *sql.Conn       // SQLite
	tx     *sql.Tx         // PostgreSQL
	ctx    context.Context // bounds every statement; derived from the caller's
	events []event.Event
	wrote  bool // it changed a row: its commit proves that the database can be written
}

func (tx *Tx) exec(_ context.Context, text string, args ...any) (r sql.Result, err error) {
	if tx.tx != nil {
		r, err = tx.tx.ExecContext(tx.ctx, text, args...)
	} else {
		var s *sql.Stmt
		if s, err = tx.db.group.statement(text); err != nil {
			return nil, err
		}
		r, err = s.ExecContext(tx.ctx, args...)
	}
	if err != nil {
		return nil, err
	}
	if n, err := r.RowsAffected(); err == nil && n > 0 {
		tx.wrote = true
	}
	return r, nil
}

func (tx *Tx) query(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	if tx.tx != nil {
		return tx.tx.QueryContext(tx.ctx, text, args...)
	}
	s, err := tx.db.group.statement(text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(tx.ctx, args...)
}

func (tx *Tx) row(_ context.Context, text string, args ...any) *sql.Row {
	if tx.tx != nil {
		return tx.tx.QueryRowContext(tx.ctx, text, args...)
	}
	s, err := tx.db.group.statement(text)
	if err != nil {
		return tx.conn.QueryRowContext(tx.ctx, text, args...) // reports the same error
	}
	return s.QueryRowContext(tx.ctx, args...)
}

// affected runs a statement and returns how many rows it changed.
func (tx *Tx) affected(ctx context.Context, text string, args ...any) (int64, error) {
	r, err := tx.exec(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// insert runs an INSERT … RETURNING id.
func (tx *Tx) insert(ctx context.Context, text string, args ...any) (id int64, err error) {
	err = tx.row(ctx, text, args...).Scan(&id)
	tx.wrote = tx.wrote || err == nil
	return id, err
}

// update runs change in a transaction. On PostgreSQL it runs again when the
// transaction lost against another one, so change must not keep anything from
// an earlier run. On SQLite several calls share one commit: nobody is
// acknowledged before it is on disk, and a failing change is undone alone.
func (db *DB) update(ctx context.Context, change func(*Tx) error) error {
	return db.updateBy(ctx, db.read, change)
}

// updateKeyed is update for a change whose statements find all rows by keys.
func (db *DB) updateKeyed(ctx context.Context, change func(*Tx) error) error {
	return db.updateBy(ctx, db.keyed, change)
}

// updateBy is update by connections of the pool, where there is a choice.
func (db *DB) updateBy(ctx context.Context, pool *sql.DB, change func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := db.patient(ctx)
	defer cancel()
	var events []event.Event
	wrote := false
	noted := func(tx *Tx) error {
		err := change(tx)
		events, wrote = tx.events, tx.wrote
		return err
	}
	var err error
	if db.group != nil {
		err = db.group.do(ctx, noted)
	} else {
		err = db.updatePostgres(ctx, pool, noted)
	}
	if err != nil {
		if errors.Is(err, errUnsure) { // it may be committed, or will be: nobody may rely on what was before
			db.rename()
			db.publish(events)
		}
		err = db.fault(errPatience(ctx, err))
		if fault.Is(err, fault.Unavailable) {
			db.unwritten.Store(true)
		}
		return err
	}
	if wrote {
		db.unwritten.Store(false)
	}
	db.worked()
	db.publish(events)
	return nil
}

// patience is long enough for every statement of ours, so that a database that
// hangs is told from one that works.
const patience = 30 * time.Second

var errImpatient = errors.New("the database did not answer in time")

// patient bounds a call. SQLite is in this process, and a commit to a file
// cannot be given up.
func (db *DB) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if db.write != nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, db.patience, errImpatient)
}

// errPatience says of an error whether it is the database's lateness, rather
// than a caller who left.
func errPatience(ctx context.Context, err error) error {
	// A transaction's own deadline is a moment later, and may be noticed earlier.
	if _, ends := ctx.Deadline(); ends && errors.Is(err, context.DeadlineExceeded) {
		<-ctx.Done()
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errImpatient) {
		return fmt.Errorf("%w: %w", errUnavailable, errImpatient)
	}
	return err
}

// tries bounds how often a PostgreSQL transaction is repeated.
const tries = 10

func (db *DB) updatePostgres(ctx context.Context, pool *sql.DB, change func(*Tx) error) error {
	for try := 1; ; try++ {
		err := db.tryPostgres(ctx, pool, change)
		if err == nil || try == tries || db.classify(err) != failureRetry {
			return err
		}
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(try) * int64(5*time.Millisecond)))) //nolint:gosec // jitter
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

func (db *DB) tryPostgres(ctx context.Context, pool *sql.DB, change func(*Tx) error) error {
	// A caller who leaves ends the statements, but not the commit: its outcome
	// would be unknown.
	whole, cancel := db.patient(context.WithoutCancel(ctx))
	defer cancel()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back into the pool
	t, err := conn.BeginTx(whole, nil)
	if err != nil {
		return err
	}
	tx := &Tx{db: db, tx: t, ctx: ctx}
	ended := false
	defer func() {
		if !ended {
			_ = t.Rollback() // where it fails the connection is broken, and the transaction with it
		}
	}()
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.writeEvents(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ended = true
	if err := t.Commit(); err != nil {
		switch db.classify(err) {
		case failureRetry, failureDuplicate, failureReference, failureValue:
			return err // PostgreSQL says that nothing was done
		case failureUnavailable, failureOther:
		}
		return fmt.Errorf("%w: %w", errUnsure, err)
	}
	return nil
}

// errUnsure marks a commit whose outcome is unknown: the connection broke
// before the answer came. errUnavailable marks what the drivers do not know to
// be an outage.
var (
	errUnavailable = errors.New("the database cannot be used")
	errUnsure      = fmt.Errorf("%w: whether the change was saved is unknown", errUnavailable)
)

// rename gives this process a new name in the event table: what it wrote under
// the old one comes back to it by Follow.
func (db *DB) rename() { db.node.Store(rand.Int64()) } //nolint:gosec // tells processes apart, keeps no secret

// reader runs statements that change nothing, each on its own.
type reader struct {
	db  *DB
	ctx context.Context // bounds every statement; derived from the caller's
}

func (r reader) query(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := r.db.stmts.get(r.db, text); s != nil {
		return s.QueryContext(r.ctx, args...)
	}
	return r.db.read.QueryContext(r.ctx, text, args...)
}

func (r reader) row(_ context.Context, text string, args ...any) *sql.Row {
	if s := r.db.stmts.get(r.db, text); s != nil {
		return s.QueryRowContext(r.ctx, args...)
	}
	return r.db.read.QueryRowContext(r.ctx, text, args...)
}

// view runs f on the readers' pool, with a context that bounds how long it
// waits. Statements of f may see different moments; where they must not, f uses
// one statement.
func (db *DB) view(ctx context.Context, f func(q querier) error) error {
	ctx, cancel := db.patient(ctx)
	defer cancel()
	if err := f(reader{db, ctx}); err != nil {
		return db.fault(errPatience(ctx, err))
	}
	db.worked()
	return nil
}

// statements keeps SQLite's prepared statements; PostgreSQL's driver keeps its
// own. Texts beyond the bound (filters of all shapes) are not kept.
type statements struct {
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

const maxStatements = 500

func (s *statements) get(db *DB, text string) *sql.Stmt {
	if db.write == nil {
		return nil
	}
	s.mu.RLock()
	st, full := s.kept[text], len(s.kept) >= maxStatements
	s.mu.RUnlock()
	if st != nil || full {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.kept[text]; st != nil {
		return st
	}
	st, err := db.read.PrepareContext(context.Background(), text)
	if err != nil {
		return nil // running it unprepared reports the error
	}
	if s.kept == nil {
		s.kept = map[string]*sql.Stmt{}
	}
	s.kept[text] = st
	return st
}

func (s *statements) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.kept {
		err = errors.Join(err, st.Close())
	}
	s.kept = nil
	return err
}

// fault gives a driver's error its kind. Errors that have one, and those of a
// cancelled request, pass as they are.
func (db *DB) fault(err error) error {
	kind := failureUnavailable
	if !errors.Is(err, errUnavailable) {
		var f *fault.Error
		if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		kind = db.classify(err)
	}
	switch kind {
	case failureDuplicate:
		return fault.Wrap(fault.Exists, err, "An entity with this name or key exists already.")
	case failureReference:
		return fault.Wrap(fault.ConcurrentChange, err, "Something this change refers to was changed or removed meanwhile; read it again and retry.")
	case failureValue:
		return fault.Wrap(fault.IntegrityViolation, err, "A value is missing, too long, or holds characters that cannot be stored.")
	case failureRetry:
		return fault.Wrap(fault.ConcurrentChange, err, "Another change came in between; please retry.")
	case failureUnavailable:
		db.outage.Failed(err)
		return fault.Wrap(fault.Unavailable, err, "The database cannot be used right now; please retry later.")
	case failureOther:
	}
	return err
}

// worked notes that the database answered. It is no proof that it can be
// written, where that is what failed last.
func (db *DB) worked() {
	if !db.unwritten.Load() {
		db.outage.Worked()
	}
}

// ErrNoRows is what a lookup that finds nothing returns inside this package.
var errNoRows = sql.ErrNoRows

// none reports whether err says that a lookup found nothing.
func none(err error) bool { return errors.Is(err, errNoRows) }
