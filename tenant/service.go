package tenant

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/otaria/otaria/fault"
)

// An Override is a setting that a tenant has of its own.
type Override struct {
	Key        Key
	Value      string // as stored
	CreatedBy  string
	CreatedAt  time.Time
	ModifiedBy string
	ModifiedAt time.Time
}

// Record is a tenant as it is kept.
type Record struct {
	ID             ID
	Name           string
	DefaultSetType int64
	Overrides      []Override
}

// Change is what one call does to a tenant's settings, all or nothing.
type Change struct {
	Set            map[Key]string // stored values
	Reset          []Key          // back to the server's default
	DefaultSetType int64          // 0: stays
}

// Store is what tenants need kept. Every method is one transaction.
type Store interface {
	// TenantByName and TenantByID return fault.TenantUnknown when there is none.
	TenantByName(ctx context.Context, name string) (Record, error)
	TenantByID(ctx context.Context, id ID) (Record, error)

	// SaveSettings makes the change for the user of the caller in ctx, and tells
	// of it by an event. A value that is there already keeps its stamps.
	// fault.NotFound when the set type is not one of the tenant's.
	SaveSettings(ctx context.Context, id ID, c Change, now time.Time) error
}

// Tenant is a tenant with its settings as they are in force. It is never
// changed; a change of settings makes a new one.
type Tenant struct {
	Record
	Settings *Settings
}

// Service gives tenants and their settings from memory. What it gives is never
// older than a second: a change drops the copy (see Forget), and a copy that
// nobody confirmed for a second is read anew where other processes may have
// changed it.
type Service struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger

	// Rules are what settings are checked against.
	Rules Rules

	// Shared says that other processes may change settings.
	Shared bool

	mu      sync.RWMutex
	byName  map[string]*cached
	byID    map[ID]*cached
	version uint64 // of drops, so that a copy read before one is not kept after it
}

type cached struct {
	tenant *Tenant // nil: there is no such tenant
	until  time.Time
}

const (
	// cachedFor is how long a copy is used unconfirmed.
	cachedFor = time.Second

	// maxCached bounds the names kept, most of which a stranger may have made up.
	maxCached = 10_000
)

// ByName returns the tenant of this name, in any case, or fault.TenantUnknown.
func (s *Service) ByName(ctx context.Context, name string) (*Tenant, error) {
	if len(name) > 4*MaxName {
		return nil, errUnknown()
	}
	name = Canonical(name)
	s.mu.RLock()
	c, version := s.byName[name], s.version
	s.mu.RUnlock()
	if s.usable(c) {
		if c.tenant == nil {
			return nil, errUnknown()
		}
		return c.tenant, nil
	}
	r, err := s.Store.TenantByName(ctx, name)
	return s.keep(name, r, err, version)
}

// ByID returns the tenant, or fault.TenantUnknown.
func (s *Service) ByID(ctx context.Context, id ID) (*Tenant, error) {
	s.mu.RLock()
	c, version := s.byID[id], s.version
	s.mu.RUnlock()
	if s.usable(c) && c.tenant != nil {
		return c.tenant, nil
	}
	r, err := s.Store.TenantByID(ctx, id)
	return s.keep(r.Name, r, err, version)
}

// Settings returns the settings in force for the tenant.
func (s *Service) Settings(ctx context.Context, id ID) (*Settings, error) {
	t, err := s.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return t.Settings, nil
}

func errUnknown() error { return fault.New(fault.TenantUnknown, "There is no such tenant.") }

func (s *Service) usable(c *cached) bool {
	return c != nil && (c.tenant != nil && !s.Shared || s.Now().Before(c.until))
}

func (s *Service) keep(name string, r Record, err error, version uint64) (*Tenant, error) {
	var t *Tenant
	switch {
	case err == nil:
		settings, problems := s.Rules.Settings(r)
		if len(problems) > 0 {
			s.Log.Warn("stored settings cannot be read; their defaults are used", slog.String("tenant", r.Name), slog.Any("error", errors.Join(problems...)))
		}
		t = &Tenant{r, settings}
	case name == "" || !fault.Is(err, fault.TenantUnknown):
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == version {
		if s.byName == nil || len(s.byName) >= maxCached {
			s.byName, s.byID = map[string]*cached{}, map[ID]*cached{}
		}
		c := &cached{t, s.Now().Add(cachedFor)}
		s.byName[name] = c
		if t != nil {
			s.byID[t.ID] = c
		}
	}
	if t == nil {
		return nil, errUnknown()
	}
	return t, nil
}

// Forget drops every copy, after settings changed.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.byName, s.byID = nil, nil
}
