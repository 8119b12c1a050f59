package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An Event is what happened: a CloudEvent, as far as it is the same for all.
type Event struct {
	ID      string          `json:"id"` // its place in the stream, to go on behind it
	Source  string          `json:"source"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`

	Text []byte `json:"-"` // the whole CloudEvent, as it was sent
}

// Gap is the type of the event that tells that events before it are lost.
const Gap = "otaria.events.gap"

// Watch says which events to read.
type Watch struct {
	Types []string // beginnings of types; none: all
	After string   // the place to begin behind; empty: with what happens from now on
	Ended bool     // do not wait for more than has happened
}

const (
	// silence is how long a stream may say nothing before it is taken for broken:
	// the server says something every 15 seconds.
	silence = 45 * time.Second
	// maxEvent bounds a line of a stream, in bytes.
	maxEvent = 1 << 20
)

// Events calls f for each event of one connection, in their order, until the
// server ends it, it breaks, ctx ends, or f returns an error. It returns the
// place behind what f has taken, also with an error: call it again with it in
// w.After to go on. A refusal is an [*Error]; the end of the connection is no
// error.
func (c *Client) Events(ctx context.Context, w Watch, f func(Event) error) (after string, err error) {
	after = w.After
	query := url.Values{}
	if len(w.Types) > 0 {
		query.Set("type", strings.Join(w.Types, ","))
	}
	if after != "" {
		query.Set("after", after)
	}
	if w.Ended {
		query.Set("follow", "false")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the server said nothing for %v", silence)) })
	defer quiet.Stop()
	res, err := c.Send(ctx, http.MethodGet, "/rest/v1/events?"+query.Encode(), "", nil)
	if err != nil {
		return after, err
	}
	defer res.Body.Close() //nolint:errcheck // read, or given up
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	id, data := after, ""
	for lines.Scan() {
		quiet.Reset(silence)
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "id: "):
			id = line[len("id: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		case line == "":
			if data != "" {
				e := Event{Text: []byte(data)}
				if err := json.Unmarshal(e.Text, &e); err != nil {
					return after, fmt.Errorf("an event that cannot be read: %w", err)
				}
				if err := f(e); err != nil {
					return after, err
				}
			}
			after, data = id, ""
		}
	}
	if err := lines.Err(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return after, fmt.Errorf("read events: %w", err)
	}
	return after, nil
}
