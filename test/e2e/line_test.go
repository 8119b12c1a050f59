//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// line stands between a device and the server and can break.
type line struct {
	addr, server string

	mu    sync.Mutex
	limit int64 // bytes a connection may carry to the device before it is cut; 0: any number
	cut   bool
	asked bytes.Buffer // what devices sent
}

func startLine(t *testing.T, server string) *line {
	t.Helper()
	var c net.ListenConfig
	listener, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: listener.Addr().String(), server: server}
	ctx, hangUp := context.WithCancel(context.WithoutCancel(t.Context()))
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			device, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Go(func() { l.carry(ctx, device) })
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		hangUp()
		calls.Wait()
	})
	return l
}

// carry passes bytes in both directions until one side hangs up.
func (l *line) carry(ctx context.Context, device net.Conn) {
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", l.server)
	if err != nil {
		_ = device.Close()
		return
	}
	hangUp := func() { _, _ = device.Close(), server.Close() }
	defer context.AfterFunc(ctx, hangUp)()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(io.MultiWriter(server, (*recorder)(l)), device)
		hangUp()
	})
	_, _ = io.Copy(&meter{line: l, to: device}, server)
	hangUp()
	up.Wait()
}

// cutOnceAfter breaks the next connection that carries so many bytes.
func (l *line) cutOnceAfter(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = bytes
}

func (l *line) wasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// resumed reports whether a device asked for the rest of a file.
func (l *line) resumed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.asked.Bytes(), []byte("Range: bytes="))
}

type recorder line

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked.Write(p)
}

// meter counts what goes to the device, and breaks the line.
type meter struct {
	line *line
	to   net.Conn
	n    int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.to.Write(p)
	m.n += int64(n)
	m.line.mu.Lock()
	defer m.line.mu.Unlock()
	if m.line.limit > 0 && m.n >= m.line.limit {
		m.line.limit, m.line.cut = 0, true
		return n, errors.New("the line broke")
	}
	return n, err
}
