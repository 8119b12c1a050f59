package fleet

import (
	"time"

	"github.com/otaria/otaria/tenant"
)

// Service is what the edges call. The tenant and the user are those of the
// caller in the context.
type Service struct {
	Store    Store
	Visits   *Visits
	Quotas   tenant.Quotas
	Now      func() time.Time
	NewToken func() string // NewToken outside tests
}

// Store is what fleet needs kept, declared piece by piece beside what needs it.
type Store interface {
	VisitStore
	RegisterStore
	AttributeStore
}
