package store

import (
	"context"
	"time"

	"github.com/otaria/otaria/lease"
)

// Leases keeps the leases of background work.
type Leases struct{ DB *DB }

// TakeLease implements lease.Store.
func (s Leases) TakeLease(ctx context.Context, name string, holder int64, now, until time.Time) (*lease.Held, error) {
	var fence int64
	err := s.DB.update(ctx, func(tx *Tx) error {
		return tx.row(ctx, `INSERT INTO lease (name, holder, fence, ends_at) VALUES ($1, $2, 1, $4)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at, fence = CASE WHEN lease.holder = excluded.holder THEN lease.fence ELSE lease.fence + 1 END
			WHERE lease.holder = excluded.holder OR lease.ends_at <= $3 RETURNING fence`, name, holder, now.UnixMilli(), until.UnixMilli()).Scan(&fence)
	})
	if none(err) {
		return nil, nil //nolint:nilnil // another process has it, which is no error
	}
	if err != nil {
		return nil, err
	}
	return &lease.Held{Name: name, Holder: holder, Fence: fence}, nil
}

// ReleaseLease implements lease.Store.
func (s Leases) ReleaseLease(ctx context.Context, h lease.Held) error {
	return s.DB.update(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, "UPDATE lease SET ends_at = 0 WHERE name = $1 AND holder = $2 AND fence = $3", h.Name, h.Holder, h.Fence)
		return err
	})
}

// proveLease makes sure that nobody took the lease, until the transaction ends.
func (tx *Tx) proveLease(ctx context.Context, h *lease.Held) error {
	if h == nil || h.Fence == 0 {
		return nil
	}
	var one int
	err := tx.row(ctx, "SELECT 1 FROM lease WHERE name = $1 AND holder = $2 AND fence = $3"+tx.db.forShare, h.Name, h.Holder, h.Fence).Scan(&one)
	if none(err) {
		return lease.ErrLost
	}
	return err
}
