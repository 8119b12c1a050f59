// Package identity knows who operators are and what they may do: accounts with
// passwords, the permissions and what they imply.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/tenant"
)

// Account is one operator of one tenant.
type Account struct {
	ID           int64
	Tenant       tenant.ID
	TenantName   string // canonical
	Name         string
	PasswordHash string
	Authorities  []string // as granted, roles not expanded
}

// Principal is an operator who proved who they are.
type Principal struct {
	Tenant      tenant.ID
	TenantName  string
	User        string
	Authorities []string // as granted, sorted
	Permissions Permissions
}

// Store is what identity needs kept. Every method is one transaction.
type Store interface {
	// Account returns the account, or fault.NotFound.
	Account(ctx context.Context, tenantName, name string) (*Account, error)

	// CreateAccount adds an account; fault.Exists when the name is taken.
	CreateAccount(ctx context.Context, a Account, now time.Time) error

	// HasAccounts reports whether any tenant has an account.
	HasAccounts(ctx context.Context) (bool, error)
}

// Service authenticates operators.
type Service struct {
	Store         Store
	DefaultTenant string // canonical; of user names that name none
	Now           func() time.Time

	hashing sync.Mutex // one hash at a time: each takes 19 MiB, and a stranger can ask for many

	mu    sync.Mutex
	known map[[32]byte]proof
	salt  []byte // keys the cache, so that it holds nothing that can be guessed from a dump
}

// proof remembers that a password was right: Argon2 costs tens of milliseconds
// on purpose, and scripts send the same credentials with every request.
type proof struct {
	principal *Principal
	until     time.Time
}

const (
	// proofLasts bounds how long a changed or deleted account still works in
	// another process; in this one Forget ends it at once.
	proofLasts = 30 * time.Second
	maxProofs  = 10_000
)

// Authenticate checks a user name ("user", "TENANT\user", also percent-encoded)
// and password. Whatever is wrong, the answer is fault.Unauthenticated, in like
// time.
func (s *Service) Authenticate(ctx context.Context, login, password string) (*Principal, error) {
	tenantName, name := s.split(login)
	k := s.proofKey(tenantName, name, password)
	if p := s.proven(k); p != nil {
		return p, nil
	}
	a, err := s.Store.Account(ctx, tenantName, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, fmt.Errorf("read account: %w", err)
	}
	hash := absentHash
	if a != nil {
		hash = a.PasswordHash
	}
	s.hashing.Lock()
	right, err := CheckPassword(hash, password)
	s.hashing.Unlock()
	if err != nil {
		return nil, fmt.Errorf("account %q of tenant %s: %w", name, tenantName, err)
	}
	if !right || a == nil {
		return nil, fault.New(fault.Unauthenticated, "Unknown user or wrong password.")
	}
	authorities := slices.Sorted(slices.Values(a.Authorities))
	p := &Principal{Tenant: a.Tenant, TenantName: a.TenantName, User: a.Name, Authorities: authorities, Permissions: Expand(authorities)}
	s.remember(k, p)
	return p, nil
}

// split takes a login apart. A backslash that arrived percent-encoded counts.
func (s *Service) split(login string) (tenantName, name string) {
	if !strings.Contains(login, `\`) {
		if u, err := url.PathUnescape(login); err == nil {
			login = u
		}
	}
	if t, n, ok := strings.Cut(login, `\`); ok {
		return tenant.Canonical(t), n
	}
	return s.DefaultTenant, login
}

func (s *Service) proofKey(parts ...string) [32]byte {
	s.mu.Lock()
	if s.salt == nil {
		s.salt = make([]byte, 32)
		_, _ = rand.Read(s.salt) // never fails (crypto/rand)
	}
	h := sha256.New()
	h.Write(s.salt)
	s.mu.Unlock()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return [32]byte(h.Sum(nil))
}

func (s *Service) proven(k [32]byte) *Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.known[k]
	if !ok || s.Now().After(p.until) {
		return nil
	}
	return p.principal
}

func (s *Service) remember(k [32]byte, p *Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxProofs {
		s.known = map[[32]byte]proof{}
	}
	s.known[k] = proof{p, s.Now().Add(proofLasts)}
}

// Forget drops all remembered proofs, after an account changed.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

// EnsureAdmin creates the first administrator of the tenant when there is no
// account at all. It returns the password when it made one up, else "".
func (s *Service) EnsureAdmin(ctx context.Context, id tenant.ID, user, password string) (generated string, created bool, err error) {
	has, err := s.Store.HasAccounts(ctx)
	if err != nil || has {
		return "", false, err
	}
	if password == "" {
		password = rand.Text()
		generated = password
	}
	hash := HashPassword(password)
	err = s.Store.CreateAccount(ctx, Account{Tenant: id, Name: user, PasswordHash: hash, Authorities: []string{RoleTenantAdmin}}, s.Now())
	if fault.Is(err, fault.Exists) { // another process was first
		return "", false, nil
	}
	return generated, err == nil, err
}

// Argon2id with 19 MiB, two passes, one lane: the OWASP minimum, some 40 ms.
const (
	argonTime   = 2
	argonMemory = 19 * 1024 // KiB
	argonLanes  = 1
	argonKey    = 32
)

// absentHash is checked when there is no account, so that an unknown user costs
// the time of a known one. No password matches it.
const absentHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// HashPassword returns the Argon2id hash of the password in PHC string format.
func HashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, enc(salt), enc(sum))
}

// CheckPassword reports whether the password has this hash. An error means
// that the hash itself is damaged.
func CheckPassword(hash, password string) (bool, error) {
	var version, memory, passes uint32
	var lanes uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("stored password hash is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil || passes == 0 || lanes == 0 || memory > 1<<20 {
		return false, errors.New("stored password hash has unreadable parameters")
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(err1, err2); err != nil || len(want) == 0 {
		return false, errors.New("stored password hash is damaged")
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
