package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A plan says what to measure and for how long.
type plan struct {
	bin         string // where the programs are
	dir         string // where everything is kept that a run makes
	databases   []string
	fleets      []int
	rounds      int
	measure     time.Duration // each round of each contender
	warmup      time.Duration // before it
	rate        float64       // polls per second for the latency of a server that is not at its limit
	clients     int           // connections
	feedback    int           // devices that are updated; 0: feedback is not measured
	reports     int           // that each of them sends before its last one
	queries     bool          // ask the largest fleet for pages of targets
	only        string        // pages whose description has this text
	rollouts    bool          // measure a rollout over the largest fleet
	rolloutRate float64       // polls per second meanwhile
	toTheEnd    bool          // and let all its devices report
	log         io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(args) == 1 && args[0] == "ceiling" {
		return serveCeiling(ctx, stdout)
	}
	p := plan{log: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&p.bin, "bin", "bin", "directory of otaria and otactl")
	flags.StringVar(&p.dir, "keep", "", "keep the filled databases in this directory and use those that are there (default: a temporary one)")
	databases := flags.String("databases", "sqlite,postgres", "databases to measure")
	fleets := flags.String("fleets", "10000,1000000", "sizes of the fleets")
	flags.IntVar(&p.rounds, "rounds", 3, "how often each is measured")
	flags.DurationVar(&p.measure, "time", 10*time.Second, "how long each is measured in a round")
	flags.DurationVar(&p.warmup, "warmup", 3*time.Second, "how long each is warmed up in a round")
	flags.Float64Var(&p.rate, "rate", 5000, "polls per second at which latency is measured; 0: it is not")
	flags.IntVar(&p.clients, "connections", 64, "connections")
	flags.IntVar(&p.feedback, "feedback", 2000, "devices that are updated to measure reports; 0: none")
	flags.IntVar(&p.reports, "reports", 20, "reports of a device before its last one")
	flags.BoolVar(&p.queries, "queries", true, "measure pages of the list of targets, of the largest fleet")
	flags.StringVar(&p.only, "only", "", "measure only those pages whose filter or order has this text in it")
	flags.BoolVar(&p.rollouts, "rollout", true, "measure a rollout over the largest fleet")
	flags.Float64Var(&p.rolloutRate, "rollout-rate", 3333, "polls per second meanwhile: those of a million devices at their usual interval of five minutes")
	flags.BoolVar(&p.toTheEnd, "finish", true, "let all devices of the rollout report, which takes a million devices a quarter of an hour and more")
	write := flags.String("write", "", "Markdown file to write the figures to, between its markers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.rollouts && !(p.rolloutRate > 0) {
		return fmt.Errorf("%v polls per second cannot be measured", p.rolloutRate)
	}
	p.databases = strings.Split(*databases, ",")
	for text := range strings.SplitSeq(*fleets, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no size of a fleet", text)
		}
		p.fleets = append(p.fleets, n)
	}
	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "otaria-bench-"); err != nil {
			return fmt.Errorf("directory for the databases: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	} else if err := os.MkdirAll(p.dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user, and has to reach its own directory below
		return fmt.Errorf("directory for the databases: %w", err)
	}
	if p.dir, err = filepath.Abs(p.dir); err != nil {
		return fmt.Errorf("directory for the databases: %w", err)
	}
	if err := os.Chmod(p.dir, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("directory for the databases: %w", err)
	}
	figures, err := p.run(ctx)
	if err != nil {
		return err
	}
	text := figures.markdown()
	fmt.Fprintln(stdout, text)
	if *write == "" {
		return nil
	}
	return replace(*write, text)
}
