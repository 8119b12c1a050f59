package local_test

import (
	"context"
	"sync/atomic"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/blob/local"
)

// taking takes turns between stores.
type taking struct {
	stores [2]*local.Store
	turn   atomic.Uint32
}

func (s *taking) next() *local.Store { return s.stores[s.turn.Add(1)%2] }

func (s *taking) Create(ctx context.Context) (blob.Upload, error) { return s.next().Create(ctx) }

func (s *taking) Open(ctx context.Context, sha256 string) (blob.Blob, error) {
	return s.next().Open(ctx, sha256)
}

func (s *taking) Remove(ctx context.Context, sha256 string, stillUsed func() (bool, error)) (bool, error) {
	return s.next().Remove(ctx, sha256, stillUsed)
}

func (s *taking) List(ctx context.Context, after string, limit int) ([]blob.Info, error) {
	return s.next().List(ctx, after, limit)
}
