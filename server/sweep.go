package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/otaria/otaria/software"
)

// sweepStep bounds one step of the search of the blob store.
const sweepStep = 500

// sweep searches the blob store from time to time for contents that no artifact
// has: what refused or crashed uploads and deletions left. Each process searches
// its own store, which others may share: the store's grace time keeps what one
// of them has stored and not yet recorded (see package blob), and what one
// misses, the next round gets. A crash loses the place, and nothing else. It does
// not begin at the start: who started with the wrong database may still notice.
func sweep(ctx context.Context, s *software.Service, every time.Duration, log *slog.Logger) error {
	pause := time.NewTimer(every)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		var contents int
		var bytes int64
		for after := ""; ; {
			next, removed, err := s.Sweep(ctx, after, sweepStep)
			contents += removed.Contents
			bytes += removed.Bytes
			if err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "the search for artifact bytes that nothing needs broke off; it begins anew in the next round", slog.Any("error", err))
			}
			if err != nil || next == "" {
				break
			}
			after = next
		}
		if contents > 0 {
			log.InfoContext(ctx, "removed artifact bytes that nothing needs", slog.Int("contents", contents), slog.Int64("bytes", bytes))
		}
		pause.Reset(every)
	}
}
