package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/otaria/otaria/software"
)

const (
	// sweepEvery is how often the blob store is searched for contents that no
	// artifact has: what refused or crashed uploads and deletions left.
	sweepEvery = time.Hour
	// sweepStep bounds one step of the search.
	sweepStep = 500
)

// sweep searches the blob store from time to time. Several processes may do so
// at once; what one of them misses, the next round gets.
func sweep(ctx context.Context, s *software.Service, log *slog.Logger) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var contents int
		var bytes int64
		for after := ""; ; {
			next, removed, err := s.Sweep(ctx, after, sweepStep)
			contents += removed.Contents
			bytes += removed.Bytes
			if err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "the search for artifact bytes that nothing needs broke off; it begins anew in an hour", slog.Any("error", err))
			}
			if err != nil || next == "" {
				break
			}
			after = next
		}
		if contents > 0 {
			log.InfoContext(ctx, "removed artifact bytes that nothing needs", slog.Int("contents", contents), slog.Int64("bytes", bytes))
		}
	}
}
