package simulator_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otaria/otaria/simulator"
)

// Devices come up at their time, within two milliseconds: not before, also
// beyond a round of the wheel.
func TestAgendaKeepsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const devices = 500
		a := simulator.NewAgenda(devices)
		random := rand.New(rand.NewPCG(1, 2))
		start := time.Now()
		due := make([]time.Time, devices)
		for i := range due {
			due[i] = start.Add(time.Duration(random.Int64N(int64(2 * time.Minute))))
			a.Put(i, due[i])
		}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		var clock sync.WaitGroup
		clock.Go(func() { a.Run(ctx) })
		for n := range 3 * devices {
			i, ok := a.Take()
			if !ok {
				t.Fatalf("the agenda ended after %d turns", n)
			}
			if late := time.Since(due[i]); late < -time.Millisecond || late > 2*time.Millisecond {
				t.Errorf("device %d had its turn %s after it was due", i, late)
			}
			due[i] = time.Now().Add(time.Duration(random.Int64N(int64(90 * time.Second))))
			a.Put(i, due[i])
		}
		end()
		clock.Wait()
		if _, ok := a.Take(); ok {
			t.Error("a turn after the end")
		}
	})
}

func TestAgendaHandsOutDueTurnsInOrder(t *testing.T) {
	t.Parallel()
	a := simulator.NewAgenda(4)
	for _, i := range []int{2, 0, 3, 1} {
		a.Put(i, time.Now().Add(-time.Second))
	}
	for _, want := range []int{2, 0, 3, 1} {
		if got, _ := a.Take(); got != want {
			t.Errorf("turn of %d, want %d", got, want)
		}
	}
}
