package simulator

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// A Kind is one kind of request.
type Kind int

// The kinds of requests that devices send.
const (
	Poll Kind = iota
	ConfigData
	Deployment // fetching it
	Feedback
	Download
	Cancel       // fetching and answering it
	Confirmation // fetching and answering it
	kinds        // how many there are
)

func (k Kind) String() string {
	return [...]string{"poll", "configData", "deployment", "feedback", "download", "cancel", "confirmation", "?"}[min(k, kinds)]
}

// maxErrors is how many different errors are told apart.
const maxErrors = 50

// counters is what workers count together.
type counters struct {
	took   [kinds]Histogram
	late   Histogram
	bytes  atomic.Int64
	counts [outcomes]atomic.Int64

	mu     sync.Mutex
	errors map[string]int64
}

// An outcome is what became of something that a device had to do.
type outcome int

const (
	started outcome = iota
	succeeded
	failed
	silent
	canceled
	confirmed
	overtaken // closed by the server meanwhile
	repeated  // offered again after it was closed
	outcomes
)

// reset forgets what was measured; what became of updates is kept.
func (c *counters) reset() {
	for k := range c.took {
		c.took[k].Reset()
	}
	c.late.Reset()
	c.bytes.Store(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.errors)
}

// fault counts an answer that was not as it should be, or none.
func (c *counters) fault(kind Kind, what string) {
	key := kind.String() + ": " + what
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = map[string]int64{}
	}
	if _, known := c.errors[key]; !known && len(c.errors) >= maxErrors {
		key = "others"
	}
	c.errors[key]++
}

func (c *counters) faults() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.errors)
}

// A Report says how a simulation went. Its JSON form is stable.
type Report struct {
	Devices     int              `json:"devices"`
	Connections int              `json:"connections"`
	Seconds     float64          `json:"seconds"` // measured, without the warm-up
	Ended       string           `json:"ended"`   // why: "duration", "idle", "interrupted"
	Requests    []Requests       `json:"requests"`
	Bytes       int64            `json:"bytes"` // downloaded
	Late        Latency          `json:"late"`  // how long after its due time a visit began
	Updates     Updates          `json:"updates"`
	Errors      map[string]int64 `json:"errors"` // by kind and status or cause
}

// Requests counts one kind of request: those that were answered, whatever the
// answer.
type Requests struct {
	Kind      string  `json:"kind"`
	Count     int64   `json:"count"`
	PerSecond float64 `json:"perSecond"`
	Latency
}

// Latency is how long something took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Updates counts what became of the updates that devices were given, from the
// first second on.
type Updates struct {
	Started   int64 `json:"started"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Silent    int64 `json:"silent"` // fetched, and never heard of again
	Canceled  int64 `json:"canceled"`
	Confirmed int64 `json:"confirmed"`
	Overtaken int64 `json:"overtaken"` // closed on the server before the device was done
	Repeated  int64 `json:"repeated"`  // offered again although the server had taken the last report
}

func latency(h *Histogram) Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{P50: ms(h.Quantile(0.50)), P90: ms(h.Quantile(0.90)), P99: ms(h.Quantile(0.99)), Max: ms(h.Max())}
}

func (c *counters) report(passed time.Duration) Report {
	r := Report{Seconds: passed.Seconds(), Bytes: c.bytes.Load(), Late: latency(&c.late), Errors: c.faults()}
	for k := range kinds {
		h := &c.took[k]
		if n := h.Count(); n > 0 {
			r.Requests = append(r.Requests, Requests{
				Kind: k.String(), Count: n, PerSecond: float64(n) / max(passed.Seconds(), 0.001), Latency: latency(h),
			})
		}
	}
	count := func(o outcome) int64 { return c.counts[o].Load() }
	r.Updates = Updates{
		Started: count(started), Succeeded: count(succeeded), Failed: count(failed), Silent: count(silent),
		Canceled: count(canceled), Confirmed: count(confirmed), Overtaken: count(overtaken), Repeated: count(repeated),
	}
	return r
}

// Answered is how many requests of a kind were answered.
func (r *Report) Answered(kind Kind) int64 {
	for _, q := range r.Requests {
		if q.Kind == kind.String() {
			return q.Count
		}
	}
	return 0
}

// Failures is how many requests had no answer or one that a device cannot use.
func (r *Report) Failures() int64 {
	var n int64
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "REQUEST\tCOUNT\tPER SECOND\tP50 ms\tP90 ms\tP99 ms\tMAX ms\t\n")
	for _, q := range r.Requests {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", q.Kind, q.Count, q.PerSecond, q.P50, q.P90, q.P99, q.Max)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintf(w, "\n%d devices over %d connections, %.1f s, ended by: %s\n", r.Devices, r.Connections, r.Seconds, r.Ended)
	u := r.Updates
	if u != (Updates{}) {
		fmt.Fprintf(w, "updates: %d started, %d succeeded, %d failed, %d silent, %d canceled, %d confirmed, %d overtaken, %d repeated\n",
			u.Started, u.Succeeded, u.Failed, u.Silent, u.Canceled, u.Confirmed, u.Overtaken, u.Repeated)
	}
	if r.Bytes > 0 {
		fmt.Fprintf(w, "downloaded: %.1f MiB, %.1f MiB/s\n", float64(r.Bytes)/(1<<20), float64(r.Bytes)/(1<<20)/max(r.Seconds, 0.001))
	}
	if r.Late.Max > 0 {
		fmt.Fprintf(w, "visits began late by: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", r.Late.P50, r.Late.P99, r.Late.Max)
	}
	if len(r.Errors) == 0 {
		fmt.Fprintln(w, "errors: none")
	}
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "error: %s, %d times\n", what, r.Errors[what])
	}
	return nil
}
