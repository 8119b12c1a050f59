package client

import (
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strconv"
)

// A Page is a part of a list.
type Page[T any] struct {
	Content []T   `json:"content"`
	Total   int64 `json:"total"`
	Size    int   `json:"size"`
}

// A Query selects part of a list. The zero value is the first 50.
type Query struct {
	Q      string // RSQL, such as controllerId==dev-*
	Sort   string // such as id:DESC
	Offset int
	Limit  int // 0 is the server's default of 50; at most 500
}

func (q Query) String() string {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.Q, "sort": q.Sort} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, value := range map[string]int{"offset": q.Offset, "limit": q.Limit} {
		if value != 0 {
			v.Set(name, strconv.Itoa(value))
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// A Target is a device under management. Times are in milliseconds.
type Target struct {
	ControllerID            string `json:"controllerId"`
	Name                    string `json:"name,omitempty"`
	Description             string `json:"description,omitempty"`
	Group                   string `json:"group,omitempty"`
	SecurityToken           string `json:"securityToken,omitempty"`
	UpdateStatus            string `json:"updateStatus,omitempty"`
	LastControllerRequestAt int64  `json:"lastControllerRequestAt,omitempty"`
	InstalledAt             int64  `json:"installedAt,omitempty"`
	Address                 string `json:"address,omitempty"`
	RequestAttributes       *bool  `json:"requestAttributes,omitempty"`
}

// CreateTargets creates targets in one transaction and returns them as the
// server made them, with their tokens if the user may see those.
func (c *Client) CreateTargets(ctx context.Context, targets []Target) ([]Target, error) {
	var made []Target
	return made, c.Do(ctx, "POST", "/rest/v1/targets", targets, &made)
}

// Targets lists targets.
func (c *Client) Targets(ctx context.Context, q Query) (Page[Target], error) {
	var page Page[Target]
	return page, c.Do(ctx, "GET", "/rest/v1/targets"+q.String(), nil, &page)
}

// Target returns one target.
func (c *Client) Target(ctx context.Context, id string) (Target, error) {
	var t Target
	return t, c.Do(ctx, "GET", "/rest/v1/targets/"+url.PathEscape(id), nil, &t)
}

// Attributes returns what a device told about itself.
func (c *Client) Attributes(ctx context.Context, id string) (map[string]string, error) {
	var a map[string]string
	return a, c.Do(ctx, "GET", "/rest/v1/targets/"+url.PathEscape(id)+"/attributes", nil, &a)
}

// DeleteTarget deletes a target with its history.
func (c *Client) DeleteTarget(ctx context.Context, id string) error {
	return c.Do(ctx, "DELETE", "/rest/v1/targets/"+url.PathEscape(id), nil, nil)
}

// A Module is a piece of software in one version.
type Module struct {
	ID      int64  `json:"id,omitempty"`
	Type    string `json:"type,omitempty"` // key of its type, such as os
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Vendor  string `json:"vendor,omitempty"`
}

// CreateModule creates a software module.
func (c *Client) CreateModule(ctx context.Context, m Module) (Module, error) {
	return createOne(ctx, c, "/rest/v1/softwaremodules", m)
}

// An Artifact is a file of a module.
type Artifact struct {
	ID       int64  `json:"id"`
	Filename string `json:"providedFilename"`
	Size     int64  `json:"size"`
	Hashes   struct {
		SHA1   string `json:"sha1"`
		MD5    string `json:"md5"`
		SHA256 string `json:"sha256"`
	} `json:"hashes"`
}

// Upload adds a file to a module, streaming it from content.
func (c *Client) Upload(ctx context.Context, module int64, name string, content io.Reader) (Artifact, error) {
	read, write := io.Pipe()
	form := multipart.NewWriter(write)
	go func() {
		part, err := form.CreateFormFile("file", name)
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = form.Close()
		}
		write.CloseWithError(err)
	}()
	defer read.Close() //nolint:errcheck // ends the writer, which is all it can do
	var a Artifact
	path := fmt.Sprintf("/rest/v1/softwaremodules/%d/artifacts", module)
	res, err := c.Send(ctx, "POST", path, form.FormDataContentType(), read)
	if err != nil {
		return a, err
	}
	return a, decode(res, &a)
}

// A Set is a distribution set: what is installed together.
type Set struct {
	ID       int64  `json:"id,omitempty"`
	Type     string `json:"type,omitempty"` // key of its type, such as os
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
	Complete bool   `json:"complete,omitempty"`
	Modules  []struct {
		ID int64 `json:"id"`
	} `json:"modules,omitempty"`
}

// CreateSet creates a distribution set of the modules given.
func (c *Client) CreateSet(ctx context.Context, s Set, modules ...int64) (Set, error) {
	for _, id := range modules {
		s.Modules = append(s.Modules, struct {
			ID int64 `json:"id"`
		}{id})
	}
	return createOne(ctx, c, "/rest/v1/distributionsets", s)
}

// createOne creates one thing where the API takes and returns lists.
func createOne[T any](ctx context.Context, c *Client, path string, one T) (T, error) {
	var made []T
	if err := c.Do(ctx, "POST", path, []T{one}, &made); err != nil {
		return one, err
	}
	if len(made) != 1 {
		return one, fmt.Errorf("POST %s made %d things instead of one", path, len(made))
	}
	return made[0], nil
}

// An Assignment asks for a set to be installed on a target.
type Assignment struct {
	Target    string `json:"id"`                  // its controller id
	Type      string `json:"type,omitempty"`      // forced (the default), soft, timeforced, downloadonly
	ForceTime int64  `json:"forcetime,omitempty"` // of timeforced, in milliseconds
	Weight    *int   `json:"weight,omitempty"`
}

// Assigned says what an assignment led to.
type Assigned struct {
	Assigned        int `json:"assigned"`
	AlreadyAssigned int `json:"alreadyAssigned"`
	Total           int `json:"total"`
	Actions         []struct {
		ID int64 `json:"id"`
	} `json:"assignedActions"`
}

// Assign assigns a set to up to 5000 targets.
func (c *Client) Assign(ctx context.Context, set int64, targets []Assignment) (Assigned, error) {
	var a Assigned
	return a, c.Do(ctx, "POST", fmt.Sprintf("/rest/v1/distributionsets/%d/assignedTargets", set), targets, &a)
}

// An Action is what one target was told to do.
type Action struct {
	ID             int64  `json:"id"`
	Type           string `json:"type"` // update or cancel
	Active         bool   `json:"active"`
	Status         string `json:"status"`
	ForceType      string `json:"forceType"`
	LastStatusCode *int   `json:"lastStatusCode,omitempty"`
}

// Actions lists the actions of a target, the newest first unless q says
// otherwise.
func (c *Client) Actions(ctx context.Context, target string, q Query) (Page[Action], error) {
	var page Page[Action]
	return page, c.Do(ctx, "GET", "/rest/v1/targets/"+url.PathEscape(target)+"/actions"+q.String(), nil, &page)
}

// AllActions lists the actions of all targets.
func (c *Client) AllActions(ctx context.Context, q Query) (Page[Action], error) {
	var page Page[Action]
	return page, c.Do(ctx, "GET", "/rest/v1/actions"+q.String(), nil, &page)
}

// CancelAction calls an action off. By force, it is closed without the device:
// that works only once it has been called off.
func (c *Client) CancelAction(ctx context.Context, target string, action int64, force bool) error {
	path := fmt.Sprintf("/rest/v1/targets/%s/actions/%d", url.PathEscape(target), action)
	if force {
		path += "?force=true"
	}
	return c.Do(ctx, "DELETE", path, nil, nil)
}

// A Report is one entry of an action's history.
type Report struct {
	ID        int64    `json:"id"`
	Type      string   `json:"type"`
	Messages  []string `json:"messages"`
	Timestamp int64    `json:"timestamp"`
	Code      *int     `json:"code,omitempty"`
}

// History lists what happened to an action, the newest first unless q says
// otherwise.
func (c *Client) History(ctx context.Context, target string, action int64, q Query) (Page[Report], error) {
	var page Page[Report]
	path := fmt.Sprintf("/rest/v1/targets/%s/actions/%d/status%s", url.PathEscape(target), action, q)
	return page, c.Do(ctx, "GET", path, nil, &page)
}

// Setting reads a setting of the tenant into value.
func (c *Client) Setting(ctx context.Context, key string, value any) error {
	setting := struct {
		Value any `json:"value"`
	}{value}
	return c.Do(ctx, "GET", "/rest/v1/system/configs/"+url.PathEscape(key), nil, &setting)
}

// Set changes settings of the tenant, all or none.
func (c *Client) Set(ctx context.Context, settings map[string]any) error {
	return c.Do(ctx, "PUT", "/rest/v1/system/configs", settings, nil)
}
