// Command otactl is the operator's command line: it plays devices against a
// server, and calls the management API.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/otaria/otaria/client"
)

// version is set by the linker; see the Makefile.
var version = "development"

// The exit codes. They are stable.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitDenied   = 4
	exitConflict = 5
	exitTimeout  = 6
)

// cli is the command line: its commands, flags, environment and help.
type cli struct {
	Server serverFlags `embed:""`

	Simulate   simulateCmd   `cmd:"" help:"Play devices against a server: load, failures, silence."`
	API        apiCmd        `cmd:"" name:"api" help:"Call the management API."`
	Events     eventsCmd     `cmd:"" help:"Print what happens, as it happens."`
	Completion completionCmd `cmd:"" help:"Print a script that completes commands and flags."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// serverFlags say which server to talk to, and as whom.
type serverFlags struct {
	URL      string `name:"url" env:"OTARIA_URL" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Address of the server (${env}; default ${default})."`
	User     string `env:"OTARIA_USER" default:"admin" placeholder:"NAME" help:"User of the management API (${env}; default ${default})."`
	Password string `env:"OTARIA_PASSWORD" placeholder:"TEXT" help:"The user's password. Better set ${env}: others can see flags."`
	CACert   string `name:"cacert" env:"OTARIA_CACERT" type:"existingfile" placeholder:"FILE" help:"Trust the certificates in this file, too (${env})."`
	Insecure bool   `help:"Do not check the server's certificate."`
}

// terminal is where a command reads and writes, and how it learns of Ctrl-C.
type terminal struct {
	context.Context //nolint:containedctx // handed through kong to the one command that runs

	in       io.Reader
	out, err io.Writer
	live     bool // err is a terminal: a line may be written over
	parser   *kong.Kong
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends at once
	info, err := os.Stderr.Stat()
	live := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	os.Exit(run(&terminal{Context: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr, live: live}, os.Args[1:]))
}

// ended is panicked with where kong wants to exit, after --help.
type ended int

// run runs one command line and returns its exit code.
func run(t *terminal, args []string) (code int) {
	defer func() {
		if e := recover(); e != nil {
			asked, ok := e.(ended)
			if !ok {
				panic(e)
			}
			code = int(asked)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("otactl"),
		kong.Description("The command line of Otaria.\n\nExamples:\n"+
			"  otactl simulate --devices 1000 --failure 3%\n"+
			"  otactl api GET /rest/v1/targets\n"+
			"  otactl events --type otaria.rollout\n\n"+
			"Run \"otactl COMMAND --help\" for more examples."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { panic(ended(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ShortUsageOnError(),
	)
	if err != nil {
		return t.fail(err)
	}
	t.parser = parser
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(t.err, "otactl: %v\nRun \"otactl --help\" for what there is.\n", err)
		return exitUsage
	}
	if err := parsed.Run(t, &c.Server); err != nil {
		return t.fail(err)
	}
	return exitOK
}

// A usageError is a command line that cannot be meant.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// fail says what went wrong and chooses the exit code.
func (t *terminal) fail(err error) int {
	fmt.Fprintf(t.err, "otactl: %v\n", err)
	var wrong usageError
	var timeout interface{ Timeout() bool }
	switch status := client.StatusOf(err); {
	case errors.As(err, &wrong):
		return exitUsage
	case status == http.StatusNotFound:
		return exitNotFound
	case status == http.StatusUnauthorized:
		fmt.Fprintln(t.err, "Set OTARIA_USER and OTARIA_PASSWORD to log in.")
		return exitDenied
	case status == http.StatusForbidden:
		return exitDenied
	case status == http.StatusConflict:
		return exitConflict
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return exitTimeout
	default:
		return exitFailed
	}
}

// client returns a client of the management API.
func (s *serverFlags) client() (*client.Client, error) {
	trust, err := s.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust}
	return &client.Client{URL: s.URL, User: s.User, Password: s.Password, HTTP: &http.Client{Transport: transport}}, nil
}

// tls says which certificates of a server to trust.
func (s *serverFlags) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure} //nolint:gosec // the user asked for it
	if s.CACert == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.CACert)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	c.RootCAs, err = x509.SystemCertPool()
	if err != nil {
		c.RootCAs = x509.NewCertPool()
	}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usage("%s has no certificate in PEM form", s.CACert)
	}
	return c, nil
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(t *terminal) error { //nolint:unparam // as kong calls it
	fmt.Fprintln(t.out, "otactl", version)
	return nil
}
