package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/otaria/otaria/blob"
)

// chunk is how much is read, hashed and written at once. Two of them are the
// memory of an upload.
const chunk = 256 << 10

// An upload is a temporary file that is locked as long as its uploader lives.
type upload struct {
	store  *Store
	ctx    context.Context // that of the request whose body is written
	file   *os.File        // nil after Commit or Abort
	moved  bool            // file stands at its final place
	hashes *blob.Hashes
	err    error // the first of a write; it ends the upload

	unchecked int // bytes written since the disk was last asked for room
}

// Create implements blob.Store.
func (s *Store) Create(ctx context.Context) (blob.Upload, error) {
	if err := s.room(0); err != nil {
		return nil, s.unwritable(err)
	}
	for {
		f, err := os.CreateTemp(s.path(tmpDir), "upload-*")
		if err != nil {
			return nil, s.unwritable(err)
		}
		held, err := hold(f)
		if err != nil {
			return nil, errors.Join(s.unwritable(err), f.Close(), os.Remove(f.Name()))
		}
		if held {
			return &upload{store: s, ctx: ctx, file: f, hashes: blob.NewHashes()}, nil
		}
		_ = f.Close()
	}
}

// hold locks the new file. It reports false if a starting process took the file
// for abandoned in the moment before.
func hold(f *os.File) (bool, error) {
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return false, err
	}
	if _, err := os.Stat(f.Name()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, f.Chmod(fileMode)
}

// Write implements io.Writer.
func (u *upload) Write(p []byte) (int, error) {
	if err := u.ready(); err != nil {
		return 0, err
	}
	if u.unchecked += len(p); u.unchecked >= chunk {
		if err := u.store.room(u.unchecked); err != nil {
			u.err = u.store.unwritable(err)
			return 0, u.err
		}
		u.unchecked = 0
	}
	n, err := u.hashes.WriteTo(u.file, p)
	if err != nil {
		u.err = u.store.unwritable(err)
	}
	return n, u.err
}

// ReadFrom reads the next chunk while the last one is hashed and written.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	var (
		buffers = [2][]byte{make([]byte, chunk), make([]byte, chunk)}
		written = make(chan error, 1)
		total   int64
	)
	written <- nil
	for i := 0; ; i ^= 1 {
		n, readErr := fill(buffers[i], r)
		if err := <-written; err != nil {
			return total, err
		}
		total += int64(n)
		go func() {
			_, err := u.Write(buffers[i][:n])
			written <- err
		}()
		if readErr != nil {
			if err := <-written; err != nil {
				return total, err
			}
			if errors.Is(readErr, io.EOF) {
				return total, nil
			}
			return total, readErr
		}
	}
}

// fill reads until the buffer is full or r has an error. Unlike io.ReadFull it
// hands on the reader's own: a body that was cut short also ends with
// io.ErrUnexpectedEOF, and must not pass for a whole one.
func fill(buffer []byte, r io.Reader) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = r.Read(buffer[n:])
		n += m
	}
	return n, err
}

// Digest implements blob.Upload.
func (u *upload) Digest() blob.Digest { return u.hashes.Digest() }

// Commit implements blob.Upload.
func (u *upload) Commit(ctx context.Context) (blob.Digest, error) {
	defer u.Abort()
	if err := errors.Join(u.ready(), ctx.Err()); err != nil {
		return blob.Digest{}, err
	}
	digest := u.hashes.Digest()
	if err := u.commit(digest); err != nil {
		return blob.Digest{}, u.store.unwritable(fmt.Errorf("commit %s: %w", digest.SHA256, err))
	}
	u.store.writing.Worked()
	return digest, nil
}

func (u *upload) commit(d blob.Digest) error {
	s, final := u.store, u.store.final(d.SHA256)

	// A large content is synced before others have to wait for the lock.
	synced := false
	if !stored(final, d.Size) {
		if err := u.file.Sync(); err != nil {
			return err
		}
		synced = true
	}

	unlock, err := s.lock(d.SHA256)
	if err != nil {
		return err
	}
	defer unlock()

	if stored(final, d.Size) {
		now := s.now()
		if err := os.Chtimes(final, now, now); err != nil {
			return err
		}
		// Whoever renamed it may have been killed before this.
		return s.syncDirs(final)
	}
	if !synced {
		if err := u.file.Sync(); err != nil {
			return err
		}
	}
	now := s.now()
	if err := os.Chtimes(u.file.Name(), now, now); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(final), dirMode); err != nil {
		return err
	}
	if err := os.Rename(u.file.Name(), final); err != nil {
		return err
	}
	u.moved = true
	return s.syncDirs(final)
}

// stored reports whether the content is there. One of another size was damaged
// by other hands and is replaced.
func stored(final string, size int64) bool {
	info, err := os.Stat(final)
	return err == nil && info.Mode().IsRegular() && info.Size() == size
}

// syncDirs makes the name of a content durable, with those of the directories
// it stands in.
func (s *Store) syncDirs(final string) error {
	for dir := filepath.Dir(final); ; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil || dir == s.root {
			return err
		}
	}
}

// Abort implements blob.Upload.
func (u *upload) Abort() {
	if u.file == nil {
		return
	}
	if !u.moved {
		_ = os.Remove(u.file.Name()) // if this fails, the next start removes it
	}
	_ = u.file.Close()
	u.file = nil
}

func (u *upload) ready() error {
	switch {
	case u.file == nil:
		return errors.New("blob: the upload has ended")
	case u.err != nil:
		return u.err
	default:
		return u.ctx.Err()
	}
}
