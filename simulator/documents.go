package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

type link struct {
	Href string `json:"href"`
}

// A poll is the answer to a device that asks what is new.
type poll struct {
	Config struct {
		Polling struct {
			Sleep string `json:"sleep"`
		} `json:"polling"`
	} `json:"config"`
	Links struct {
		Deployment   link `json:"deploymentBase"`
		Cancel       link `json:"cancelAction"`
		Confirmation link `json:"confirmationBase"`
		ConfigData   link `json:"configData"`
	} `json:"_links"`
}

// mayBeNews looks at the text of a poll's answer without reading it as JSON:
// false says for certain that it offers a device nothing to do.
func mayBeNews(text []byte, attributes bool) bool {
	return bytes.Contains(text, []byte(`_links`)) &&
		(attributes && bytes.Contains(text, []byte(`configData`)) ||
			bytes.Contains(text, []byte(`deploymentBase`)) ||
			bytes.Contains(text, []byte(`cancelAction`)) ||
			bytes.Contains(text, []byte(`confirmationBase`)) ||
			bytes.IndexByte(text, '\\') >= 0) // an escape may hide a name
}

// sleep is how long the server wants the device to wait, or zero when it does
// not say so in a way that devices understand.
func (p *poll) sleep() time.Duration {
	var total time.Duration
	parts := strings.Split(p.Config.Polling.Sleep, ":")
	if len(parts) != 3 {
		return 0
	}
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return 0
		}
		total += time.Duration(n) * unit
	}
	return total
}

// actionOf finds the number of the action in a link to it: between the last
// slash and the query.
func actionOf(href string) (int64, error) {
	path, _, _ := strings.Cut(href, "?")
	id, err := strconv.ParseInt(path[strings.LastIndexByte(path, '/')+1:], 10, 64)
	if err != nil || id <= 0 {
		return 0, &badAnswerError{"link without an action's number"}
	}
	return id, nil
}

// A deployment says what to install.
type deployment struct {
	ID         string `json:"id"`
	Deployment struct {
		Download string  `json:"download"`
		Update   string  `json:"update"`
		Chunks   []chunk `json:"chunks"`
	} `json:"deployment"`
}

type chunk struct {
	Part      string     `json:"part"`
	Artifacts []artifact `json:"artifacts"`
}

type artifact struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
	Hashes   struct {
		SHA1   string `json:"sha1"`
		MD5    string `json:"md5"`
		SHA256 string `json:"sha256"`
	} `json:"hashes"`
	Links struct {
		Download     link `json:"download"`
		DownloadHTTP link `json:"download-http"`
	} `json:"_links"`
}

// url prefers the link that clients prefer: the one for TLS.
func (a *artifact) url() string {
	if a.Links.Download.Href != "" {
		return a.Links.Download.Href
	}
	return a.Links.DownloadHTTP.Href
}

// How the server wants a step handled.
const handleSkip = "skip"

// A feedback is what a device reports about an action.
type feedback struct {
	Timestamp int64  `json:"timestamp"`
	Status    status `json:"status"`
}

type status struct {
	Execution string   `json:"execution"`
	Result    result   `json:"result"`
	Code      *int     `json:"code,omitempty"`
	Details   []string `json:"details,omitempty"`
}

type result struct {
	Finished string    `json:"finished"`
	Progress *progress `json:"progress,omitempty"`
}

type progress struct {
	Count int `json:"cnt"`
	Of    int `json:"of"`
}

// A consent is a device's answer when it is asked for confirmation.
type consent struct {
	Confirmation string   `json:"confirmation"`
	Code         int      `json:"code"`
	Details      []string `json:"details"`
}

// attributes is what a device tells about itself.
type attributes struct {
	Mode string            `json:"mode"`
	Data map[string]string `json:"data"`
}

// read decodes a document of the server.
func read(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: %w", &badAnswerError{"not the JSON expected"}, err)
	}
	return nil
}
