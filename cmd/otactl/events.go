package main

import (
	"fmt"
	"time"

	"github.com/otaria/otaria/client"
)

type eventsCmd struct {
	Types    []string `name:"type" short:"t" placeholder:"TYPE" help:"Only types that begin with this, such as otaria.rollout. May be repeated, or joined by commas."`
	After    string   `placeholder:"ID" help:"Begin behind the event of this id; 0-0: with the oldest that is kept. Otherwise: with what happens from now on."`
	NoFollow bool     `help:"End with what has happened so far."`
	Output   string   `short:"o" enum:"text,json" default:"text" help:"A line for people, or the CloudEvent as JSON: text or json."`
}

// Help shows examples.
func (eventsCmd) Help() string {
	return `Prints what happens, a line for each event. A connection that breaks is made again
and goes on where it was; an event may be printed twice then, none is left out. The
event otaria.events.gap says that the server no longer keeps what came before.

Examples:
  otactl events
  otactl events --type otaria.action,otaria.rollout
  otactl events --after 0-0 --no-follow -o json
  otactl events -o json | jq 'select(.data.status == "error")'`
}

// reconnectAfter is the pause before a broken connection is made again.
const reconnectAfter = 2 * time.Second

// Run prints events until it is interrupted.
func (c *eventsCmd) Run(t *terminal, server *serverFlags) error {
	api, err := server.client()
	if err != nil {
		return err
	}
	w := client.Watch{Types: c.Types, After: c.After, Ended: c.NoFollow}
	connected := false
	for {
		began := w.After
		w.After, err = api.Events(t, w, func(e client.Event) error { return c.show(t, e) })
		connected = connected || err == nil || w.After != began
		switch {
		case t.Err() != nil:
			return nil // told to stop
		case err == nil && c.NoFollow:
			return nil
		case err != nil && (!connected || refused(err)):
			return fmt.Errorf("%w", err)
		case err != nil:
			fmt.Fprintf(t.err, "otactl: %v; connecting again\n", err)
		}
		select {
		case <-t.Done():
			return nil
		case <-time.After(reconnectAfter):
		}
	}
}

// refused reports whether trying again would get the same answer.
func refused(err error) bool {
	status := client.StatusOf(err)
	return status >= 400 && status < 500 && status != 429
}

func (c *eventsCmd) show(t *terminal, e client.Event) error {
	var err error
	if c.Output == "json" {
		_, err = fmt.Fprintf(t.out, "%s\n", e.Text)
	} else {
		subject := e.Subject
		if subject == "" {
			subject = "-"
		}
		_, err = fmt.Fprintf(t.out, "%s  %-8s  %s  %s  %s\n", e.Time.Local().Format("15:04:05.000"), e.ID, e.Type, subject, e.Data)
	}
	if err != nil {
		return fmt.Errorf("print an event: %w", err)
	}
	return nil
}
