package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otaria/otaria/internal/testdb"
)

// eachCrowd runs a benchmark on each database, of one call at a time and of 64. Begin
// makes what is measured: the call with a number below b.N.
func eachCrowd(b *testing.B, begin func(*testing.B, *world) func(i int64) error) {
	b.Helper()
	for _, at := range testdb.All(b) {
		for _, some := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", at.Name, some), func(b *testing.B) {
				call := begin(b, benchWorld(b, at))
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range some {
					wg.Go(func() {
						for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
							if err := call(i); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkFirstPolls measures what the first poll of a target leaves that an
// operator added.
func BenchmarkFirstPolls(b *testing.B) {
	eachCrowd(b, func(b *testing.B, w *world) func(int64) error {
		b.Helper()
		added := newcomers(fmt.Sprintf("%s-%d", b.Name(), b.N), b.N)
		if err := (Fleet{w.db}).CreateTargets(w.ctx, w.tenant, added); err != nil {
			b.Fatal(err)
		}
		return func(i int64) error {
			return Fleet{w.db}.Seen(w.ctx, w.tenant, added[i].ID, "http://192.0.2.7", time.UnixMilli(2+i))
		}
	})
}

// BenchmarkRegister measures registrations by the devices themselves.
func BenchmarkRegister(b *testing.B) {
	eachCrowd(b, func(b *testing.B, w *world) func(int64) error {
		b.Helper()
		list := newcomers(fmt.Sprintf("%s-%d", b.Name(), b.N), b.N)
		return func(i int64) error { return Fleet{w.db}.Register(w.ctx, w.tenant, &list[i]) }
	})
}
