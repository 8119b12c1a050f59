package ddi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
	"github.com/otaria/otaria/software"
)

// deploymentBody tells a device what to install, what it installed, or what
// waits for its consent (device-apis A.5).
type deploymentBody struct {
	ID           string         `json:"id"` // a text: clients of the field read it as one
	Deployment   *documentBody  `json:"deployment,omitempty"`
	Confirmation *documentBody  `json:"confirmation,omitempty"`
	History      *historyBody   `json:"actionHistory,omitempty"`
	Links        httpjson.Links `json:"_links,omitempty" cbor:"links"`
}

type documentBody struct {
	Download string      `json:"download" enum:"skip,attempt,forced"`
	Update   string      `json:"update" enum:"skip,attempt,forced"`
	Chunks   []chunkBody `json:"chunks"`
	Window   string      `json:"maintenanceWindow,omitempty" enum:"available,unavailable"`
}

type chunkBody struct {
	Part      string         `json:"part"`
	Version   string         `json:"version"`
	Name      string         `json:"name"`
	Encrypted bool           `json:"encrypted,omitempty"`
	Artifacts []artifactBody `json:"artifacts"`
	Metadata  []metadataBody `json:"metadata,omitempty"`
}

type metadataBody struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

type historyBody struct {
	Status   string   `json:"status"`
	Messages []string `json:"messages"`
}

// part is the name of a module's type on the wire. Two of them were called
// otherwise once, and devices look for those names.
func part(moduleType string) string {
	switch moduleType {
	case "application":
		return "bApp"
	case "runtime":
		return "jvm"
	}
	return moduleType
}

// newDocument puts a document on the wire, without its place in the body.
func (a *API) newDocument(r *http.Request, doc *deployment.Document) (deploymentBody, *documentBody) {
	d := &documentBody{Download: doc.Download.String(), Update: doc.Update.String(), Chunks: make([]chunkBody, len(doc.Chunks))}
	if doc.Windowed {
		d.Window = "unavailable"
		if doc.WindowOpen {
			d.Window = "available"
		}
	}
	for i := range doc.Chunks {
		d.Chunks[i] = a.newChunk(r, &doc.Chunks[i])
	}
	b := deploymentBody{ID: strconv.FormatInt(int64(doc.Action), 10)}
	if len(doc.History) > 0 {
		b.History = &historyBody{strings.ToUpper(doc.Status.String()), doc.History}
	}
	return b, d
}

func (a *API) newChunk(r *http.Request, c *software.Chunk) chunkBody {
	b := chunkBody{Part: part(c.TypeKey), Version: c.Version, Name: c.Name, Encrypted: c.Encrypted, Artifacts: a.newArtifacts(r, c.Artifacts)}
	for _, m := range c.Metadata {
		b.Metadata = append(b.Metadata, metadataBody{m.Key, m.Value})
	}
	return b
}

// documentOf reads one of the three documents. Of c, which clients copy from
// the link, only the form is checked.
func (a *API) documentOf(r *http.Request, changeToken bool, read func(context.Context, fleet.ControllerID, deployment.ActionID, int) (*deployment.Document, error)) (*deployment.Document, error) {
	id, err := httpjson.ID(r, "actionId")
	if err != nil {
		return nil, err
	}
	if changeToken {
		if _, err := httpjson.Int32Param(r, "c", -1); err != nil {
			return nil, err
		}
	}
	history, err := httpjson.Int32Param(r, "actionHistory", 0)
	if err != nil {
		return nil, err
	}
	return read(r.Context(), deviceOf(r.Context()).id, deployment.ActionID(id), int(history))
}

func (a *API) getDeployment(w http.ResponseWriter, r *http.Request) error {
	doc, err := a.documentOf(r, true, a.Deployment.Deployment)
	if err != nil {
		return err
	}
	b, d := a.newDocument(r, doc)
	b.Deployment = d
	return httpjson.Write(w, r, http.StatusOK, b)
}

func (a *API) getInstalled(w http.ResponseWriter, r *http.Request) error {
	doc, err := a.documentOf(r, false, a.Deployment.InstalledBase)
	if err != nil {
		return err
	}
	b, d := a.newDocument(r, doc)
	b.Deployment = d
	return httpjson.Write(w, r, http.StatusOK, b)
}

// installedInput names the set that a device runs (device-apis A.2, row 11).
type installedInput struct {
	Name    httpjson.Value `json:"name"`
	Version httpjson.Value `json:"version"`
}

// read returns both texts. Left out they are a malformed body, null or empty
// they break a rule.
func (in *installedInput) read() (name, version string, err error) {
	var v freetext.Violations
	for _, m := range []struct {
		path  string
		value httpjson.Value
		to    *string
	}{{"name", in.Name, &name}, {"version", in.Version, &version}} {
		if k := m.value.Kind(); k == httpjson.Absent || k >= httpjson.Array {
			return "", "", fault.New(fault.Unreadable, "%s: a text is needed here", m.path)
		}
		*m.to = m.value.Text()
		v.Length(m.path, *m.to, 1, maxText)
	}
	return name, version, v.Err()
}

// maxText bounds texts that are only looked up.
const maxText = 1 << 20

func (a *API) putInstalled(w http.ResponseWriter, r *http.Request) error {
	var in installedInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	name, version, err := in.read()
	if err != nil {
		return err
	}
	recorded, err := a.Deployment.ReportInstalled(r.Context(), deviceOf(r.Context()).id, name, version)
	if err != nil {
		return err
	}
	if recorded {
		httpjson.Empty(w, http.StatusCreated)
	} else {
		httpjson.Empty(w, http.StatusOK)
	}
	return nil
}
