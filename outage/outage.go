// Package outage tells an operator once that something stopped working, however
// many requests meet it, and once that it works again.
package outage

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Settle is how long nothing must have failed before a success ends an outage.
// A disk that is nearly full takes one change and refuses the next.
const Settle = 5 * time.Second

// A Log follows one thing that may stop working. It is safe for concurrent use.
type Log struct {
	log           *slog.Logger
	now           func() time.Time
	broken, works string
	attrs         []any

	lasting atomic.Bool

	mu     sync.Mutex
	failed time.Time // the last failure; under mu
}

// New returns a Log of something that works so far. Broken is what the operator
// reads when it stops: what is wrong and what to do; works is what they read
// when it is over. The attributes go with both.
func New(log *slog.Logger, now func() time.Time, broken, works string, attrs ...slog.Attr) *Log {
	l := &Log{log: log, now: now, broken: broken, works: works}
	for _, a := range attrs {
		l.attrs = append(l.attrs, a)
	}
	return l
}

// Failed notes a failure. The first one of an outage is told.
func (l *Log) Failed(err error) {
	l.mu.Lock()
	l.failed = l.now()
	first := !l.lasting.Swap(true)
	l.mu.Unlock()
	if first {
		l.log.Error(l.broken, append(l.attrs[:len(l.attrs):len(l.attrs)], slog.Any("error", err))...)
	}
}

// Worked notes a success, which costs next to nothing while there is no outage.
func (l *Log) Worked() {
	if !l.lasting.Load() {
		return
	}
	l.mu.Lock()
	over := l.now().Sub(l.failed) >= Settle && l.lasting.Swap(false)
	l.mu.Unlock()
	if over {
		l.log.Info(l.works, l.attrs...)
	}
}

// Lasting reports whether there is an outage.
func (l *Log) Lasting() bool { return l.lasting.Load() }
