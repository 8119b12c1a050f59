package store

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// nicer is what the thread's nice value grows by: where processors are short it
	// has a tenth of the time of each that is not nice. With less it would keep the
	// database locked for too long.
	nicer = 10
	// briefly is the least time that the kernel lets a thread have at once, from 6.12
	// on; earlier ones ignore it. Without it a thread that is as nice as can be still
	// has 3 to 4 ms at once.
	briefly = 100 * time.Microsecond
)

// letOthersFirst makes this thread one that others go before. Where the system does
// not allow that, or somebody has given the program a policy of its own, it stays.
func letOthersFirst() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return
	}
	attr.Nice = min(attr.Nice+nicer, 19)
	attr.Runtime = uint64(briefly)
	_ = unix.SchedSetAttr(0, attr, 0)
}

func isMainThread() bool { return unix.Gettid() == unix.Getpid() }
