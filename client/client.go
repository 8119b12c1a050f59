// Package client speaks the management API, for otactl and for tests from
// outside. It covers what those need: targets, software modules and their
// artifacts, distribution sets, assignments, actions and the tenant's settings.
// Everything else goes through [Client.Do].
//
// A refusal of the server is an [*Error]. Nothing is tried twice.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Client calls one server as one user. Set its fields before the first call;
// it may then be used by several goroutines.
type Client struct {
	URL            string       // such as https://updates.example.org
	User, Password string       // for Basic authentication; none if User is empty
	HTTP           *http.Client // nil is http.DefaultClient
}

// An Error is a refusal of the server.
type Error struct {
	Method, Path string
	Status       int    // of HTTP
	Code         string // such as hawkbit.server.error.repo.entityNotFound; may be empty
	Message      string // may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	return text
}

// StatusOf returns the HTTP status of a refusal, or 0 for any other error.
func StatusOf(err error) int {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Status
	}
	return 0
}

// maxAnswer is how much of an answer is kept in memory.
const maxAnswer = 64 << 20

// Do sends body as JSON, unless it is nil, to a path such as /rest/v1/targets,
// and decodes the answer into into, unless that is nil or there is no answer to
// decode.
func (c *Client) Do(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(b)
	}
	res, err := c.Send(ctx, method, path, "application/json", content)
	if err != nil {
		return err
	}
	return decode(res, into)
}

// decode reads an answer and closes it.
func decode(res *http.Response, into any) error {
	defer res.Body.Close() //nolint:errcheck // read, or given up
	what := res.Request.Method + " " + res.Request.URL.Path
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", what, err)
	}
	if len(answer) > maxAnswer {
		return fmt.Errorf("the answer to %s is longer than %d MiB", what, maxAnswer>>20)
	}
	if into == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the answer to %s is not the JSON expected: %w", what, err)
	}
	return nil
}

// Send sends a body of any type, which may be nil, and returns the answer, to
// be closed by the caller. Every status but 2xx is an [*Error].
func (c *Client) Send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.URL, "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Accept", "application/hal+json, application/json;q=0.9, */*;q=0.1")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.User != "" {
		req.SetBasicAuth(c.User, c.Password)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the server: %w", err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close() //nolint:errcheck // read, or given up
	refusal := &Error{Method: method, Path: path, Status: res.StatusCode}
	var document struct {
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err == nil && json.Unmarshal(text, &document) == nil {
		refusal.Code, refusal.Message = document.ErrorCode, document.Message
	}
	return nil, refusal
}
