// Package server puts the parts together: database, blob store, domain
// services, APIs, listeners and background work; and takes them down in order.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/otaria/otaria/api/ddi"
	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/blob/local"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/lease"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/store"
	"github.com/otaria/otaria/tenant"
)

// DefaultTenant is the tenant of a fresh server, and of users who name none.
const DefaultTenant = "DEFAULT"

// Config is what an operator can set. cmd/otaria documents the flags.
type Config struct {
	Listen          string
	DataDir         string
	DatabaseURL     string // empty: SQLite in DataDir
	AdminUser       string // of the first administrator
	AdminPassword   string // empty: made up and printed once
	TrustedProxies  []netip.Prefix
	ArtifactLinks   []download.Link // of artifacts, in what devices read
	TLSCert, TLSKey string
	ShutdownTimeout time.Duration // for running requests
	MaxUpload       int64         // bytes
	Quotas          tenant.Quotas // of every tenant
	BackgroundEvery time.Duration // between two looks at each rollout and auto-assignment; 0: two seconds
	BackgroundStep  int           // how many targets or actions a step of background work takes; 0: as many as are a moment's work
	CleanupEvery    time.Duration // between two searches for what nothing needs; 0: an hour
	EventsAge       time.Duration // how long events are kept; 0: DefaultEventsAge
	EventsCount     int64         // how many events are kept at most; 0: DefaultEventsCount
	Pprof           string        // address that Go's profiles are served on; empty: none
	Version         string
	Log             *slog.Logger
	Notice          io.Writer // what a person who starts the server is told
}

const (
	// saveVisitsEvery bounds what a crash loses of last-seen times.
	saveVisitsEvery = time.Second
	// followEvery is how often the events of other processes are read. A poll may
	// miss another process's change for trustFor at most.
	followEvery = 250 * time.Millisecond
	trustFor    = 900 * time.Millisecond
	// followWithin gives up on a connection that hangs; the next look takes another.
	followWithin = 5 * time.Second
	// forgetEvery is short, so that a busy server removes a few thousand events at
	// a time.
	forgetEvery = 2 * time.Second
	// Streams of events cost some tens of kilobytes each.
	maxStreams          = 1000
	maxStreamsPerTenant = 100
	// engineEvery is how long a rollout is left alone between two looks at it.
	// Clients of the contract expect two seconds.
	engineEvery = 2 * time.Second
	// leaseTurns is for how many looks background work stands still when the
	// process that did it is gone without a word.
	leaseTurns    = 5
	releaseWithin = 2 * time.Second
	// defaultCleanup is how often old actions and artifact bytes are looked for.
	// It costs a look at the actions' index, and takes a thousand at once.
	defaultCleanup = time.Hour
	// pollIndexSize bounds the poll index: some 200 bytes an entry, filled as
	// devices come.
	pollIndexSize = 4 << 20
)

// What is kept of events unless Config says otherwise, and at least. Other
// processes read them within seconds; a client may be away for longer.
const (
	DefaultEventsAge   = 24 * time.Hour
	DefaultEventsCount = 1_000_000
	MinEventsAge       = time.Minute
	MinEventsCount     = 10_000
)

// Run serves until ctx ends, then lets running requests end, saves what is
// gathered, and returns.
func Run(ctx context.Context, c Config) (err error) {
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil // told to stop before it began to serve
		}
	}()
	c.EventsAge, c.EventsCount = cmp.Or(c.EventsAge, DefaultEventsAge), cmp.Or(c.EventsCount, DefaultEventsCount)
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	unlock, err := lockDir(c.DataDir, c.DatabaseURL != "")
	if err != nil {
		return err
	}
	defer unlock()
	url := c.DatabaseURL
	if url == "" {
		url = filepath.Join(c.DataDir, "otaria.db")
	}
	db, err := store.Open(ctx, store.Options{URL: url, Log: c.Log})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	blobs, err := local.Open(filepath.Join(c.DataDir, "artifacts"), local.Options{Now: time.Now, Log: c.Log})
	if err != nil {
		return fmt.Errorf("open the artifact store: %w", err)
	}

	quotas := c.Quotas
	now := time.Now
	rules := tenant.Rules{CheckQuery: func(text string) error {
		_, err := query.Parse(text, fleet.TargetFields())
		return err
	}}
	tenants := &tenant.Service{Store: store.Tenants{DB: db}, Now: now, Log: c.Log, Rules: rules, Shared: db.Shared()}
	users := &identity.Service{Store: store.Accounts{DB: db}, DefaultTenant: DefaultTenant, Now: now}
	keepFleet, keepDeployment := store.Fleet{DB: db}, store.Deployment{DB: db}
	visits := &fleet.Visits{Store: keepFleet, Log: c.Log}
	polls := deployment.NewPollIndex(keepDeployment, pollIndexSize, now)
	feed := &event.Feed{Store: db, Log: c.Log, Now: now, Shared: db.Shared(), MaxReaders: maxStreams, MaxPerTenant: maxStreamsPerTenant}
	db.Listen(func(events []event.Event) {
		polls.Drop(events)
		feed.Wake()
		for _, e := range events {
			switch e.Kind {
			case event.SettingsChanged:
				tenants.Forget()
			case event.AccountChanged:
				users.Forget()
			default:
			}
		}
	})
	targets := &fleet.Service{Store: keepFleet, Visits: visits, Tenants: tenants, Quotas: quotas, Now: now, NewToken: fleet.NewToken}
	actions := &deployment.Service{Store: keepDeployment, Polls: polls, Tenants: tenants, Software: store.Software{DB: db}, Quotas: quotas, Now: now, Limits: deployment.Limits{Entries: quotas.EntriesPerAction, Messages: quotas.MessagesPerEntry}}
	keepRollouts := store.Rollouts{DB: db}
	campaigns := &rollout.Service{Store: keepRollouts, Tenants: tenants, Quotas: quotas, Now: now, Log: c.Log, StepSize: int64(c.BackgroundStep)}
	lookEvery := cmp.Or(c.BackgroundEvery, engineEvery)
	leases := &lease.Keeper{Holder: rand.Int64(), For: leaseTurns * lookEvery, Now: now} //nolint:gosec // tells processes apart, keeps no secret
	if db.Shared() {
		leases.Store = store.Leases{DB: db}
	}
	every := cmp.Or(c.CleanupEvery, defaultCleanup)
	cleaner := &deployment.Cleaner{Store: keepDeployment, Tenants: tenants, Lease: leases, Every: every, Step: c.BackgroundStep, Now: now, Log: c.Log}
	engine := &rollout.Engine{Rollouts: campaigns, Lease: leases, Every: lookEvery, Log: c.Log}
	modules := &software.Service{Store: store.Software{DB: db}, Blobs: blobs, Tenants: tenants, Quotas: quotas, Now: now}
	management := &mgmt.API{Identity: users, Tenants: tenants, Software: modules, Fleet: targets, Deployment: actions, Rollout: campaigns, Events: feed, Quotas: quotas, Log: c.Log, MaxUpload: c.MaxUpload}
	families := ddi.DefaultIdentityHeaders()
	devices := &ddi.API{Tenants: tenants, Software: modules, ArtifactLinks: c.ArtifactLinks, Fleet: targets, Deployment: actions, Identity: families, Log: c.Log, Now: now}

	if err := (store.Tenants{DB: db}).EnsureTenant(ctx, DefaultTenant, now()); err != nil {
		return fmt.Errorf("create the tenant %s: %w", DefaultTenant, err)
	}
	first, err := tenants.ByName(ctx, DefaultTenant)
	if err != nil {
		return fmt.Errorf("read the tenant %s: %w", DefaultTenant, err)
	}
	generated, created, err := users.EnsureAdmin(ctx, first.ID, c.AdminUser, c.AdminPassword)
	if err != nil {
		return fmt.Errorf("create the first administrator: %w", err)
	}
	if created {
		debug.FreeOSMemory() // hashing took far more than the server needs at rest
	}
	var since store.Followed
	if db.Shared() {
		if since, err = db.Follow(ctx, since); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		polls.Trust(now().Add(trustFor))
	} else {
		polls.TrustAlways()
	}

	forwarding := httpjson.Forwarding{Trusted: c.TrustedProxies, ProxyHeaders: ddi.Headers(families)}
	h := HTTP(forwarding.Handler(root(devices.Handler(), management.Handler(), db, c.Version, c.Log)), c.Log)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	scheme := "http"
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return errors.Join(fmt.Errorf("TLS certificate: %w", err), listener.Close())
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
		scheme = "https"
	}
	serveProfiles, err := profiles(ctx, c.Pprof)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	welcome(c, scheme, listener.Addr(), generated, created)

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, gctx := errgroup.WithContext(background)
	g.Go(func() error { return visits.Run(gctx, saveVisitsEvery) })
	g.Go(func() error { return sweep(gctx, modules, every, c.Log) })
	g.Go(func() error { return serveProfiles(gctx) })
	g.Go(func() error { return watchHeap(gctx) })
	g.Go(func() error { return forget(gctx, db, c) })
	g.Go(func() error {
		leased, lctx := errgroup.WithContext(gctx)
		leased.Go(func() error { return engine.Run(lctx) })
		leased.Go(func() error { return cleaner.Run(lctx) })
		err := leased.Wait()
		end, cancel := context.WithTimeout(context.WithoutCancel(gctx), releaseWithin)
		defer cancel()
		if e := leases.Release(end); e != nil {
			c.Log.DebugContext(end, "leases end by themselves", slog.Any("error", e))
		}
		return err
	})
	g.Go(func() error { return feed.Run(gctx) })
	if db.Shared() {
		g.Go(func() error { return follow(gctx, db, polls, since, c.Log) })
	}
	h.RegisterOnShutdown(feed.Close) // streams would never end by themselves
	g.Go(func() error {
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-gctx.Done():
		}
		c.Log.InfoContext(ctx, "stopping: running requests may end", slog.Duration("within", c.ShutdownTimeout))
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
		defer cancel()
		err := h.Shutdown(end)
		if errors.Is(err, context.DeadlineExceeded) {
			c.Log.WarnContext(ctx, "requests were cut off at the shutdown timeout")
			err = h.Close()
		}
		stop() // the last check-ins are in: save them
		return err
	})
	return g.Wait()
}

// HTTP returns the HTTP server that requests are served by, with its limits and
// without a listener.
func HTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// follow reads what other processes changed.
func follow(ctx context.Context, db *store.DB, polls *deployment.PollIndex, since store.Followed, log *slog.Logger) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		soon, cancel := context.WithTimeout(ctx, followWithin)
		next, err := db.Follow(soon, since)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				log.DebugContext(ctx, "events cannot be read; polls go to the database", slog.Any("error", err))
			}
			continue
		}
		since = next
		polls.Trust(began.Add(trustFor))
	}
}

// forget removes events that are too old or too many.
func forget(ctx context.Context, db *store.DB, c Config) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = db.ForgetEvents(ctx, time.Now().Add(-c.EventsAge), c.EventsCount); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
				c.Log.WarnContext(ctx, "old events could not be removed; they only take space", slog.Any("error", err))
			}
		}
	}
}

// root sends each request to its API. The descriptions of the APIs are for everybody.
func root(devices, management http.Handler, db *store.DB, version string, log *slog.Logger) http.Handler {
	front := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n") // a client that is gone needs no answer
	}
	ready := func(w http.ResponseWriter, r *http.Request) {
		if err := db.Ping(r.Context()); err != nil {
			http.Error(w, "the database cannot be written", http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	}
	front.HandleFunc("GET /livez", ok)
	front.HandleFunc("GET /readyz", ready)
	front.HandleFunc("GET /healthz", ready)
	front.Handle("/openapi/management.json", openapi.Handler(func() openapi.API { return mgmt.Document(version) }, log))
	front.Handle("/openapi/ddi.json", openapi.Handler(func() openapi.API { return ddi.Document(version) }, log))
	front.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "Otaria, an update server.\nManagement API: /rest/v1\nDevice API: /{tenant}/controller/v1/{controllerId}\nTheir descriptions: /openapi/management.json, /openapi/ddi.json\n")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; {
		case ddi.Serves(p):
			devices.ServeHTTP(w, r)
		case p == "/rest" || strings.HasPrefix(p, "/rest/"):
			management.ServeHTTP(w, r)
		default:
			front.ServeHTTP(w, r)
		}
	})
}

// lockDir makes sure that one process alone uses an embedded database. Servers
// that share PostgreSQL may share the directory.
func lockDir(dir string, shared bool) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another otaria uses the data directory %s; stop it, or choose another --data", dir), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock up
}

// welcome tells the person who started the server how to go on.
func welcome(c Config, scheme string, addr net.Addr, generated string, created bool) {
	host := addr.String()
	if a, err := netip.ParseAddrPort(host); err == nil && a.Addr().IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", a.Port())
	}
	url := scheme + "://" + host
	text := fmt.Sprintf("otaria %s is ready at %s, its data in %s\n", c.Version, url, c.DataDir)
	password := "your password"
	switch {
	case generated != "":
		text += fmt.Sprintf("First administrator: user %s, password %s (shown this once; keep it)\n", c.AdminUser, generated)
		password = generated
	case created:
		text += fmt.Sprintf("First administrator: user %s, with the password you gave\n", c.AdminUser)
	}
	text += fmt.Sprintf("Try: curl -u '%s:%s' %s/rest/v1/softwaremoduletypes\n", c.AdminUser, password, url)
	_, _ = io.WriteString(c.Notice, text) // nobody may be looking
}
