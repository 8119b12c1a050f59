package store

import (
	"context"
	"fmt"
	"time"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/tenant"
)

// RecordProgress implements deployment.DocumentStore.
func (d Deployment) RecordProgress(ctx context.Context, t tenant.ID, p deployment.DownloadProgress, now time.Time) error {
	return d.DB.update(ctx, func(tx *Tx) error {
		tx.record(event.Event{
			Tenant: t, Kind: event.ActionDownload, Subject: int64(p.Action), Reach: event.NoTarget,
			Data: fmt.Sprintf(`{"entry":%d,"bytes":%d}`, p.Entry, p.Bytes), At: now.UnixMilli(),
		})
		return nil
	})
}
