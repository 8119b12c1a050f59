package local_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/blob/blobtest"
	"github.com/otaria/otaria/blob/local"
	"github.com/otaria/otaria/fault"
)

// uploaderDir makes this program the uploader of the crash tests.
const uploaderDir = "OTARIA_TEST_UPLOAD_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(uploaderDir); dir != "" {
		if err := uploadForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// uploadForever commits contents of many sizes, some of them known, and tells
// each digest once it is committed.
func uploadForever(dir string) error {
	s, err := local.Open(dir, local.Options{Now: time.Now})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	known := bytes.Repeat([]byte("known to all "), 10_000)
	for i := 0; ; i++ {
		content := make([]byte, mathrand.IntN(600<<10))
		if _, err := rand.Read(content); err != nil {
			return err
		}
		if i%4 == 3 {
			content = known
		}
		u, err := s.Create(context.Background())
		if err != nil {
			return err
		}
		if _, err := io.Copy(u, bytes.NewReader(content)); err != nil {
			return err
		}
		if i%7 == 6 {
			u.Abort()
			continue
		}
		d, err := u.Commit(context.Background())
		if err != nil {
			return err
		}
		fmt.Println(d.SHA256)
	}
}

func open(t *testing.T, dir string, o local.Options) *local.Store {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := local.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T, now func() time.Time) blob.Store {
		t.Helper()
		return open(t, t.TempDir(), local.Options{Grace: blobtest.Grace, Now: now})
	})
}

// TestSharedDirectory runs the suite on two stores of one directory, as two
// processes have them, taking turns.
func TestSharedDirectory(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T, now func() time.Time) blob.Store {
		t.Helper()
		dir := t.TempDir()
		o := local.Options{Grace: blobtest.Grace, Now: now}
		return &taking{stores: [2]*local.Store{open(t, dir, o), open(t, dir, o)}}
	})
}

// Every acknowledged content of a process that was killed is there; what is
// there is whole; the next start clears away what was not acknowledged.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	unfinished := 0
	for range 25 {
		for _, sum := range runAndKill(t, dir) {
			acknowledged[sum] = true
		}
		unfinished += len(entries(t, filepath.Join(dir, "tmp")))
		found := wholeContents(t, dir)
		for sum := range acknowledged {
			if !found[sum] {
				t.Fatalf("content %s was acknowledged and is not there", sum)
			}
		}
	}
	if len(acknowledged) < 25 || unfinished == 0 {
		t.Fatalf("the test is too tame: %d contents committed, %d uploads cut", len(acknowledged), unfinished)
	}
	open(t, dir, local.Options{})
	if left := entries(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left of killed uploads: %v", left)
	}
}

// runAndKill runs an uploader, kills it in the middle, and returns what it
// acknowledged.
func runAndKill(t *testing.T, dir string) (sums []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), uploaderDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil {
		t.Fatalf("uploader said %q: %v; %s", line, err, stderr.String())
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if len(sums) == 0 {
			time.AfterFunc(time.Duration(mathrand.IntN(30_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
		sums = append(sums, strings.TrimSpace(line))
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("uploader ended by itself: %v; %s", err, stderr.String())
	}
	return sums
}

// wholeContents hashes all files of the directory but those of unfinished
// uploads and locks.
func wholeContents(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "tmp" || entry.Name() == "lock" {
				return fs.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		name := hex.EncodeToString(sum[:])
		if want := filepath.Join(dir, name[:2], name[2:4], name); path != want {
			return fmt.Errorf("%s is damaged: its content belongs to %s", path, want)
		}
		found[name] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}

// A process that starts does not take away what another one is uploading.
func TestOpenKeepsLivingUploads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u, err := open(t, dir, local.Options{}).Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort()
	if _, err := u.Write([]byte("still ")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", "upload-of-the-dead"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, dir, local.Options{})
	if _, err := u.Write([]byte("living")); err != nil {
		t.Fatal(err)
	}
	d, err := u.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(t.Context(), d.SHA256); err != nil {
		t.Error(err)
	}
	if left := entries(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestNothingLeftInTmp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	for range 2 { // the second time the content is known
		blobtest.Put(t, s, []byte("content"))
	}
	u, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u.Abort()
	if left := entries(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestDamagedContentIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	content := []byte("cut by other hands")
	sum := blobtest.Put(t, s, content).SHA256
	path := filepath.Join(dir, sum[:2], sum[2:4], sum)
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	blobtest.Put(t, s, content)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOpenedContentIsAFile(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), local.Options{})
	b, err := s.Open(t.Context(), blobtest.Put(t, s, []byte("for sendfile")).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Content.Close()
	if _, ok := b.Content.(*os.File); !ok {
		t.Errorf("content is a %T", b.Content)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	roomy := open(t, dir, local.Options{Reserve: 1})
	known := blobtest.Put(t, roomy, []byte("stored before")).SHA256

	full := open(t, dir, local.Options{Reserve: 1 << 60})
	_, err := full.Create(t.Context())
	wantUnavailable(t, err, "full")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("cause of %v", err)
	}
	if _, err := full.Open(t.Context(), known); err != nil {
		t.Errorf("a full store cannot be read: %v", err)
	}

	// The disk fills up during an upload.
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	const slack = 64 << 20 // what others may write or free meanwhile
	nearly := open(t, dir, local.Options{Reserve: int64(disk.Bavail)*disk.Bsize - slack})
	u, err := nearly.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort()
	n, err := io.Copy(u, io.LimitReader(zeros{}, 4*slack))
	wantUnavailable(t, err, "full")
	if n == 0 || n >= 4*slack {
		t.Errorf("wrote %d bytes before the disk was full", n)
	}
	if _, err := u.Commit(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("commit after the disk was full: %v", err)
	}
	if left := entries(t, filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left of the upload: %v", left)
	}
	blobtest.Put(t, roomy, []byte("the disk has room again"))
}

// zeros is a sparse stream: cheap for the disk, and yet written.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for cause, word := range map[syscall.Errno]string{
		syscall.ENOSPC: "full", syscall.EDQUOT: "full", syscall.EROFS: "read-only", syscall.EMFILE: "files open", syscall.ENFILE: "files open",
		syscall.EIO: "log", syscall.EACCES: "log", syscall.ESTALE: "log",
	} {
		secret := &fs.PathError{Op: "write", Path: "/srv/secret", Err: cause}
		err := local.Unavailable(secret)
		wantUnavailable(t, err, word)
		if !errors.Is(err, cause) {
			t.Errorf("%v hides its cause %v", err, cause)
		}
	}
}

func wantUnavailable(t *testing.T, err error, word string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || !strings.Contains(f.Message, word) || strings.Contains(f.Message, "/") {
		t.Errorf("error %v, want a fault of kind Unavailable whose message speaks of %q and shows no path", err, word)
	}
}

// A directory that is gone, as that of a disk that is not mounted, is another
// thing than a content that is gone.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, local.Options{})
	sum := blobtest.Put(t, s, []byte("content")).SHA256
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Open(t.Context(), sum)
	wantUnavailable(t, err, "log")
	_, err = s.Create(t.Context())
	wantUnavailable(t, err, "log")
	_, err = s.Remove(t.Context(), sum, func() (bool, error) { return false, nil })
	wantUnavailable(t, err, "log")
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), sum); err != nil {
		t.Errorf("the directory is back, but: %v", err)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := local.Open(filepath.Join(file, "store"), local.Options{Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "writable") {
		t.Errorf("Open under a file: %v", err)
	}
}

// Foreign files in the directory are no contents.
func TestListIgnoresForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, local.Options{})
	d := blobtest.Put(t, s, []byte("content"))
	sub := filepath.Join(dir, d.SHA256[:2], d.SHA256[2:4])
	for _, path := range []string{filepath.Join(dir, "README"), filepath.Join(dir, "ab"), filepath.Join(sub, "abcd"), filepath.Join(sub, d.SHA256+".bak"), filepath.Join(sub, strings.Repeat("0", 64))} {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.List(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, info := range page {
		got = append(got, info.SHA256)
	}
	if diff := cmp.Diff([]string{d.SHA256}, got); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}
