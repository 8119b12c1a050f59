package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/internal/testdb"
)

// BenchmarkReports measures reports of 64 devices at once, and of one alone.
func BenchmarkReports(b *testing.B) {
	for _, at := range testdb.All(b) {
		for _, devices := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", at.Name, devices), func(b *testing.B) {
				db, err := Open(b.Context(), Options{URL: at.URL})
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := db.Close(); err != nil {
						b.Error(err)
					}
				}()
				w := newWorld(b, db)
				w.service.Limits = deployment.Limits{}
				names := make([]fleet.ControllerID, devices)
				for i := range names {
					names[i] = fleet.ControllerID(fmt.Sprintf("%s-%d-%d", b.Name(), b.N, i))
				}
				w.targets(b, names...)
				actions := w.assign(b, w.set(b, fmt.Sprintf("%s-%d", b.Name(), b.N)), names...)
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var wg sync.WaitGroup
				for _, name := range names {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := w.service.Report(w.ctx, name, actions[name], deployment.Report{Execution: deployment.ExecProceeding, Details: []string{"half way"}}); err != nil {
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
