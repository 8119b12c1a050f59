package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures is all that was measured.
type figures struct {
	plan    *plan
	machine string
	groups  []group
}

// A group is what stood next to one ceiling.
type group struct {
	database   string
	contenders []*contender // the ceiling first
}

func (f *figures) add(database string, contenders []*contender) {
	f.groups = append(f.groups, group{database, contenders})
}

// median returns the median of one figure.
func median(samples []sample, of func(sample) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func perSecond(s sample) float64 { return s.perSecond }
func p50(s sample) float64       { return s.p50 }
func p99(s sample) float64       { return s.p99 }
func late99(s sample) float64    { return s.late99 }
func ofServer(s sample) float64  { return s.cpu }
func ofBase(s sample) float64    { return s.database }
func resident(s sample) float64  { return s.memory }
func mapped(s sample) float64    { return s.files }

// ratio is the median over the rounds of a figure next to another contender's
// in the same round.
func ratio(a, b []sample, of func(sample) float64) float64 {
	var all []sample
	for i := range min(len(a), len(b)) {
		if of(b[i]) > 0 {
			all = append(all, sample{perSecond: of(a[i]) / of(b[i])})
		}
	}
	return median(all, perSecond)
}

// markdown prints the figures, ratios first.
func (f *figures) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. Medians of %d rounds (%s each); %d connections.\n", f.machine, f.plan.rounds, f.plan.measure, f.plan.clients)
	b.WriteString("\nPolls, as many as are answered:\n\n")
	b.WriteString("| database | targets | of the ceiling | of the smallest fleet | CPU of the ceiling's | polls/s | p50 ms | p99 ms | server CPU µs | database CPU µs | memory MiB | mapped files MiB |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, g := range f.groups {
		ceiling := g.contenders[0]
		for i, c := range g.contenders {
			name, size, share, smallest, dearer := "ceiling", "", "", "", ""
			if i > 0 {
				name, size = g.database, grouped(c.size)
				share = percent(ratio(c.flood, ceiling.flood, perSecond))
				smallest = percent(ratio(c.flood, g.contenders[1].flood, perSecond))
				dearer = fmt.Sprintf("%.2f ×", ratio(c.flood, ceiling.flood, ofServer))
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %.2f | %.2f | %.1f | %.1f | %.0f | %.0f |\n", name, size, share, smallest, dearer,
				grouped(int(median(c.flood, perSecond))), median(c.flood, p50), median(c.flood, p99), median(c.flood, ofServer), median(c.flood, ofBase), median(c.flood, resident), median(c.flood, mapped))
		}
	}
	if f.plan.rate > 0 {
		fmt.Fprintf(&b, "\nPolls, %s a second:\n\n", grouped(int(f.plan.rate)))
		b.WriteString("| database | targets | p50 ms | p99 ms | p99 of the ceiling ms | p99 of the load's delay ms | server CPU µs |\n|---|--:|--:|--:|--:|--:|--:|\n")
		for _, g := range f.groups {
			for _, c := range g.contenders[1:] {
				fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f | %.2f | %.1f | %.1f |\n", g.database, grouped(c.size),
					median(c.paced, p50), median(c.paced, p99), median(g.contenders[0].paced, p99), median(c.paced, late99), median(c.paced, ofServer))
			}
		}
	}
	if f.plan.feedback > 0 {
		fmt.Fprintf(&b, "\nReports of %s devices, %d each, every one kept in its action's history and on disk before it is acknowledged:\n\n", grouped(f.plan.feedback), f.plan.reports+1)
		b.WriteString("| database | targets | reports/s | p50 ms | p99 ms | server CPU µs | database CPU µs |\n|---|--:|--:|--:|--:|--:|--:|\n")
		for _, g := range f.groups {
			c := g.contenders[1]
			fmt.Fprintf(&b, "| %s | %s | %s | %.2f | %.2f | %.1f | %.1f |\n", g.database, grouped(c.size), grouped(int(median(c.feedback, perSecond))),
				median(c.feedback, p50), median(c.feedback, p99), median(c.feedback, ofServer), median(c.feedback, ofBase))
		}
	}
	f.queries(&b)
	f.rollouts(&b)
	return b.String()
}

// rollouts prints what was measured of rollouts.
func (f *figures) rollouts(b *strings.Builder) {
	if !f.plan.rollouts {
		return
	}
	fmt.Fprintf(b, "\nA rollout over the whole fleet in %d groups, while devices poll %s times a second: seconds until it is READY, until all its actions are made and the first group runs, until a second group runs; and until all devices have reported. Alone: a rollout that becomes READY, and a group that is started, while no device polls.\n\n", rolloutGroups, grouped(int(f.plan.rolloutRate)))
	b.WriteString("| database | targets | alone: ready s | group s | beside polls: p99 of polls, worst | ready s | targets/s | running s | second group s | targets/s | server CPU s | database CPU s | memory MiB | finished s | reports/s |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	campaigns := func(row func(string, *campaign)) {
		for _, g := range f.groups {
			for _, c := range g.contenders {
				if c.campaign != nil {
					row(g.database, c.campaign)
				}
			}
		}
	}
	campaigns(func(database string, r *campaign) {
		ready := (r.created + r.filled).Seconds()
		finished, reports := "", ""
		if r.finished > 0 {
			finished, reports = fmt.Sprintf("%.0f", r.finished.Seconds()), grouped(int(float64(r.reports)/r.finished.Seconds()))
		}
		fmt.Fprintf(b, "| %s | %s | %.1f | %.2f | %.1f × | %.1f | %s | %.1f | %.2f | %s | %.1f | %.1f | %.0f | %s | %s |\n", database, grouped(r.targets), r.aloneReady.Seconds(), r.aloneLaunched.Seconds(), r.worst(), ready, grouped(int(float64(r.targets)/ready)),
			r.started.Seconds(), r.launched.Seconds(), grouped(int(float64(r.targets/rolloutGroups)/r.launched.Seconds())), r.cpu.Seconds(), r.database.Seconds(), r.memory, finished, reports)
	})
	b.WriteString("\nPolls meanwhile, p99 in ms (and how many a second):\n\n| database | targets | before | until READY | until RUNNING | second group |\n|---|--:|--:|--:|--:|--:|\n")
	campaigns(func(database string, r *campaign) {
		fmt.Fprintf(b, "| %s | %s |", database, grouped(r.targets))
		for _, q := range r.polls {
			fmt.Fprintf(b, " %.2f (%s) |", q.P99, grouped(int(q.PerSecond)))
		}
		b.WriteString("\n")
	})
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// grouped prints a number with a comma for each thousand.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// machine says what was measured, where and when.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.SplitSeq(string(text), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	commit := "unknown"
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil { //nolint:noctx // takes no time
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, commit %s, %d cores (%s), %s, %s", time.Now().UTC().Format(time.DateOnly), commit, runtime.NumCPU(), model, runtime.Version(), kernel())
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(text))
}

// The figures stand between these lines.
const (
	begin = "<!-- figures of make bench: begin -->\n"
	end   = "<!-- figures of make bench: end -->\n"
)

// replace writes the text between the markers of a file.
func replace(file, text string) error {
	old, err := os.ReadFile(file) //nolint:gosec // named on the command line
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	before, rest, ok1 := bytes.Cut(old, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		return fmt.Errorf("write the figures: %s lacks the lines %q and %q", file, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	out := slices.Concat(before, []byte(begin+"\n"+text+"\n"+end), after)
	if err := os.WriteFile(file, out, 0o644); err != nil { //nolint:gosec // a page for everybody
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
