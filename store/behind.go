package store

import (
	"context"
	"runtime"
)

// step is update for a step of background work. Where the database computes in this
// process, it lets those who are waited for have the processor first.
func (db *DB) step(ctx context.Context, change func(*Tx) error) error {
	return db.update(ctx, func(tx *Tx) error {
		return db.behind(func() error { return change(tx) })
	})
}

// onOwnThread does some work on a thread that ends with it and that the system runs
// behind the others. A panic of the work is the caller's.
//
// SQLite computes within this process. The system's scheduler leaves a thread that
// computes on its processor for some milliseconds, and who answers a poll in a tenth
// of one would wait for that behind it.
func onOwnThread(work func() error) (err error) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		// Nothing unlocks it, so that the thread ends: an unprivileged one never gets
		// back what it gave away.
		runtime.LockOSThread()
		if isMainThread() { // which would not end, and shows in ps as the whole process
			defer runtime.UnlockOSThread()
			err = onOwnThread(work)
			return
		}
		letOthersFirst()
		err = work()
	}()
	if panicked := <-done; panicked != nil {
		panic(panicked)
	}
	return err
}

func inPlace(work func() error) error { return work() }
