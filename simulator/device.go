package simulator

import (
	"context"
	"crypto/md5"  //nolint:gosec // the device API names it
	"crypto/sha1" //nolint:gosec // the device API names it
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"
)

// A phase is how far a device got with the action it heard of last.
type phase uint8

const (
	free       phase = iota // it has none
	fetched                 // silent from now on
	downloaded              // and may not install yet
	installing              // until its next turn
	closed                  // and the server took the last report
	agreed                  // the device's consent was given
	abandoned               // its cancellation was confirmed
)

// A device is what a simulated device remembers.
type device struct {
	action  int64
	phase   phase
	fails   bool // the update that is being installed will fail
	settled bool // its last poll brought nothing to do
}

// take makes the device remember an action and how far it got with it.
func (d *device) take(action int64, p phase) { d.action, d.phase, d.fails = action, p, false }

// A worker plays visits, one at a time.
type worker struct {
	*Simulation
	wire   wire
	random *rand.Rand
	answer document
	path   []byte
	polled poll

	// of the visit
	id, token []byte
	number    int
}

// visit plays one turn of a device and returns when it wants the next one.
func (w *worker) visit(ctx context.Context, i int) time.Duration {
	d := &w.devices[i]
	w.number = i
	w.id, w.token = w.config.Fleet.Device(i)
	before := *d
	wait, work := w.turn(ctx, d)
	w.settle(d, !work)
	if work && d.phase != installing && (d.action != before.action || d.phase != before.phase) && wait >= 0 {
		return 0 // as a device that has restarted after an update: see what comes next
	}
	if wait < 0 { // the poll brought no interval
		wait = w.config.Interval
		if wait == 0 {
			wait = fallbackInterval
		}
		w.brake(ctx)
	}
	return w.jitter(wait)
}

// fallbackInterval is how long a device waits if the server does not say.
const fallbackInterval = 30 * time.Second

// turn returns how long the device is to wait, negative if that is not known,
// and whether it had something to do.
func (w *worker) turn(ctx context.Context, d *device) (wait time.Duration, work bool) {
	if d.phase == installing {
		w.finish(ctx, d)
		return 0, true
	}
	wait, news := w.poll(ctx)
	if wait < 0 || !news || w.config.PollsOnly {
		return wait, wait < 0
	}
	links := &w.polled.Links
	if links.ConfigData.Href != "" && w.config.Attributes {
		w.settle(d, false)
		work = !w.describe(ctx)
	}
	switch {
	case links.Cancel.Href != "":
		work = w.cancel(ctx, d, links.Cancel.Href) || work
	case links.Confirmation.Href != "":
		work = w.confirm(ctx, d, links.Confirmation.Href) || work
	case links.Deployment.Href != "":
		work = w.update(ctx, d, links.Deployment.Href) || work
	}
	if d.phase == installing {
		return w.config.Install, true
	}
	return wait, work
}

// poll asks what is new. The wait is negative when there was no usable answer.
func (w *worker) poll(ctx context.Context) (wait time.Duration, news bool) {
	if !w.get(ctx, Poll, w.base()) {
		return -1, false
	}
	text := w.answer.Bytes()
	own := w.config.Interval > 0 || w.config.Flood
	if own && (w.config.PollsOnly || !mayBeNews(text, w.config.Attributes)) {
		return w.config.Interval, false
	}
	w.polled = poll{}
	if err := read(text, &w.polled); err != nil {
		w.counted.fault(Poll, cause(err))
		return -1, false
	}
	wait = w.config.Interval
	if !own {
		if wait = w.polled.sleep(); wait == 0 {
			w.counted.fault(Poll, "no time to sleep in the answer")
			wait = fallbackInterval
		}
	}
	return wait, true
}

// describe sends the device's attributes.
func (w *worker) describe(ctx context.Context) bool {
	return w.send(ctx, ConfigData, "PUT", w.base("/configData"), attributes{Mode: "merge", Data: map[string]string{
		"serial": strconv.Itoa(w.number), "hardware": "simulated", "revision": strconv.Itoa(w.number % 10),
	}})
}

// cancel confirms that an action is called off. A silent device only looks. It
// returns whether anything is left to do, as confirm and update do.
func (w *worker) cancel(ctx context.Context, d *device, href string) (work bool) {
	action, err := actionOf(href)
	if err != nil {
		w.counted.fault(Cancel, cause(err))
		return true
	}
	if d.action == action && d.phase == fetched {
		return false
	}
	w.settle(d, false)
	if !w.get(ctx, Cancel, href) {
		return true
	}
	var doc struct {
		CancelAction struct {
			StopID string `json:"stopId"`
		} `json:"cancelAction"`
	}
	if err := read(w.answer.Bytes(), &doc); err != nil || doc.CancelAction.StopID != strconv.FormatInt(action, 10) {
		w.counted.fault(Cancel, "bad answer: not the cancellation of the link")
		return true
	}
	if w.isSilent() {
		d.take(action, fetched)
		return false
	}
	status, err := w.exchange(ctx, &request{
		kind: Cancel, method: "POST", url: w.base("/cancelAction/", strconv.FormatInt(action, 10), "/feedback"),
		body: marshal(w.feedback("closed", "success", nil, "stopped as told")),
	}, &w.answer)
	switch {
	case err == nil && status == 405: // it is not being canceled any more
		w.counted.counts[overtaken].Add(1)
		d.take(action, free)
	case w.judge(ctx, Cancel, status, err):
		w.counted.counts[canceled].Add(1)
		d.take(action, abandoned)
	}
	return true
}

// confirm gives the device's consent.
func (w *worker) confirm(ctx context.Context, d *device, href string) (work bool) {
	action, err := actionOf(href)
	if err != nil {
		w.counted.fault(Confirmation, cause(err))
		return true
	}
	if d.action == action && d.phase == fetched {
		return false
	}
	w.settle(d, false)
	if !w.get(ctx, Confirmation, href) {
		return true
	}
	if w.isSilent() {
		d.take(action, fetched)
		w.counted.counts[silent].Add(1)
		return false
	}
	if w.send(ctx, Confirmation, "POST", w.base("/confirmationBase/", strconv.FormatInt(action, 10), "/feedback"),
		consent{Confirmation: "confirmed", Details: []string{"the user agreed"}}) {
		w.counted.counts[confirmed].Add(1)
		d.take(action, agreed)
	}
	return true
}

// update fetches a deployment and follows it as far as it goes in this turn.
func (w *worker) update(ctx context.Context, d *device, href string) (work bool) {
	action, err := actionOf(href)
	if err != nil {
		w.counted.fault(Deployment, cause(err))
		return true
	}
	known := d.action == action
	switch {
	case known && d.phase == fetched:
		return false
	case known && (d.phase == closed || d.phase == abandoned):
		w.counted.counts[repeated].Add(1)
		return false
	}
	if !known || d.phase != downloaded { // which waits, and only looks whether it may go on
		w.settle(d, false)
	}
	if !w.get(ctx, Deployment, href) {
		return true
	}
	var doc deployment
	if err := read(w.answer.Bytes(), &doc); err != nil || doc.ID != strconv.FormatInt(action, 10) {
		w.counted.fault(Deployment, "bad answer: not the deployment of the link")
		return true
	}
	if known && d.phase == downloaded {
		if doc.Deployment.Update == handleSkip {
			return false
		}
		w.settle(d, false)
		w.install(ctx, d)
		return true
	}
	w.counted.counts[started].Add(1)
	if w.isSilent() {
		d.take(action, fetched)
		w.counted.counts[silent].Add(1)
		return false
	}
	d.take(action, free)
	d.fails = w.chance(uint64(action)) < w.config.Failures
	w.begin(ctx, d, &doc)
	return true
}

// begin reports, downloads and, if it may, installs. Where a report is not
// taken, the device forgets the update and begins anew when it is offered
// again.
func (w *worker) begin(ctx context.Context, d *device, doc *deployment) {
	for n := range w.config.Reports {
		body := w.feedback("proceeding", "none", nil, "working on it")
		body.Status.Result.Progress = &progress{Count: n, Of: w.config.Reports}
		if !w.tell(ctx, d, body) {
			return
		}
	}
	if doc.Deployment.Download != handleSkip {
		if !w.tell(ctx, d, w.feedback("download", "none", nil, "downloading")) {
			return
		}
		if err := w.download(ctx, doc); err != nil {
			if ctx.Err() == nil {
				w.close(ctx, d, "failure", err.Error())
			}
			return
		}
		if !w.tell(ctx, d, w.feedback("downloaded", "none", nil, "downloaded")) {
			return
		}
	}
	if doc.Deployment.Update == handleSkip {
		d.phase = downloaded
		return
	}
	w.install(ctx, d)
}

// install installs at once or until the next turn.
func (w *worker) install(ctx context.Context, d *device) {
	if w.config.Install > 0 {
		d.phase = installing
		return
	}
	w.finish(ctx, d)
}

// finish reports how the installation ended.
func (w *worker) finish(ctx context.Context, d *device) {
	if d.fails {
		w.close(ctx, d, "failure", "simulated failure: the new software did not start")
	} else {
		w.close(ctx, d, "success", "installed")
	}
}

// close sends the last report. If it does not arrive the device will be
// offered the update again, and do it again.
func (w *worker) close(ctx context.Context, d *device, finished, detail string) {
	d.phase = free
	code := 200
	if finished == "failure" {
		code = 500
	}
	if !w.tell(ctx, d, w.feedback("closed", finished, &code, detail)) {
		return
	}
	d.phase = closed
	if finished == "success" {
		w.counted.counts[succeeded].Add(1)
	} else {
		w.counted.counts[failed].Add(1)
	}
}

// tell sends a report. That the server has closed the action meanwhile is
// nothing wrong: the device lets go of it.
func (w *worker) tell(ctx context.Context, d *device, body feedback) bool {
	status, err := w.exchange(ctx, &request{
		kind: Feedback, method: "POST", url: w.base("/deploymentBase/", strconv.FormatInt(d.action, 10), "/feedback"), body: marshal(body),
	}, &w.answer)
	if err == nil && status == 410 {
		w.counted.counts[overtaken].Add(1)
		d.phase = free
		return false
	}
	taken := w.judge(ctx, Feedback, status, err)
	if !taken {
		d.phase = free
	}
	return taken
}

// download fetches every artifact and compares it with what was announced. An
// error is the text to report.
func (w *worker) download(ctx context.Context, doc *deployment) error {
	if !w.config.Download {
		return nil
	}
	for _, c := range doc.Deployment.Chunks {
		for n := range c.Artifacts {
			if err := w.fetch(ctx, &c.Artifacts[n]); err != nil {
				return fmt.Errorf("artifact %d of %s: %w", n+1, c.Part, err)
			}
		}
	}
	return nil
}

func (w *worker) fetch(ctx context.Context, a *artifact) error {
	if a.url() == "" {
		w.counted.fault(Download, "no link")
		return errors.New("no link to download")
	}
	//nolint:gosec // the device API names these hashes; sha256 is among them
	sum1, sum5, sum256 := sha1.New(), md5.New(), sha256.New()
	var size counter
	status, err := w.exchange(ctx, &request{kind: Download, method: "GET", url: a.url()}, io.MultiWriter(sum1, sum5, sum256, &size))
	w.counted.bytes.Add(int64(size))
	if !w.judge(ctx, Download, status, err) {
		return errors.New("download failed")
	}
	for _, is := range []struct{ what, got, want string }{
		{"size", strconv.FormatInt(int64(size), 10), strconv.FormatInt(a.Size, 10)},
		{"sha256", hex.EncodeToString(sum256.Sum(nil)), a.Hashes.SHA256},
		{"sha1", hex.EncodeToString(sum1.Sum(nil)), a.Hashes.SHA1},
		{"md5", hex.EncodeToString(sum5.Sum(nil)), a.Hashes.MD5},
	} {
		if is.got != is.want {
			w.counted.fault(Download, "wrong "+is.what)
			return fmt.Errorf("%s is %s instead of %q", is.what, is.got, is.want)
		}
	}
	return nil
}

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func (w *worker) feedback(execution, finished string, code *int, detail string) feedback {
	return feedback{Timestamp: time.Now().UnixMilli(), Status: status{
		Execution: execution, Result: result{Finished: finished}, Code: code, Details: []string{detail},
	}}
}

// base returns a path below the device's own.
func (w *worker) base(parts ...string) string {
	b := append(w.path[:0], '/')
	b = append(b, w.config.Tenant...)
	b = append(b, "/controller/v1/"...)
	plain := true
	for _, c := range w.id {
		plain = plain && (c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')
	}
	if plain {
		b = append(b, w.id...)
	} else {
		b = append(b, url.PathEscape(string(w.id))...)
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	w.path = b
	return string(b)
}

// get fetches a document into w.answer. What a poll offered may be gone by now,
// which is nothing wrong.
func (w *worker) get(ctx context.Context, kind Kind, href string) bool {
	status, err := w.exchange(ctx, &request{kind: kind, method: "GET", url: href}, &w.answer)
	if err == nil && status == 404 && kind != Poll {
		w.counted.counts[overtaken].Add(1)
		return false
	}
	return w.judge(ctx, kind, status, err)
}

// send sends a document, to which the answer has no body worth reading.
func (w *worker) send(ctx context.Context, kind Kind, method, path string, body any) bool {
	status, err := w.exchange(ctx, &request{kind: kind, method: method, url: path, body: marshal(body)}, &w.answer)
	return w.judge(ctx, kind, status, err)
}

// exchange sends a request of the device and takes the time.
func (w *worker) exchange(ctx context.Context, r *request, sink io.Writer) (int, error) {
	w.answer.Reset()
	r.id, r.token = w.id, w.token
	from := time.Now()
	status, err := w.wire.exchange(ctx, r, sink)
	if err == nil {
		w.counted.took[r.kind].Record(time.Since(from))
	}
	return status, err
}

// judge counts what is wrong with an answer. What the end of the simulation
// cut off is not.
func (w *worker) judge(ctx context.Context, kind Kind, status int, err error) bool {
	switch {
	case err != nil && ctx.Err() != nil:
		return false
	case err != nil:
		w.counted.fault(kind, cause(err))
		return false
	case status != 200:
		w.counted.fault(kind, strconv.Itoa(status))
		return false
	}
	return true
}

// isSilent tells whether the device is one of those that never report.
func (w *worker) isSilent() bool { return w.chance(0) < w.config.Silent }

// chance is a number from 0 to 1 that depends on seed, device and what alone.
func (w *worker) chance(what uint64) float64 {
	x := w.config.Seed ^ uint64(w.number)*0x9e3779b97f4a7c15 ^ what*0xd1342543de82ef95
	for range 2 { // splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}

// jitter moves a time by the share configured, evenly to both sides.
func (w *worker) jitter(d time.Duration) time.Duration {
	return d + time.Duration((w.random.Float64()*2-1)*w.config.Jitter*float64(d))
}

// marshal encodes a document of our own, which cannot fail.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a type above that JSON has no form for
	}
	return b
}
