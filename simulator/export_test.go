package simulator

import (
	"bufio"
	"context"
	"time"
)

// Agenda opens an agenda to the tests.
type Agenda struct{ a *agenda }

// NewAgenda begins now.
func NewAgenda(devices int) Agenda { return Agenda{newAgenda(devices, time.Now())} }

// Run is run.
func (a Agenda) Run(ctx context.Context) { a.a.run(ctx) }

// Put is put.
func (a Agenda) Put(i int, at time.Time) { a.a.put(int32(i), at) }

// Take is take.
func (a Agenda) Take() (int, bool) {
	i, _, ok := a.a.take()
	return int(i), ok
}

// ReadHead is readHead.
func ReadHead(r *bufio.Reader) (status int, length int64, closes bool, err error) {
	h, err := readHead(r)
	return h.status, h.length, h.close, err
}
