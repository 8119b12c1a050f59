package simulator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lean speaks just enough HTTP/1.1 for our own servers: no TLS, no proxy, no
// chunked answers. It needs a fraction of net/http's work for a request, so
// that a benchmark measures the server and not the load.
type lean struct {
	config *Config
	host   string // as the URL writes it
	out    []byte
	fields []field

	reader   *bufio.Reader
	deadline time.Time

	mu     sync.Mutex // guards what stop touches
	conn   net.Conn
	ended  bool
	unhook func() bool
}

// newLean returns a wire that breaks off when ctx is done.
func newLean(ctx context.Context, c *Config, host string) *lean {
	l := &lean{config: c, host: host, reader: bufio.NewReaderSize(nil, 8<<10)}
	l.unhook = context.AfterFunc(ctx, l.stop)
	return l
}

// stop ends the exchange that is going on and all later ones.
func (l *lean) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.drop()
}

// drop closes the connection, if there is one.
func (l *lean) drop() {
	if l.conn != nil {
		_ = l.conn.Close() // nothing is lost: all was read, or given up
		l.conn = nil
	}
}

func (l *lean) close() {
	l.unhook()
	l.stop()
}

// connection returns the one that is kept, or a new one.
func (l *lean) connection(ctx context.Context) (conn net.Conn, kept bool, err error) {
	l.mu.Lock()
	conn = l.conn
	l.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	address := l.host
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "80")
	}
	d := net.Dialer{Timeout: l.config.Timeout}
	conn, err = d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, false, fmt.Errorf("connect: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = conn.Close() // never used
		return nil, false, fmt.Errorf("connect: %w", context.Canceled)
	}
	l.conn = conn
	l.reader.Reset(conn)
	l.deadline = time.Time{}
	return conn, false, nil
}

// exchange sends a GET once more on a new connection if the kept one was
// closed by the server meanwhile. Anything else might then be done twice.
func (l *lean) exchange(ctx context.Context, r *request, sink io.Writer) (int, error) {
	path := r.url
	if !strings.HasPrefix(path, "/") {
		var ours bool
		if path, ours = strings.CutPrefix(r.url, l.config.URL); !ours || !strings.HasPrefix(path, "/") {
			return 0, &badAnswerError{"link to another server: play without fast"}
		}
	}
	if strings.ContainsAny(path, " \r\n") {
		return 0, &badAnswerError{"link with a blank"}
	}
	l.format(r, path)
	for {
		conn, kept, err := l.connection(ctx)
		if err != nil {
			return 0, err
		}
		status, keep, err := l.once(conn, sink)
		if err != nil || !keep {
			l.mu.Lock()
			l.drop()
			l.mu.Unlock()
		}
		var bad *badAnswerError
		if err != nil && status == 0 && kept && r.method == "GET" && ctx.Err() == nil && !errors.As(err, &bad) {
			continue
		}
		return status, err
	}
}

// format writes the request into l.out.
func (l *lean) format(r *request, path string) {
	b := append(l.out[:0], r.method...)
	b = append(b, ' ')
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, l.host...)
	b = append(b, "\r\nUser-Agent: "+userAgent+"\r\n"...)
	if r.kind != Download {
		b = append(b, "Accept: "+accepted+"\r\n"...)
	}
	l.fields = l.config.fields(l.fields[:0], r.id, r.token)
	for _, f := range l.fields {
		b = append(b, f.name...)
		b = append(b, ": "...)
		b = append(b, f.scheme...)
		b = append(b, f.value...)
		b = append(b, "\r\n"...)
	}
	if r.method != "GET" {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	l.out = append(b, r.body...)
}

// once sends the request and reads the answer. Status 0 says that no answer
// came.
func (l *lean) once(conn net.Conn, sink io.Writer) (status int, keep bool, err error) {
	// Setting a deadline costs as much as reading a short answer: renew it only
	// when a quarter of it is used up.
	if now := time.Now(); l.deadline.Sub(now) < l.config.Timeout*3/4 {
		l.deadline = now.Add(l.config.Timeout)
		if err := conn.SetDeadline(l.deadline); err != nil {
			return 0, false, fmt.Errorf("set a deadline: %w", err)
		}
	}
	if _, err := conn.Write(l.out); err != nil {
		return 0, false, fmt.Errorf("send: %w", err)
	}
	h, err := readHead(l.reader)
	if err != nil {
		return 0, false, err
	}
	for left := h.length; left > 0; {
		if _, err := l.reader.Peek(1); err != nil {
			return h.status, false, fmt.Errorf("read the answer: %w", noEOF(err))
		}
		chunk, _ := l.reader.Peek(int(min(left, int64(l.reader.Buffered())))) // straight from the reader's memory
		if _, err := sink.Write(chunk); err != nil {
			return h.status, false, fmt.Errorf("keep the answer: %w", err)
		}
		n, _ := l.reader.Discard(len(chunk)) // it was there to peek at
		left -= int64(n)
		if now := time.Now(); left > 0 && l.deadline.Sub(now) < l.config.Timeout*3/4 { // a long download
			l.deadline = now.Add(l.config.Timeout)
			if err := conn.SetDeadline(l.deadline); err != nil {
				return h.status, false, fmt.Errorf("set a deadline: %w", err)
			}
		}
	}
	return h.status, !h.close, nil
}

// A badAnswerError is an answer that a device cannot make sense of.
type badAnswerError struct{ what string }

func (e *badAnswerError) Error() string { return "bad answer: " + e.what }

// A head is what matters of the first lines of an answer.
type head struct {
	status int
	length int64 // of the body
	close  bool  // the server closes the connection
}

// maxHead is how many header fields an answer may have. A line has to fit into
// the reader's buffer.
const maxHead = 100

// readHead reads up to where the body begins. It is strict: it takes answers
// with a Content-Length (or without a body by their status), passes over
// informational ones, and refuses everything else that HTTP/1.1 allows.
func readHead(r *bufio.Reader) (head, error) {
	for {
		h, err := readOneHead(r)
		if err != nil || h.status >= 200 {
			return h, err
		}
		if h.status == 101 {
			return head{}, &badAnswerError{"switch of protocols"}
		}
	}
}

func readOneHead(r *bufio.Reader) (head, error) {
	line, err := readLine(r)
	if err != nil {
		return head{}, err
	}
	h := head{length: -1}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return head{}, &badAnswerError{"not HTTP/1.1"}
	}
	code := line[len("HTTP/1.1 "):]
	if len(code) > 3 && code[3] != ' ' {
		return head{}, &badAnswerError{"status"}
	}
	status, ok := digits(code[:min(len(code), 3)])
	if !ok || status < 100 || status > 599 {
		return head{}, &badAnswerError{"status"}
	}
	h.status = int(status)
	for range maxHead {
		line, err := readLine(r)
		if err != nil {
			return head{}, noEOF(err)
		}
		if len(line) == 0 {
			return h.finish()
		}
		if err := h.field(line); err != nil {
			return head{}, err
		}
	}
	return head{}, &badAnswerError{"too many header fields"}
}

// finish decides how long the body is.
func (h head) finish() (head, error) {
	switch {
	case h.status < 200 || h.status == 204 || h.status == 304:
		h.length = 0
	case h.length < 0:
		return head{}, &badAnswerError{"no Content-Length"}
	}
	return h, nil
}

// field takes one header field.
func (h *head) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte{':'})
	if !found || !isToken(name) || bytes.ContainsFunc(value, isControl) {
		return &badAnswerError{"header field"}
	}
	value = bytes.Trim(value, " \t")
	switch {
	case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
		n, ok := digits(value)
		if !ok || h.length >= 0 && h.length != n {
			return &badAnswerError{"Content-Length"}
		}
		h.length = n
	case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		return &badAnswerError{"chunked: play without fast"}
	case len(name) == len("Connection") && bytes.EqualFold(name, []byte("Connection")):
		for option := range bytes.SplitSeq(value, []byte{','}) {
			h.close = h.close || bytes.EqualFold(bytes.Trim(option, " \t"), []byte("close"))
		}
	}
	return nil
}

// readLine returns the next line without its end, valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, &badAnswerError{"line too long"}
	}
	if err != nil {
		if len(line) > 0 {
			err = noEOF(err)
		}
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	line, crlf := bytes.CutSuffix(line, []byte("\r\n"))
	if !crlf || bytes.IndexByte(line, '\r') >= 0 {
		return nil, &badAnswerError{"line end"}
	}
	return line, nil
}

// noEOF tells an answer that breaks off from one that never began.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// digits reads a number of decimal digits alone.
func digits(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// isControl tells whether r may not stand in a header field's value (RFC 9110
// section 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken tells whether b is a header field's name.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
