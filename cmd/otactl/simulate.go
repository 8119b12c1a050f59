package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/client"
	"github.com/otaria/otaria/simulator"
)

type simulateCmd struct {
	Devices int    `short:"n" placeholder:"N" help:"How many devices (default: 100, or all of --file)."`
	Pattern string `default:"sim-%07d" help:"Their controller ids, with a number in it (default ${default})."`
	First   int    `default:"1" help:"Number of the first device (default ${default})."`
	File    string `placeholder:"FILE" help:"Devices and target tokens, one \"ID TOKEN\" a line. With --auth target a file that does not exist is written."`
	Tenant  string `env:"OTARIA_TENANT" default:"DEFAULT" help:"Tenant of the devices (${env}; default ${default})."`

	Auth       simulator.Mode `enum:"target,gateway,header,none" default:"target" help:"How devices authenticate: target (a token each), gateway (one token), header (as behind a proxy that checks certificates) or none (default ${default})."`
	Secret     string         `env:"OTARIA_DEVICE_SECRET" placeholder:"TEXT" help:"The gateway's token, or the authority's hash with --auth header (${env})."`
	EnableAuth bool           `help:"Let the tenant accept the devices' way to authenticate if it does not yet."`

	Poll    time.Duration `placeholder:"DURATION" help:"Time between two polls of a device (default: what the server says)."`
	Rate    float64       `placeholder:"N" help:"Polls per second of all devices together, in place of --poll."`
	Flood   bool          `help:"Wait for nothing: as many requests as the server can answer."`
	Jitter  share         `default:"10%" help:"How much the time between polls varies (default ${default}; 0 with --rate)."`
	Ramp    time.Duration `placeholder:"DURATION" help:"Spread the first polls over this time (default: --poll, at most 10s)."`
	Failure share         `default:"0%" help:"Share of updates that fail."`
	Silent  share         `default:"0%" help:"Share of devices that fetch an update and never report."`

	Download   bool          `help:"Download artifacts and check their hashes."`
	Attributes bool          `default:"true" negatable:"" help:"Send attributes when the server asks for them (default)."`
	PollsOnly  bool          `help:"Only poll, whatever the server offers to do."`
	Reports    int           `default:"1" help:"Intermediate reports for each update (default ${default})."`
	Install    time.Duration `placeholder:"DURATION" help:"How long an installation takes (default: no time)."`
	Seed       uint64        `default:"1" help:"Another number chooses other devices to fail (default ${default})."`

	Duration  time.Duration `short:"t" placeholder:"DURATION" help:"End after this time (default: never)."`
	UntilIdle bool          `help:"End when no device has anything left to do."`
	Warmup    time.Duration `placeholder:"DURATION" help:"Do not measure for this long at the beginning."`

	Connections int           `short:"c" default:"64" help:"Devices that talk at the same time (default ${default})."`
	Timeout     time.Duration `default:"30s" help:"How long to wait for an answer (default ${default})."`
	Fast        bool          `help:"Use a leaner HTTP client, for benchmarks of a plain HTTP server."`
	Output      string        `short:"o" enum:"text,json" default:"text" help:"Form of the summary: text or json."`
	Quiet       bool          `short:"q" help:"No progress."`
	Strict      bool          `help:"Exit with 1 if anything went wrong that was not meant to."`
}

// Help shows examples.
func (simulateCmd) Help() string {
	return `Devices poll, send their attributes, follow updates from the first report to the
last, give their consent and confirm cancellations, against any server that speaks
hawkBit's device API. Ctrl-C ends the run and prints the summary.

With --auth target and no file, the targets are created by the management API,
which needs OTARIA_PASSWORD; those that exist already are used as they are.

Examples:
  otactl simulate --devices 1000 --failure 3%
  otactl simulate -n 200 --auth gateway --secret TOKEN --poll 10s --download
  otactl simulate -n 5000 --file fleet.txt --rate 500 --duration 1m -o json
  otactl simulate -n 1000 --poll 5s --silent 1% --install 20s --until-idle`
}

// A share is written 3% or 0.03.
type share float64

// UnmarshalText reads a share.
func (s *share) UnmarshalText(text []byte) error {
	number, percent := bytes.CutSuffix(bytes.TrimSpace(text), []byte("%"))
	f, err := strconv.ParseFloat(string(number), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is no share: write 3%% or 0.03", text)
	}
	*s = share(f)
	return nil
}

// Run simulates.
func (c *simulateCmd) Run(t *terminal, server *serverFlags) error {
	config, err := c.config(t, server)
	if err != nil {
		return err
	}
	if !c.Quiet {
		config.Progress = c.progress(t)
	}
	s, err := simulator.New(config)
	if err != nil {
		return usageError{err}
	}
	report, err := s.Run(t)
	if t.live && !c.Quiet {
		fmt.Fprint(t.err, "\r\x1b[K")
	}
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	if c.Output == "json" {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = report.WriteText(t.out)
	}
	switch {
	case err != nil:
		return fmt.Errorf("print the summary: %w", err)
	case report.Failures() > 0 && report.Answered(simulator.Poll) == 0:
		return errors.New("no poll was answered: is the server's address right?")
	case report.Failures() > 0 && c.Strict:
		return fmt.Errorf("%d requests went wrong", report.Failures())
	}
	return nil
}

// config turns flags into what to simulate.
func (c *simulateCmd) config(t *terminal, server *serverFlags) (simulator.Config, error) {
	config := simulator.Config{
		URL: server.URL, Tenant: c.Tenant, Mode: c.Auth, Secret: c.Secret,
		Interval: c.Poll, Jitter: float64(c.Jitter), Ramp: c.Ramp, Flood: c.Flood,
		Failures: float64(c.Failure), Silent: float64(c.Silent),
		Download: c.Download, Attributes: c.Attributes, PollsOnly: c.PollsOnly, Reports: c.Reports, Install: c.Install, Seed: c.Seed,
		Connections: c.Connections, Timeout: c.Timeout, Fast: c.Fast,
		Duration: c.Duration, UntilIdle: c.UntilIdle, Warmup: c.Warmup,
	}
	if c.Devices < 0 {
		return config, usage("--devices %d: there cannot be fewer than none", c.Devices)
	}
	if (c.Auth == simulator.GatewayToken || c.Auth == simulator.TrustedProxy) && c.Secret == "" {
		return config, usage("--auth %s needs --secret (or OTARIA_DEVICE_SECRET)", c.Auth)
	}
	var err error
	if config.TLS, err = server.tls(); err != nil {
		return config, err
	}
	if c.EnableAuth {
		if err := c.enableAuth(t, server); err != nil {
			return config, err
		}
	}
	if config.Fleet, err = c.fleet(t, server); err != nil {
		return config, err
	}
	if c.Rate < 0 || c.Rate > 0 && (c.Poll > 0 || c.Flood) || c.Poll > 0 && c.Flood {
		return config, usage("choose one of --poll, --rate and --flood, and nothing negative")
	}
	if c.Rate > 0 { // all devices take turns, evenly
		config.Interval = time.Duration(float64(config.Fleet.Len()) / c.Rate * float64(time.Second))
		config.Ramp, config.Jitter = config.Interval, 0
	}
	return config, nil
}

// enableAuth switches on in the tenant what the devices need.
func (c *simulateCmd) enableAuth(t *terminal, server *serverFlags) error {
	settings := map[string]any{}
	switch c.Auth {
	case simulator.TargetToken:
		settings["authentication.targettoken.enabled"] = true
	case simulator.GatewayToken:
		settings["authentication.gatewaytoken.enabled"] = true
		settings["authentication.gatewaytoken.key"] = c.Secret
	case simulator.TrustedProxy:
		settings["authentication.header.enabled"] = true
		settings["authentication.header.authority"] = c.Secret
	case simulator.Anonymous:
		return nil
	}
	api, err := server.client()
	if err != nil {
		return err
	}
	if err := api.Set(t, settings); err != nil {
		return fmt.Errorf("let devices authenticate: %w", err)
	}
	return nil
}

// fleet names the devices, by file, by pattern, or by creating them.
func (c *simulateCmd) fleet(t *terminal, server *serverFlags) (*simulator.Fleet, error) {
	if c.File != "" {
		file, err := os.Open(c.File)
		if err == nil {
			defer file.Close() //nolint:errcheck // only read
			fleet, err := simulator.ReadFleet(file, c.Devices)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.File, err)
			}
			if fleet.Len() < c.Devices {
				return nil, usage("%s has %d devices, not %d", c.File, fleet.Len(), c.Devices)
			}
			return fleet, nil
		}
		if c.Auth != simulator.TargetToken || !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("devices: %w", err)
		}
	}
	count := c.Devices
	if count == 0 {
		count = 100
	}
	named, err := simulator.NewFleet(c.Pattern, c.First, count)
	if err != nil {
		return nil, usageError{err}
	}
	if c.Auth != simulator.TargetToken {
		return named, nil
	}
	api, err := server.client()
	if err != nil {
		return nil, err
	}
	fleet, err := enroll(t, api, named, func(done int) {
		if !c.Quiet && (t.live || done == named.Len()) {
			fmt.Fprintf(t.err, "%s%d of %d targets are ready%s", start(t.live), done, named.Len(), end(t.live))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the targets: %w", err)
	}
	if !c.EnableAuth {
		var on bool
		const key = "authentication.targettoken.enabled"
		if err := api.Setting(t, key, &on); err != nil {
			return nil, fmt.Errorf("ask how devices may authenticate: %w", err)
		}
		if !on {
			return nil, fmt.Errorf("the tenant does not accept target tokens: repeat with --enable-auth, or\n  otactl api PUT /rest/v1/system/configs/%s -d '{\"value\":true}'", key)
		}
	}
	return fleet, c.keep(fleet)
}

// keep writes the fleet to the file named, for the next run.
func (c *simulateCmd) keep(fleet *simulator.Fleet) error {
	if c.File == "" {
		return nil
	}
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // tokens are secret
	if err != nil {
		return fmt.Errorf("keep the tokens: %w", err)
	}
	_, err = fleet.WriteTo(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("keep the tokens: %w", err)
	}
	return nil
}

const (
	batch  = 1000 // targets created by one request
	lookup = 100  // targets looked for by one request, whose line has to stay short
)

// enroll makes sure that all devices exist, and learns their tokens.
func enroll(ctx context.Context, api *client.Client, named *simulator.Fleet, progress func(done int)) (*simulator.Fleet, error) {
	fleet := &simulator.Fleet{}
	for from := 0; from < named.Len(); from += batch {
		var wanted []client.Target
		for i := from; i < min(from+batch, named.Len()); i++ {
			id, _ := named.Device(i)
			wanted = append(wanted, client.Target{ControllerID: string(id)})
		}
		targets, err := api.CreateTargets(ctx, wanted)
		if client.StatusOf(err) == 409 { // some exist, and none was created
			targets, err = adopt(ctx, api, wanted)
		}
		if err != nil {
			return nil, err
		}
		for _, target := range targets {
			if target.SecurityToken == "" {
				return nil, fmt.Errorf("the user %s may not read the token of %s", api.User, target.ControllerID)
			}
			if err := fleet.Add(target.ControllerID, target.SecurityToken); err != nil {
				return nil, fmt.Errorf("answer of the server: %w", err)
			}
		}
		progress(fleet.Len())
	}
	return fleet, nil
}

// adopt returns targets of which some exist, after creating the others.
func adopt(ctx context.Context, api *client.Client, wanted []client.Target) ([]client.Target, error) {
	var found, missing []client.Target
	for from := 0; from < len(wanted); from += lookup {
		some := wanted[from:min(from+lookup, len(wanted))]
		ids := make([]string, len(some))
		for i, target := range some {
			ids[i] = "'" + target.ControllerID + "'"
		}
		page, err := api.Targets(ctx, client.Query{Q: "controllerId=in=(" + strings.Join(ids, ",") + ")", Limit: lookup})
		if err != nil {
			return nil, fmt.Errorf("look for targets: %w", err)
		}
		there := map[string]bool{}
		for _, target := range page.Content {
			there[target.ControllerID] = true
		}
		found = append(found, page.Content...)
		for _, target := range some {
			if !there[target.ControllerID] {
				missing = append(missing, target)
			}
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	made, err := api.CreateTargets(ctx, missing)
	if err != nil {
		return nil, fmt.Errorf("create targets: %w", err)
	}
	return append(found, made...), nil
}

// quietly is how often a line of progress comes where lines stay.
const quietly = 10 * time.Second

// progress shows how it goes: on a terminal in one line, renewed each second,
// elsewhere by a line every ten seconds.
func (c *simulateCmd) progress(t *terminal) func(simulator.Progress) {
	var next time.Duration
	return func(p simulator.Progress) {
		if !t.live {
			if p.Passed < next {
				return
			}
			next = p.Passed + quietly
		}
		fmt.Fprintf(t.err, "%s%s  %.0f polls/s  p99 %.1f ms  waiting for %d  updates %d/%d ok, %d failed, %d silent  errors %d%s", start(t.live),
			p.Passed.Round(time.Second), p.PerSecond, float64(p.P99.Microseconds())/1000, p.Unsettled,
			p.Updates.Succeeded, p.Updates.Started, p.Updates.Failed, p.Updates.Silent, p.Errors, end(t.live))
	}
}

// start and end surround a line of progress.
func start(live bool) string {
	if live {
		return "\r\x1b[K"
	}
	return ""
}

func end(live bool) string {
	if live {
		return ""
	}
	return "\n"
}
