// Command otaria is the update server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/server"
	"github.com/otaria/otaria/tenant"
)

// version is set by the build; a plain go build shows the module's.
var version = "" //nolint:gochecknoglobals // the linker can set nothing else

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes: 0 done, 1 failed, 2 used wrongly.
const (
	exitFailed = 1
	exitUsage  = 2
)

type commands struct {
	Config  string           `help:"YAML file with the settings below, by their long names." placeholder:"FILE" env:"OTARIA_CONFIG"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve serveCommand `cmd:"" help:"Run the update server."`
}

type serveCommand struct {
	Listen          string           `help:"Address to listen on." default:":8080" env:"OTARIA_LISTEN" placeholder:"ADDR"`
	Data            string           `help:"Directory of everything the server keeps: the embedded database and the artifacts." default:"./data" env:"OTARIA_DATA" placeholder:"DIR"`
	DatabaseURL     string           `help:"PostgreSQL to use instead of the embedded SQLite: postgres://user:password@host/name." env:"OTARIA_DATABASE_URL" placeholder:"URL"`
	AdminUser       string           `help:"Name of the first administrator, created in an empty database." default:"admin" env:"OTARIA_ADMIN_USER" placeholder:"NAME"`
	AdminPassword   string           `help:"Password of the first administrator; made up and printed once when not given. Better in the environment than on the command line, where other users see it." env:"OTARIA_ADMIN_PASSWORD" placeholder:"PASSWORD"`
	TrustedProxies  []string         `help:"Addresses or networks of reverse proxies whose X-Forwarded-* and certificate headers count, in place of the default, which is this machine; none: believe nobody. From anyone else these headers are ignored." default:"127.0.0.0/8,::1" env:"OTARIA_TRUSTED_PROXIES" placeholder:"NET"`
	ArtifactURLs    []string         `name:"artifact-url" help:"One more link to each artifact in what devices read, such as download=https://cdn.example.com/{artifactSHA1}. Placeholders: protocolRequest, hostnameRequest, portRequest, tenant, controllerId, softwareModuleId, artifactFileName, artifactSHA1. May be repeated." env:"OTARIA_ARTIFACT_URL" placeholder:"REL=URL"`
	TLSCert         string           `name:"tls-cert" help:"PEM file with the certificate chain; together with --tls-key the server speaks HTTPS (TLS 1.3)." env:"OTARIA_TLS_CERT" placeholder:"FILE"`
	TLSKey          string           `name:"tls-key" help:"PEM file with the certificate's private key." env:"OTARIA_TLS_KEY" placeholder:"FILE"`
	ShutdownTimeout time.Duration    `help:"How long running downloads may go on after SIGTERM." default:"30s" env:"OTARIA_SHUTDOWN_TIMEOUT" placeholder:"TIME"`
	MaxUpload       int64            `help:"Largest artifact, in bytes." default:"4294967296" env:"OTARIA_MAX_UPLOAD" placeholder:"BYTES"`
	Quotas          map[string]int64 `help:"Limits other than the contract's, in place of the file's quotas, by the names that GET /rest/v1/quotas lists, such as targetsPerRolloutGroup=200000; 0: no limit." env:"OTARIA_QUOTAS" mapsep:"," placeholder:"NAME=N,..."`
	BackgroundEvery time.Duration    `help:"How often to look at each rollout and auto-assignment." default:"2s" env:"OTARIA_BACKGROUND_EVERY" hidden:"" placeholder:"TIME"`
	BackgroundStep  int              `help:"How many targets or actions a step of background work takes; 0: as many as are a moment's work." env:"OTARIA_BACKGROUND_STEP" hidden:"" placeholder:"N"`
	CleanupEvery    time.Duration    `help:"How often to look for old actions, as the tenants' settings action.cleanup.auto.* say, and for artifact bytes that nothing needs any more." default:"1h" env:"OTARIA_CLEANUP_EVERY" placeholder:"TIME"`
	EventsAge       time.Duration    `help:"How long events are kept for programs that read GET /rest/v1/events; at least a minute." default:"24h" env:"OTARIA_EVENTS_AGE" placeholder:"TIME"`
	EventsCount     int64            `help:"How many events are kept at most, of all tenants together; at least 10000. A million take about 100 MB." default:"1000000" env:"OTARIA_EVENTS_COUNT" placeholder:"N"`
	LogLevel        slog.Level       `help:"debug, info, warn or error." default:"info" env:"OTARIA_LOG_LEVEL" placeholder:"LEVEL"`
	Pprof           string           `hidden:"" help:"Loopback address to serve Go's profiles on, such as 127.0.0.1:6060." placeholder:"ADDR"`
	LogFormat       string           `help:"text or json." enum:"text,json" default:"text" env:"OTARIA_LOG_FORMAT" placeholder:"FORMAT"`
}

const description = `Updates the software of IoT fleets.

Devices connect over the Direct Device Integration API, operators and scripts
over the management API.

Examples:
  otaria serve
      Start on port 8080 with everything in ./data. The first start makes up the
      administrator's password and prints it once.

  OTARIA_ADMIN_PASSWORD=secret otaria serve --listen 127.0.0.1:9000 --data /var/lib/otaria
      Choose the password, the address and the directory.

  OTARIA_DATABASE_URL=postgres://otaria:secret@db/otaria otaria serve
      Keep everything but artifacts in PostgreSQL; several servers may share it.

  otaria serve --config /etc/otaria.yaml
      Read settings from a file ("listen: :9000"). Flags count before the
      environment, the environment before the file.

  otaria serve --quotas targetsPerRolloutGroup=200000,artifactStorage=0
      Allow larger rollout groups, and artifacts without end. In a file:
      "quotas:", and below it a line for each, "  targetsPerRolloutGroup: 200000".`

func run(args []string, stdout, stderr io.Writer) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("otaria"),
		kong.Description(description),
		kong.Vars{"version": buildVersion()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code; panic(exited{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "otaria:", err)
		return exitFailed
	}
	code := func() (code int) {
		defer func() {
			if p := recover(); p != nil {
				if _, ok := p.(exited); !ok {
					panic(p)
				}
				code = exit
			}
		}()
		if len(args) == 0 {
			args = []string{"--help"}
		}
		k, err := parseWithFile(parser, &c, args)
		if err != nil {
			fmt.Fprintln(stderr, "otaria:", err)
			fmt.Fprintln(stderr, `Run "otaria --help" for the commands, "otaria serve --help" for all settings.`)
			return exitUsage
		}
		if err := k.Run(streams{stdout, stderr}); err != nil {
			fmt.Fprintln(stderr, "otaria:", err)
			return exitFailed
		}
		return 0
	}()
	return code
}

// exited is how kong's exit, after help or version, leaves the parser.
type exited struct{}

type streams struct{ out, err io.Writer }

// Run serves until SIGINT or SIGTERM; a second signal ends it at once.
func (s *serveCommand) Run(st streams) error {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(st.err, options)
	if s.LogFormat == "json" {
		handler = slog.NewJSONHandler(st.err, options)
	}
	trusted, err := networks(s.TrustedProxies)
	if err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	links, err := artifactLinks(s.ArtifactURLs)
	if err != nil {
		return fmt.Errorf("--artifact-url: %w", err)
	}
	quotas, err := s.quotas()
	if err != nil {
		return fmt.Errorf("--quotas: %w", err)
	}
	if s.CleanupEvery <= 0 {
		return errors.New("--cleanup-every: a time such as 1h is expected; what is to be removed is said by the tenants' settings")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together: give both or none")
	}
	if s.EventsAge < server.MinEventsAge {
		return fmt.Errorf("--events-age: %v is less than %v: the servers themselves need that long to hear of each other's changes", s.EventsAge, server.MinEventsAge)
	}
	if s.EventsCount < server.MinEventsCount {
		return fmt.Errorf("--events-count: %d is less than %d: one change may make thousands of events", s.EventsCount, server.MinEventsCount)
	}
	if have, want := runtime.GOMAXPROCS(0), threads(runtime.GOMAXPROCS(0), s.DatabaseURL, os.Getenv("GOMAXPROCS")); want != have {
		runtime.GOMAXPROCS(want) // which the runtime no longer adapts to a container's limit by itself
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // from here on a second signal kills
	}()
	return server.Run(ctx, server.Config{
		Listen:          s.Listen,
		DataDir:         s.Data,
		DatabaseURL:     s.DatabaseURL,
		AdminUser:       s.AdminUser,
		AdminPassword:   s.AdminPassword,
		TrustedProxies:  trusted,
		ArtifactLinks:   links,
		TLSCert:         s.TLSCert,
		TLSKey:          s.TLSKey,
		ShutdownTimeout: s.ShutdownTimeout,
		MaxUpload:       s.MaxUpload,
		Quotas:          quotas,
		BackgroundEvery: s.BackgroundEvery,
		BackgroundStep:  s.BackgroundStep,
		CleanupEvery:    s.CleanupEvery,
		EventsAge:       s.EventsAge,
		EventsCount:     s.EventsCount,
		Pprof:           s.Pprof,
		Version:         buildVersion(),
		Log:             slog.New(handler),
		Notice:          st.out,
	})
}

// quotas are those of the contract with the operator's own limits. An artifact
// may be as large as an upload unless a quota says otherwise.
func (s *serveCommand) quotas() (tenant.Quotas, error) {
	quotas := tenant.DefaultQuotas()
	quotas.ArtifactSize = s.MaxUpload
	limits := make(map[tenant.QuotaName]int64, len(s.Quotas))
	for name, limit := range s.Quotas {
		limits[tenant.QuotaName(name)] = limit
	}
	return quotas.With(limits)
}

// artifactLinks adds the links that the operator wants to those that every
// client knows; one of the same name takes its place.
func artifactLinks(list []string) ([]download.Link, error) {
	links := download.DefaultLinks()
	for _, text := range list {
		l, err := download.ParseLink(text)
		if err != nil {
			return nil, err
		}
		links = append(slices.DeleteFunc(links, func(x download.Link) bool { return x.Rel == l.Rel }), l)
	}
	return links, nil
}

// networks reads a list of addresses and networks, or none.
func networks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		if text == "none" && len(list) == 1 {
			return nil, nil
		}
		n, err := network(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8; none, by itself, means no proxy at all", text)
		}
		all = append(all, n)
	}
	return all, nil
}

func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
