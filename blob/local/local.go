// Package local is the store of artifact bytes in a directory.
//
//	ab/cd/abcd…   a content, under its SHA-256
//	tmp/          uploads that are not committed yet
//	lock/         one file for each first byte of a SHA-256, to lock it
//
// Nothing but whole contents ever stands at its final place: an upload is
// written to tmp, synced, renamed, and the directories are synced before Commit
// returns. SIGKILL or a power cut at any moment loses uploads that were not
// acknowledged, and nothing else.
//
// Several processes of one machine may share the directory: the locks are those
// of the kernel (flock), and vanish with the process that held them. A backup
// may copy the directory while it is in use, leaving out tmp and lock.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/otaria/otaria/blob"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/outage"
)

const (
	tmpDir  = "tmp"
	lockDir = "lock"

	dirMode  = 0o750
	fileMode = 0o640
)

// DefaultReserve is the reserve of a store that is not told another.
const DefaultReserve = 64 << 20

// Options of a store.
type Options struct {
	// Grace is how long after its last commit a content cannot be removed. Zero
	// stands for blob.DefaultGrace.
	Grace time.Duration

	// Reserve is how many bytes of the disk uploads leave free for others, above
	// all for the database: the store is full when it comes to them. Zero stands
	// for DefaultReserve.
	Reserve int64

	// Now is the clock; nil is the machine's.
	Now func() time.Time

	// Log hears once when contents cannot be stored or read any more, and once
	// when they can again; nil is nobody.
	Log *slog.Logger
}

// A Store is a directory of contents.
type Store struct {
	root    string
	grace   time.Duration
	reserve int64
	now     func() time.Time

	writing, reading *outage.Log
}

var _ blob.Store = (*Store)(nil)

// Open makes the directory if needed and removes what crashed uploads left in
// it; those of living processes stay. The error says what to do when the
// directory cannot be written.
func Open(dir string, o Options) (*Store, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("artifact store: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default of an option
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	s := &Store{root: root, grace: cmp.Or(o.Grace, blob.DefaultGrace), reserve: cmp.Or(o.Reserve, DefaultReserve), now: o.Now}
	where := slog.String("directory", root)
	s.writing = outage.New(o.Log, o.Now,
		"artifacts cannot be stored; uploads get 503 until they can again: free some space on the disk of the directory, and check that it is writable",
		"artifacts can be stored again", where)
	s.reading = outage.New(o.Log, o.Now,
		"artifacts cannot be read; downloads get 503 until they can again: check that the directory is there and readable, and the limit of open files",
		"artifacts can be read again", where)
	for _, sub := range []string{"", tmpDir, lockDir} {
		if err := os.MkdirAll(filepath.Join(root, sub), dirMode); err != nil {
			return nil, fmt.Errorf("artifact store: %w; make the directory writable for this user", err)
		}
	}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("artifact store: remove unfinished uploads: %w", err)
	}
	return s, nil
}

// clean removes the temporary files whose uploader is gone: a living one holds
// the lock of its file.
func (s *Store) clean() error {
	files, err := os.ReadDir(s.path(tmpDir))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := removeAbandoned(s.path(tmpDir, file.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeAbandoned(path string) error {
	f, err := os.Open(path) //nolint:gosec // a file of our own directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process cleans too, or the upload ended
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	switch err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil
	case err != nil:
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Open opens a content as an *os.File.
func (s *Store) Open(_ context.Context, sha256 string) (blob.Blob, error) {
	if !wellFormed(sha256) {
		return blob.Blob{}, missing(fmt.Errorf("%q is no SHA-256", sha256))
	}
	f, err := os.Open(s.final(sha256))
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(s.path(tmpDir)); gone != nil { // a disk that is not mounted loses no single content
			return blob.Blob{}, s.unreadable(gone)
		}
		return blob.Blob{}, missing(err)
	}
	if err != nil {
		return blob.Blob{}, s.unreadable(err)
	}
	info, err := f.Stat()
	if err != nil {
		return blob.Blob{}, errors.Join(s.unreadable(err), f.Close())
	}
	s.reading.Worked()
	return blob.Blob{Content: f, Size: info.Size()}, nil
}

// Remove implements blob.Store.
func (s *Store) Remove(_ context.Context, sha256 string, stillUsed func() (bool, error)) (bool, error) {
	if !wellFormed(sha256) {
		return true, nil
	}
	unlock, err := s.lock(sha256)
	if err != nil {
		return false, unavailable(err)
	}
	defer unlock()

	info, err := os.Stat(s.final(sha256))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	if s.now().Sub(info.ModTime()) < s.grace {
		return false, nil
	}
	used, err := stillUsed()
	if err != nil || used {
		return false, err
	}
	if err := os.Remove(s.final(sha256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, unavailable(err)
	}
	return true, nil
}

// List implements blob.Store. It reads the directories of one page only.
func (s *Store) List(ctx context.Context, after string, limit int) ([]blob.Info, error) {
	page := []blob.Info{}
	err := s.walk(after, func(path, sha256 string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		page = append(page, blob.Info{SHA256: sha256, Size: info.Size(), Committed: info.ModTime()})
		if len(page) >= limit {
			return fs.SkipAll
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.SkipAll), err == nil:
		return page, nil
	case ctx.Err() != nil:
		return nil, err
	default:
		return nil, unavailable(err)
	}
}

// walk visits the contents behind after in the order of their names, until
// visit returns an error.
func (s *Store) walk(after string, visit func(path, sha256 string) error) error {
	var part1, part2 string
	if len(after) >= 4 {
		part1, part2 = after[:2], after[2:4]
	}
	firsts, err := names(s.root, part1)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		from := ""
		if first == part1 {
			from = part2
		}
		seconds, err := names(s.path(first), from)
		if err != nil {
			return err
		}
		for _, second := range seconds {
			sums, err := names(s.path(first, second), after)
			if err != nil {
				return err
			}
			for _, sum := range sums {
				if sum == after || !wellFormed(sum) || !strings.HasPrefix(sum, first+second) {
					continue
				}
				if err := visit(s.path(first, second, sum), sum); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// names returns the sorted hex names in a directory from the given one on.
// What is not there, or no directory, has none.
func names(dir, from string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if name := entry.Name(); name >= from && isHex(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// lock takes the lock of the digest, shared with those that begin alike, across
// goroutines and processes.
func (s *Store) lock(sha256 string) (unlock func(), err error) {
	f, err := os.OpenFile(s.path(lockDir, sha256[:2]), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// room returns ENOSPC unless n more bytes leave the reserve free.
func (s *Store) room(n int) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.root, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", s.root, err)
	}
	free := disk.Bavail * uint64(disk.Bsize)
	if free < uint64(s.reserve)+uint64(n) {
		return fmt.Errorf("%s has %d bytes free, of which %d are reserved: %w", s.root, free, s.reserve, syscall.ENOSPC)
	}
	return nil
}

func (s *Store) path(elements ...string) string {
	return filepath.Join(append([]string{s.root}, elements...)...)
}

// final is where a content stands. The SHA-256 must be well formed: it comes
// from rows, but a path is made of it.
func (s *Store) final(sha256 string) string {
	return s.path(sha256[:2], sha256[2:4], sha256)
}

func wellFormed(sha256 string) bool { return len(sha256) == 64 && isHex(sha256) }

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

func missing(cause error) error {
	return fault.Wrap(fault.BinaryMissing, cause,
		"The content of this artifact is not in the artifact store. Restore the store from a backup, or delete the artifact and upload it again.")
}

// unwritable and unreadable tell the operator of what unavailable tells the client.
func (s *Store) unwritable(cause error) error {
	s.writing.Failed(cause)
	return unavailable(cause)
}

func (s *Store) unreadable(cause error) error {
	s.reading.Failed(cause)
	return unavailable(cause)
}

// unavailable words an error of the operating system for the client; the cause,
// with its path, is for the log.
func unavailable(cause error) error {
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return fault.Wrap(fault.Unavailable, cause,
			"The artifact store is full. Free some space on the server's disk or raise its quota, then try again; nothing has to be restarted.")
	case errors.Is(cause, syscall.EROFS):
		return fault.Wrap(fault.Unavailable, cause,
			"The artifact store is read-only. Mount the server's data directory writable, then try again; nothing has to be restarted.")
	case errors.Is(cause, syscall.EMFILE), errors.Is(cause, syscall.ENFILE):
		return fault.Wrap(fault.Unavailable, cause,
			"The server has too many files open. Try again later, or raise its limit of open files.")
	default:
		return fault.Wrap(fault.Unavailable, cause,
			"The artifact store cannot be used. The server's log says why; check its data directory and try again.")
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // a directory of our own
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
