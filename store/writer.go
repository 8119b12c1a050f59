package store

import (
	"context"
	"database/sql"
	"fmt"
)

// writer runs all changes of a SQLite database, one after the other, on its one
// writing connection. What queued up while the last commit went to disk shares
// the next one, each change under its own savepoint: the disk is waited for
// once, and no change is acknowledged before.
type writer struct {
	db    *DB
	jobs  chan *job
	quit  chan struct{} // closed by stop
	done  chan struct{} // closed when the loop has ended
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // of conn; the loop's alone
}

type job struct {
	ctx      context.Context
	change   func(*Tx) error
	err      error
	panicked any
	done     chan struct{}
}

// maxJoined bounds how many changes share a commit, so that the first of them
// does not wait for long.
const maxJoined = 256

func startWriter(db *DB) *writer {
	w := &writer{db: db, jobs: make(chan *job, maxJoined), quit: make(chan struct{}), done: make(chan struct{}), stmts: map[string]*sql.Stmt{}}
	go w.loop()
	return w
}

// stop finishes what is queued; what comes later is refused.
func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

var errStopped = fmt.Errorf("%w: it is being closed", errUnavailable)

// do runs change and returns once it is on disk, or undone.
func (w *writer) do(ctx context.Context, change func(*Tx) error) error {
	j := &job{ctx: ctx, change: change, done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errStopped
	}
	select {
	case <-j.done:
	case <-w.done:
		select {
		case <-j.done:
		default: // it was queued behind the last
			return errStopped
		}
	}
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

func (w *writer) loop() {
	defer close(w.done)
	defer w.drop()
	batch := make([]*job, 0, maxJoined)
	stopping := false
	for {
		var first *job
		if stopping {
			select {
			case first = <-w.jobs:
			default:
				return
			}
		} else {
			select {
			case first = <-w.jobs:
			case <-w.quit:
				stopping = true
				continue
			}
		}
		batch = append(batch[:0], first)
		w.commit(&batch)
		for _, j := range batch {
			close(j.done)
		}
	}
}

// commit runs the first job of the batch and those that wait behind it in one
// transaction. Each job's fields say how it went. When the transaction is lost,
// so is every job of it, but those keep their error that had failed by
// themselves.
func (w *writer) commit(batch *[]*job) {
	lost := func(err error) {
		for _, j := range *batch {
			if j.err == nil {
				j.err = err
			}
		}
		w.drop()
	}
	if err := w.begin(); err != nil {
		lost(fmt.Errorf("%w: %w", errUnavailable, err))
		return
	}
	for i := 0; ; i++ {
		if i == len(*batch) && i < maxJoined {
			select {
			case j := <-w.jobs:
				*batch = append(*batch, j)
			default:
			}
		}
		if i == len(*batch) {
			break
		}
		if err := w.join((*batch)[i]); err != nil {
			lost(fmt.Errorf("%w: %w", errUnavailable, err))
			return
		}
	}
	if err := w.run("COMMIT"); err != nil {
		lost(fmt.Errorf("%w: %w", errUnsure, err))
	}
}

// begin opens the transaction, on a new connection where the last one was lost.
func (w *writer) begin() error {
	if w.conn == nil {
		conn, err := w.db.write.Conn(context.Background())
		if err != nil {
			return err
		}
		w.conn = conn
	}
	if err := w.trim(); err != nil {
		return err
	}
	return w.run("BEGIN IMMEDIATE")
}

// join runs one job inside the open transaction. An error means that the
// transaction is gone, and with it the jobs before this one.
func (w *writer) join(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	tx := &Tx{db: w.db, conn: w.conn, ctx: context.WithoutCancel(j.ctx)}
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
			// SQLite undoes a whole transaction by itself when its disk fails. Then
			// the reason is in the job's error, which is no business of the others
			// in any other case.
			if w.db.classify(j.err) == failureUnavailable {
				return j.err
			}
			return err
		}
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
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = s
	return s, nil
}

// trim gives up the statements when they have become too many. It runs between
// transactions, when none of them is in use.
func (w *writer) trim() error {
	if len(w.stmts) < maxStatements {
		return nil
	}
	for _, s := range w.stmts {
		if err := s.Close(); err != nil {
			return err
		}
	}
	clear(w.stmts)
	return nil
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
