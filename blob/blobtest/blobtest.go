// Package blobtest says how every store of artifact bytes must behave.
package blobtest

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // the contract names MD5 and SHA-1
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/fault"
)

// Grace is the grace time that the stores under test must have.
const Grace = time.Hour

// A Clock is the time of a store under test. It may be used by many goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the time on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run runs the suite. fresh returns an empty store that goes by the clock and
// has the grace time Grace; it cleans up with the test.
func Run(t *testing.T, fresh func(t *testing.T, now func() time.Time) blob.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s blob.Store, clock *Clock){
		"commit and open":                  commitAndOpen,
		"empty content":                    emptyContent,
		"digest before commit":             digestBeforeCommit,
		"aborted upload leaves nothing":    aborted,
		"ended upload takes nothing":       ended,
		"cut body is no content":           cutBody,
		"canceled upload":                  canceled,
		"unknown content":                  unknown,
		"equal content is stored once":     storedOnce,
		"reader outlives removal":          readerOutlivesRemoval,
		"remove asks and waits":            removeAsksAndWaits,
		"commit of known content protects": commitProtects,
		"list in order, in pages":          listPages,
		"sweep":                            sweep,
		"commit against removal":           commitAgainstRemoval,
		"like a map of contents":           likeAMap,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			test(t, fresh(t, clock.Now), clock)
		})
	}
}

// DigestOf returns what a store must say of the content.
func DigestOf(content []byte) blob.Digest {
	a, b, c := sha256.Sum256(content), sha1.Sum(content), md5.Sum(content) //nolint:gosec // the contract names them
	return blob.Digest{
		SHA256: hex.EncodeToString(a[:]), SHA1: hex.EncodeToString(b[:]), MD5: hex.EncodeToString(c[:]),
		Size: int64(len(content)),
	}
}

// Put commits the content or fails the test.
func Put(tb testing.TB, s blob.Store, content []byte) blob.Digest {
	tb.Helper()
	u, err := s.Create(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	defer u.Abort()
	if n, err := io.Copy(u, bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		tb.Fatalf("wrote %d of %d bytes: %v", n, len(content), err)
	}
	digest, err := u.Commit(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(DigestOf(content), digest); diff != "" {
		tb.Fatalf("digest (-want +got):\n%s", diff)
	}
	return digest
}

func read(ctx context.Context, s blob.Store, sum string) ([]byte, error) {
	b, err := s.Open(ctx, sum)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(b.Content)
	if err == nil && int64(len(content)) != b.Size {
		err = fmt.Errorf("%d bytes of a content whose size is %d", len(content), b.Size)
	}
	return content, errors.Join(err, b.Content.Close())
}

func wantContent(t *testing.T, s blob.Store, content []byte) {
	t.Helper()
	got, err := read(t.Context(), s, DigestOf(content).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Fatalf("read %d bytes that are not the %d written", len(got), len(content))
	}
}

func wantMissing(t *testing.T, s blob.Store, sum string) {
	t.Helper()
	if _, err := read(t.Context(), s, sum); !fault.Is(err, fault.BinaryMissing) {
		t.Fatalf("open of a missing content: %v, want a fault of kind BinaryMissing", err)
	}
}

func wantSums(t *testing.T, s blob.Store, want ...string) {
	t.Helper()
	page, err := s.List(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, info := range page {
		got = append(got, info.SHA256)
	}
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Fatalf("contents (-want +got):\n%s", diff)
	}
}

// sample returns n bytes that do not repeat soon and differ by seed.
func sample(n int, seed byte) []byte {
	content := make([]byte, n)
	x := uint32(seed) + 1
	for i := range content {
		x = x*1664525 + 1013904223
		content[i] = byte(x >> 24)
	}
	return content
}

func never() (bool, error) { return false, nil }

func commitAndOpen(t *testing.T, s blob.Store, _ *Clock) {
	for _, size := range []int{1, 3, 4096, 16 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1<<20 + 7} {
		content := sample(size, 1)
		Put(t, s, content)
		wantContent(t, s, content)
	}
	content := sample(1000, 1)
	sum := Put(t, s, content).SHA256
	b, err := s.Open(t.Context(), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Content.Close() //nolint:errcheck // only read
	if _, err := b.Content.Seek(990, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(b.Content); err != nil || !bytes.Equal(rest, content[990:]) {
		t.Fatalf("after a seek: %v, %v", rest, err)
	}
}

func emptyContent(t *testing.T, s blob.Store, _ *Clock) {
	Put(t, s, nil)
	wantContent(t, s, nil)
}

func digestBeforeCommit(t *testing.T, s blob.Store, _ *Clock) {
	u, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort()
	content := sample(100_000, 2)
	for i, piece := range [][]byte{content[:1], content[1:50_000], content[50_000:50_000], content[50_000:]} {
		if _, err := u.Write(piece); err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
	}
	if diff := cmp.Diff(DigestOf(content), u.Digest()); diff != "" {
		t.Fatalf("digest (-want +got):\n%s", diff)
	}
	wantMissing(t, s, u.Digest().SHA256)
}

func aborted(t *testing.T, s blob.Store, _ *Clock) {
	u, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content := sample(300_000, 3)
	if _, err := u.Write(content); err != nil {
		t.Fatal(err)
	}
	u.Abort()
	u.Abort()
	wantMissing(t, s, DigestOf(content).SHA256)
	wantSums(t, s)
}

func ended(t *testing.T, s blob.Store, _ *Clock) {
	u, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content := sample(10, 4)
	if _, err := u.Write(content); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.Abort()
	wantContent(t, s, content)
	if _, err := u.Write(content); err == nil {
		t.Error("write after commit: no error")
	}
	if _, err := u.Commit(t.Context()); err == nil {
		t.Error("second commit: no error")
	}
	wantSums(t, s, DigestOf(content).SHA256)
}

// cutBody stands for a request that breaks off: net/http and mime/multipart
// say so with io.ErrUnexpectedEOF.
func cutBody(t *testing.T, s blob.Store, _ *Clock) {
	content := sample(300_000, 5)
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("connection reset")} {
		u, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer u.Abort()
		n, err := io.Copy(u, io.MultiReader(bytes.NewReader(content), iotest.ErrReader(cause)))
		if !errors.Is(err, cause) {
			t.Errorf("copy of a body cut by %v: %d, %v", cause, n, err)
		}
	}
	wantSums(t, s)
}

func canceled(t *testing.T, s blob.Store, _ *Clock) {
	ctx, cancel := context.WithCancel(t.Context())
	u, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort()
	if _, err := u.Write([]byte("begun")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := u.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit of a canceled upload: %v", err)
	}
	wantSums(t, s)
}

func unknown(t *testing.T, s blob.Store, _ *Clock) {
	Put(t, s, []byte("something"))
	sum := DigestOf([]byte("nothing")).SHA256
	for _, sum := range []string{sum, strings.ToUpper(sum), sum[:63], sum + "0", "", ".", "../../../../etc/passwd", strings.Repeat("../", 21) + "x"} {
		wantMissing(t, s, sum)
		if gone, err := s.Remove(t.Context(), sum, never); !gone || err != nil {
			t.Errorf("remove of the unknown %q: %v, %v", sum, gone, err)
		}
	}
	wantSums(t, s, DigestOf([]byte("something")).SHA256)
}

func storedOnce(t *testing.T, s blob.Store, _ *Clock) {
	content := sample(70_000, 6)
	var uploads sync.WaitGroup
	for range 8 {
		uploads.Go(func() {
			u, err := s.Create(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer u.Abort()
			if _, err := u.Write(content); err != nil {
				t.Error(err)
			}
			if got, err := u.Commit(t.Context()); err != nil || got != DigestOf(content) {
				t.Errorf("commit: %v, %v", got, err)
			}
		})
	}
	uploads.Wait()
	wantContent(t, s, content)
	wantSums(t, s, DigestOf(content).SHA256)
}

func readerOutlivesRemoval(t *testing.T, s blob.Store, clock *Clock) {
	content := sample(500_000, 7)
	sum := Put(t, s, content).SHA256
	b, err := s.Open(t.Context(), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Content.Close() //nolint:errcheck // only read
	clock.Advance(Grace)
	if gone, err := s.Remove(t.Context(), sum, never); !gone || err != nil {
		t.Fatalf("remove: %v, %v", gone, err)
	}
	if got, err := io.ReadAll(b.Content); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read after removal: %d bytes, %v", len(got), err)
	}
	wantMissing(t, s, sum)
}

func removeAsksAndWaits(t *testing.T, s blob.Store, clock *Clock) {
	content := []byte("used at first")
	sum := Put(t, s, content).SHA256
	asked := 0
	answer := func(used bool, err error) func() (bool, error) {
		return func() (bool, error) { asked++; return used, err }
	}
	broken := errors.New("database away")
	for i, step := range []struct {
		wait time.Duration
		ask  func() (bool, error)
		gone bool
		err  error
	}{
		{0, answer(false, nil), false, nil},
		{Grace - time.Second, answer(false, nil), false, nil},
		{time.Second, answer(true, nil), false, nil},
		{0, answer(false, broken), false, broken},
		{0, answer(false, nil), true, nil},
		{0, answer(false, nil), true, nil},
	} {
		clock.Advance(step.wait)
		if gone, err := s.Remove(t.Context(), sum, step.ask); gone != step.gone || !errors.Is(err, step.err) {
			t.Fatalf("remove %d: %v, %v; want %v, %v", i, gone, err, step.gone, step.err)
		}
		if step.gone {
			wantMissing(t, s, sum)
		} else {
			wantContent(t, s, content)
		}
	}
	if asked < 3 {
		t.Errorf("stillUsed was asked %d times, want at least 3", asked)
	}
}

func commitProtects(t *testing.T, s blob.Store, clock *Clock) {
	content := []byte("uploaded again, row not inserted yet")
	sum := Put(t, s, content).SHA256
	clock.Advance(2 * Grace)
	Put(t, s, content)
	if gone, err := s.Remove(t.Context(), sum, never); gone || err != nil {
		t.Fatalf("remove right after a commit: %v, %v", gone, err)
	}
	wantContent(t, s, content)
	clock.Advance(Grace)
	if gone, err := s.Remove(t.Context(), sum, never); !gone || err != nil {
		t.Fatalf("remove after the grace time: %v, %v", gone, err)
	}
}

func listPages(t *testing.T, s blob.Store, clock *Clock) {
	want := []blob.Info{}
	for i := range 40 {
		clock.Advance(time.Second)
		d := Put(t, s, sample(i+1, byte(i)))
		want = append(want, blob.Info{SHA256: d.SHA256, Size: d.Size, Committed: clock.Now()})
	}
	slices.SortFunc(want, func(a, b blob.Info) int { return strings.Compare(a.SHA256, b.SHA256) })
	for _, limit := range []int{1, 7, 40, 100} {
		got, after := []blob.Info{}, ""
		for {
			page, err := s.List(t.Context(), after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > limit {
				t.Fatalf("a page of %d, limit %d", len(page), limit)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			after = page[len(page)-1].SHA256
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	// The place to go on from need not be there any more.
	page, err := s.List(t.Context(), want[10].SHA256[:63]+"0", 100)
	if err != nil || len(page) < 29 || len(page) > 30 {
		t.Fatalf("list from a removed place: %d contents, %v", len(page), err)
	}
}

func sweep(t *testing.T, s blob.Store, clock *Clock) {
	used, size := map[string]bool{}, int64(0)
	for i := range 25 {
		d := Put(t, s, sample(100+i, byte(i)))
		if i%3 == 0 {
			used[d.SHA256] = true
		} else {
			size += d.Size
		}
	}
	clock.Advance(Grace)
	young := Put(t, s, []byte("committed just now"))

	unused := func(_ context.Context, sums []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(sums), func(sum string) bool { return used[sum] }), nil
	}
	stillUsed := func(_ context.Context, sum string) (bool, error) { return used[sum], nil }

	var total blob.Swept
	for after, steps := "", 0; ; steps++ {
		next, removed, err := blob.Sweep(t.Context(), s, after, 10, unused, stillUsed)
		if err != nil || steps > 3 {
			t.Fatalf("step %d: %v", steps, err)
		}
		total.Contents += removed.Contents
		total.Bytes += removed.Bytes
		if next == "" {
			break
		}
		after = next
	}
	if diff := cmp.Diff(blob.Swept{Contents: 16, Bytes: size}, total); diff != "" {
		t.Errorf("swept (-want +got):\n%s", diff)
	}
	want := []string{young.SHA256}
	for sum := range used {
		want = append(want, sum)
	}
	wantSums(t, s, want...)

	broken := errors.New("database away")
	next, _, err := blob.Sweep(t.Context(), s, "0", 10, func(context.Context, []string) ([]string, error) { return nil, broken }, stillUsed)
	if !errors.Is(err, broken) || next != "0" {
		t.Errorf("sweep without a database: %q, %v", next, err)
	}
}

// commitAgainstRemoval lets uploads of one content race with its removal, while
// the grace time runs out again and again. A row that is inserted behind a commit,
// within the grace time, must find its bytes.
func commitAgainstRemoval(t *testing.T, s blob.Store, clock *Clock) {
	content := sample(2000, 8)
	sum := DigestOf(content).SHA256
	var (
		grace sync.RWMutex // held by those who count on the grace time
		rows  atomic.Int32
	)
	upload := func() error {
		u, err := s.Create(t.Context())
		if err != nil {
			return err
		}
		defer u.Abort()
		if _, err := u.Write(content); err != nil {
			return err
		}
		grace.RLock()
		_, err = u.Commit(t.Context())
		rows.Add(1)
		grace.RUnlock()
		defer rows.Add(-1)
		if err != nil {
			return err
		}
		if got, err := read(t.Context(), s, sum); err != nil || !bytes.Equal(got, content) {
			return fmt.Errorf("the bytes of a row are lost: %d bytes, %w", len(got), err)
		}
		return nil
	}
	done := make(chan struct{})
	var removed int
	var remover, uploads sync.WaitGroup
	remover.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			grace.Lock()
			clock.Advance(Grace)
			grace.Unlock()
			gone, err := s.Remove(t.Context(), sum, func() (bool, error) { return rows.Load() > 0, nil })
			if err != nil {
				t.Error(err)
				return
			}
			if gone {
				removed++
			}
		}
	})
	for range 3 {
		uploads.Go(func() {
			for range 25 {
				if err := upload(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	uploads.Wait()
	close(done)
	remover.Wait()
	if removed == 0 {
		t.Error("the test is too tame: nothing was removed")
	}
}

// likeAMap compares a store with a map of contents over random histories. The
// store goes on from one to the next: each may be short.
func likeAMap(t *testing.T, s blob.Store, clock *Clock) {
	stored := map[string][]byte{}
	committed := map[string]time.Time{}
	put := func(r *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 5000, 20_000}).Draw(r, "size")
		content := sample(size, rapid.ByteRange(0, 1).Draw(r, "seed"))
		digest := Put(t, s, content)
		stored[digest.SHA256], committed[digest.SHA256] = content, clock.Now()
	}
	remove := func(r *rapid.T) {
		if len(stored) == 0 {
			return
		}
		sum := rapid.SampledFrom(sortedKeys(stored)).Draw(r, "sum")
		used := rapid.Bool().Draw(r, "used")
		gone, err := s.Remove(t.Context(), sum, func() (bool, error) { return used, nil })
		want := !used && clock.Now().Sub(committed[sum]) >= Grace
		if gone != want || err != nil {
			r.Fatalf("remove, used %v: %v, %v; want %v", used, gone, err, want)
		}
		if gone {
			delete(stored, sum)
		}
	}
	wait := func(r *rapid.T) {
		clock.Advance(time.Duration(rapid.IntRange(1, 50).Draw(r, "minutes")) * time.Minute)
	}
	steps := map[string]func(*rapid.T){"put": put, "remove": remove, "wait": wait}

	rapid.Check(t, func(r *rapid.T) {
		for _, step := range rapid.SliceOfN(rapid.SampledFrom([]string{"put", "remove", "remove", "wait"}), 1, 5).Draw(r, "history") {
			steps[step](r)
		}
		wantSums(t, s, sortedKeys(stored)...)
		for sum, content := range stored {
			if got, err := read(t.Context(), s, sum); err != nil || !bytes.Equal(got, content) {
				r.Fatalf("content %s: %d bytes, %v", sum, len(got), err)
			}
		}
	})
}

func sortedKeys(m map[string][]byte) []string {
	keys := []string{}
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
