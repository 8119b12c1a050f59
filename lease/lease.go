// Package lease lets one process at a time do a kind of background work. A lease
// has a fence, which grows with each new holder; whoever changes something on the
// strength of a lease checks it in the same transaction, so that a holder that
// was taken for dead and woke up changes nothing.
package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrLost says that the lease is another's by now.
var ErrLost = errors.New("the lease is held by another process")

// Lost reports whether err says so.
func Lost(err error) bool { return errors.Is(err, ErrLost) }

// Held is a lease that this process holds, or held. Without a fence it is one
// that nobody else could take.
type Held struct {
	Name   string
	Holder int64
	Fence  int64
}

// Store keeps leases.
type Store interface {
	// TakeLease takes or prolongs the lease until the moment, unless another holder
	// has it beyond now; then it returns nil.
	TakeLease(ctx context.Context, name string, holder int64, now, until time.Time) (*Held, error)

	// ReleaseLease gives it up; another's is left alone.
	ReleaseLease(ctx context.Context, h Held) error
}

// Keeper takes leases for this process. It is safe for concurrent use.
type Keeper struct {
	Store  Store         // nil: no other process uses the database, and every lease is held
	Holder int64         // names the process; no two that run have the same
	For    time.Duration // how long a lease outlives its holder
	Now    func() time.Time

	mu   sync.Mutex
	held map[string]*holding
}

type holding struct {
	Held
	renew time.Time
}

// Hold takes or prolongs a lease; nil when another process has it. It may be
// called often: a lease is prolonged when half of its time is over. The clocks of
// the processes should agree within that time; one that is ahead takes leases too
// early, which the fence makes harmless.
func (k *Keeper) Hold(ctx context.Context, name string) (*Held, error) {
	if k.Store == nil {
		return &Held{Name: name}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Now()
	if h := k.held[name]; h != nil && now.Before(h.renew) {
		return &h.Held, nil
	}
	h, err := k.Store.TakeLease(ctx, name, k.Holder, now, now.Add(k.For))
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", name, err)
	}
	if h == nil {
		delete(k.held, name)
		return nil, nil //nolint:nilnil // nobody is at fault
	}
	if k.held == nil {
		k.held = map[string]*holding{}
	}
	k.held[name] = &holding{*h, now.Add(k.For / 2)}
	return h, nil
}

// Lose forgets a lease that a step failed to prove.
func (k *Keeper) Lose(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, name)
}

// Release gives all leases up, so that another process need not wait for their end.
func (k *Keeper) Release(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, h := range k.held {
		if err := k.Store.ReleaseLease(ctx, h.Held); err != nil {
			return fmt.Errorf("lease %s: %w", name, err)
		}
	}
	clear(k.held)
	return nil
}
