package store

import (
	"context"
	"fmt"

	"github.com/otaria/otaria/tenant"
)

// targetTotal is how many targets the tenant $1 has.
const targetTotal = "SELECT CAST(coalesce(sum(change), 0) AS BIGINT) FROM target_count WHERE tenant_id = $1"

// foldEvery is after how many changes their rows are made one.
const foldEvery = 64

// targetsChanged notes that the tenant has n more targets, or fewer, once the
// transaction is committed.
func (tx *Tx) targetsChanged(ctx context.Context, t tenant.ID, n int) error {
	if n == 0 {
		return nil
	}
	id, err := tx.insert(ctx, "INSERT INTO target_count (tenant_id, change) VALUES ($1, $2) RETURNING id", t, n)
	if err != nil {
		return fmt.Errorf("count targets: %w", err)
	}
	if id%foldEvery != 0 {
		return nil
	}
	rows, err := all(ctx, tx, scalar[int64], "DELETE FROM target_count WHERE id IN (SELECT id FROM target_count WHERE tenant_id = $1 ORDER BY id LIMIT 1000"+tx.db.skipLocked+") RETURNING change", t)
	if err != nil {
		return fmt.Errorf("fold the count of targets: %w", err)
	}
	sum := int64(0)
	for _, change := range rows {
		sum += change
	}
	if _, err := tx.exec(ctx, "INSERT INTO target_count (tenant_id, change) VALUES ($1, $2)", t, sum); err != nil {
		return fmt.Errorf("fold the count of targets: %w", err)
	}
	return nil
}
