package store

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otaria/otaria/internal/testdb"
)

func niceness(tb testing.TB) int32 {
	tb.Helper()
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return attr.Nice
}

// Steps on SQLite go behind the other threads, and no thread stays so.
func TestStepsLetOthersFirst(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, at testdb.Database) {
		db := open(t, at)
		usual := niceness(t)
		want := usual
		if !db.Shared() {
			want = min(usual+nicer, 19)
		}
		for range 100 {
			must(t, db.step(t.Context(), func(*Tx) error {
				if got := niceness(t); got != want {
					t.Errorf("a step has nice value %d, want %d", got, want)
				}
				if !db.Shared() && isMainThread() {
					t.Error("a step runs on the main thread")
				}
				var others sync.WaitGroup
				for range 4 { // on threads that exist and on new ones
					others.Go(func() {
						if got := niceness(t); got != usual {
							t.Errorf("another goroutine has nice value %d, want %d", got, usual)
						}
					})
				}
				others.Wait()
				return nil
			}))
		}
		failed := errors.New("failed")
		if err := db.step(t.Context(), func(*Tx) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("a step that fails: %v", err)
		}
		defer func() {
			if got, is := recover().(error); !is || !errors.Is(got, failed) {
				t.Errorf("a step that panics: %v", got)
			}
			must(t, db.update(t.Context(), func(*Tx) error { return nil }))
		}()
		_ = db.step(t.Context(), func(*Tx) error { panic(failed) })
	})
}
