package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/otaria/otaria/event"
)

// writer runs all changes of a SQLite database, one after the other, on its one
// writing connection. What queued up while the last commit went to disk shares
// the next one, each change under its own savepoint: the disk is waited for
// once, and no change is acknowledged before.
type writer struct {
	db    *DB
	jobs  chan *job
	done  chan struct{}
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // of conn; the loop's alone
}

type job struct {
	ctx      context.Context
	change   func(*Tx) error
	events   []event.Event
	err      error
	panicked any
	done     chan struct{}
}

// maxJoined bounds how many changes share a commit, so that the first of them
// does not wait for long.
const maxJoined = 256

func startWriter(db *DB) *writer {
	w := &writer{db: db, jobs: make(chan *job, maxJoined), done: make(chan struct{}), stmts: map[string]*sql.Stmt{}}
	go w.loop()
	return w
}

// stop finishes what is queued. Nothing may be queued any more.
func (w *writer) stop() {
	close(w.jobs)
	<-w.done
}

// do runs change and returns once it is on disk, or undone.
func (w *writer) do(ctx context.Context, change func(*Tx) error) ([]event.Event, error) {
	j := &job{ctx: ctx, change: change, done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.events, j.err
}

func (w *writer) loop() {
	defer close(w.done)
	defer w.drop()
	batch := make([]*job, 0, maxJoined)
	for first := range w.jobs {
		batch = append(batch[:0], first)
		w.commit(&batch)
		for _, j := range batch {
			close(j.done)
		}
	}
}

// commit runs the first job of the batch and those that wait behind it in one
// transaction. Each job's fields say how it went.
func (w *writer) commit(batch *[]*job) {
	ctx := context.Background()
	fail := func(err error) {
		for _, j := range *batch {
			if j.err == nil {
				j.err, j.events = err, nil
			}
		}
		w.drop()
	}
	if w.conn == nil {
		conn, err := w.db.write.Conn(ctx)
		if err != nil {
			fail(err)
			return
		}
		w.conn = conn
	}
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		fail(err)
		return
	}
	for i := 0; ; i++ {
		if i == len(*batch) {
			if i == maxJoined {
				break
			}
			select {
			case j, ok := <-w.jobs:
				if ok {
					*batch = append(*batch, j)
				}
			default:
			}
			if i == len(*batch) {
				break
			}
		}
		if err := w.join((*batch)[i]); err != nil {
			fail(err)
			return
		}
	}
	if err := w.run("COMMIT"); err != nil {
		fail(err)
	}
}

// join runs one job inside the open transaction. An error means that the
// transaction is gone.
func (w *writer) join(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	tx := &Tx{db: w.db, conn: w.conn}
	j.err = func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				j.panicked, err = p, fmt.Errorf("panic: %v", p)
			}
		}()
		if err := j.change(tx); err != nil {
			return err
		}
		return tx.writeEvents(j.ctx)
	}()
	if j.err != nil {
		if err := w.run("ROLLBACK TO job"); err != nil {
			return errors.Join(j.err, err)
		}
	} else {
		j.events = tx.events
	}
	return w.run("RELEASE job")
}

func (w *writer) run(text string) error {
	s, err := w.statement(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background())
	return err
}

// statement returns the prepared statement for text on the writing connection.
// Only the loop's goroutine, and so a change that it runs, may call it.
func (w *writer) statement(text string) (*sql.Stmt, error) {
	if s := w.stmts[text]; s != nil {
		return s, nil
	}
	if len(w.stmts) >= maxStatements {
		for _, s := range w.stmts {
			if err := s.Close(); err != nil {
				return nil, err
			}
		}
		clear(w.stmts)
	}
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = s
	return s, nil
}

// drop gives the connection up, and with it a transaction that is still open.
// The next batch starts with a new one.
func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	for _, s := range w.stmts {
		_ = s.Close() // the connection goes with them
	}
	clear(w.stmts)
	_ = w.conn.Raw(func(any) error { return errDropped }) // never back into the pool in an unknown state
	_ = w.conn.Close()
	w.conn = nil
}
