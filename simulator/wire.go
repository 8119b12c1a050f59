package simulator

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// A Mode is how devices prove who they are.
type Mode string

// The modes of authentication of the device API.
const (
	Anonymous    Mode = "none"    // not at all
	TargetToken  Mode = "target"  // each by the token of its own
	GatewayToken Mode = "gateway" // all by one token of the tenant
	TrustedProxy Mode = "header"  // by the headers that a proxy sets after it has checked a client certificate
)

// A field is one header field of a request.
type field struct {
	name, scheme string
	value        []byte
}

// fields appends the header fields by which a device authenticates.
func (c *Config) fields(to []field, id, token []byte) []field {
	switch c.Mode {
	case TargetToken:
		return append(to, field{"Authorization", "TargetToken ", token})
	case GatewayToken:
		return append(to, field{"Authorization", "GatewayToken ", c.secret})
	case TrustedProxy:
		return append(to, field{"X-Controller-Id", "", id}, field{"X-Authority", "", c.secret})
	case Anonymous:
	}
	return to
}

// A request is one of a device to its server.
type request struct {
	kind      Kind
	method    string
	url       string // absolute, or a path on the server
	id, token []byte
	body      []byte // JSON, or nothing
}

// A wire sends requests one after the other and keeps its connection.
type wire interface {
	// exchange sends a request and copies the answer's body to sink. It returns
	// the answer's status; any status is no error.
	exchange(ctx context.Context, r *request, sink io.Writer) (status int, err error)
	close()
}

const (
	accepted  = "application/hal+json"
	userAgent = "otactl-simulate"

	// maxDocument is how long a JSON document of the server may be.
	maxDocument = 4 << 20
)

// errTooLong is a document that a device has no room for.
var errTooLong = errors.New("the document is longer than 4 MiB")

// A document is the memory for a JSON answer.
type document struct{ bytes.Buffer }

func (d *document) Write(b []byte) (int, error) {
	if d.Len()+len(b) > maxDocument {
		return 0, errTooLong
	}
	return d.Buffer.Write(b)
}

// standard speaks through net/http: TLS, chunked answers, any server.
type standard struct {
	config *Config
	client *http.Client
	fields []field
	copied []byte
}

// newClient returns what all workers share. Each has a connection of its own.
func newClient(c *Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: c.Timeout}).DialContext,
			TLSClientConfig:       c.TLS,
			TLSHandshakeTimeout:   c.Timeout,
			ResponseHeaderTimeout: c.Timeout,
			MaxIdleConnsPerHost:   c.Connections,
			IdleConnTimeout:       5 * time.Minute,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *standard) exchange(ctx context.Context, r *request, sink io.Writer) (int, error) {
	patience := s.config.Timeout
	if r.kind == Download {
		patience *= 20
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address := r.url
	if strings.HasPrefix(address, "/") {
		address = s.config.URL + address
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(r.body))
	if err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("User-Agent", userAgent)
	if r.kind != Download {
		req.Header.Set("Accept", accepted)
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	s.fields = s.config.fields(s.fields[:0], r.id, r.token)
	for _, f := range s.fields {
		req.Header.Set(f.name, f.scheme+string(f.value))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end, or given up
	if s.copied == nil {
		s.copied = make([]byte, 32<<10)
	}
	if _, err := io.CopyBuffer(writerOnly{sink}, res.Body, s.copied); err != nil {
		return res.StatusCode, fmt.Errorf("read the answer: %w", err)
	}
	return res.StatusCode, nil
}

func (s *standard) close() {}

// writerOnly keeps io.CopyBuffer to the buffer it is given.
type writerOnly struct{ io.Writer }

// cause names in a word or two why a request got no answer, for counting.
func cause(err error) string {
	var timeout interface{ Timeout() bool }
	var bad *badAnswerError
	var certificate *tls.CertificateVerificationError
	var unparsable *url.Error
	switch {
	case errors.As(err, &bad):
		return bad.Error()
	case errors.Is(err, errTooLong):
		return errTooLong.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection lost"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &certificate):
		return "certificate not trusted"
	case errors.As(err, &unparsable) && unparsable.Op == "parse":
		return "not a URL"
	default:
		return "not reached: " + innermost(err).Error()
	}
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
