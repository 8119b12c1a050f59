package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/otaria/otaria/client"
)

type apiCmd struct {
	Method   string `arg:"" help:"GET, POST, PUT or DELETE."`
	Path     string `arg:"" help:"Path and query, such as /rest/v1/targets?limit=10."`
	Data     string `short:"d" placeholder:"JSON" help:"Body to send: JSON, @FILE, or - for standard input."`
	Paginate bool   `help:"Fetch all pages of a list and print its elements, one a line."`
}

// Help shows examples.
func (apiCmd) Help() string {
	return `Prints the body of the answer as the server sent it. A refusal of the server goes
to standard error; the exit code is 3 if something does not exist, 4 if the user
may not, 5 for a conflict, 1 for any other refusal.

Examples:
  otactl api GET '/rest/v1/targets?q=updatestatus==error'
  otactl api GET /rest/v1/targets --paginate
  otactl api POST /rest/v1/targets -d '[{"controllerId":"dev-1"}]'
  otactl api PUT /rest/v1/system/configs -d @settings.json`
}

// Run makes the call.
func (c *apiCmd) Run(t *terminal, server *serverFlags) error {
	method := strings.ToUpper(c.Method)
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH":
	default:
		return usage("%s is no method: use GET, POST, PUT or DELETE", c.Method)
	}
	if !strings.HasPrefix(c.Path, "/") {
		return usage("the path %q has to begin with /, such as /rest/v1/targets", c.Path)
	}
	api, err := server.client()
	if err != nil {
		return err
	}
	if c.Paginate {
		if method != "GET" || c.Data != "" {
			return usage("only a list that is fetched with GET has pages")
		}
		return c.pages(t, api)
	}
	body, err := c.body(t)
	if err != nil {
		return err
	}
	res, err := api.Send(t, method, c.Path, "application/json", body)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	last := &lastByte{Writer: t.out}
	if _, err := io.Copy(last, res.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if last.byte != 0 && last.byte != '\n' && strings.Contains(res.Header.Get("Content-Type"), "json") {
		fmt.Fprintln(t.out)
	}
	return nil
}

// lastByte remembers how what was written ended.
type lastByte struct {
	io.Writer

	byte byte
}

func (l *lastByte) Write(b []byte) (int, error) {
	if len(b) > 0 {
		l.byte = b[len(b)-1]
	}
	n, err := l.Writer.Write(b)
	if err != nil {
		return n, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// body returns what to send, or nil.
func (c *apiCmd) body(t *terminal) (io.Reader, error) {
	switch {
	case c.Data == "":
		return nil, nil //nolint:nilnil // no body is no error
	case c.Data == "-":
		return t.in, nil
	case strings.HasPrefix(c.Data, "@"):
		b, err := os.ReadFile(c.Data[1:])
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		return bytes.NewReader(b), nil
	default:
		return strings.NewReader(c.Data), nil
	}
}

// pageSize is the longest page that the API gives.
const pageSize = 500

// pages prints the elements of a list, one a line.
func (c *apiCmd) pages(t *terminal, api *client.Client) error {
	path, rawQuery, _ := strings.Cut(c.Path, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return usage("the query of %q cannot be read: %w", c.Path, err)
	}
	if !query.Has("limit") {
		query.Set("limit", strconv.Itoa(pageSize))
	}
	offset, _ := strconv.Atoi(query.Get("offset")) // the server judges it
	for {
		query.Set("offset", strconv.Itoa(offset))
		var page client.Page[json.RawMessage]
		if err := api.Do(t, "GET", path+"?"+query.Encode(), nil, &page); err != nil {
			return fmt.Errorf("%w", err)
		}
		for _, element := range page.Content {
			var line bytes.Buffer
			if err := json.Compact(&line, element); err != nil {
				return fmt.Errorf("print an element: %w", err)
			}
			fmt.Fprintln(t.out, line.String())
		}
		offset += len(page.Content)
		if len(page.Content) == 0 || int64(offset) >= page.Total {
			return nil
		}
	}
}
