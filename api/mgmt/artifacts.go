package mgmt

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
	"github.com/otaria/otaria/software"
)

func artifactRoutes() []route {
	const base = "/rest/v1/softwaremodules/{moduleId}/artifacts"
	upload := post(base, needs(identity.CreateSoftwareModule), "Upload an artifact", uploadInput{}, artifactBody{}, http.StatusCreated, (*API).uploadArtifact).
		with(openapi.Parameter{Name: "filename"}, openapi.Parameter{Name: "md5sum"}, openapi.Parameter{Name: "sha1sum"}, openapi.Parameter{Name: "sha256sum"})
	upload.consumes = []string{"multipart/form-data"}
	load := get(base+"/{artifactId}/download", needs(identity.ReadSoftwareModule, identity.ReadArtifact), "Download an artifact", nil, (*API).downloadArtifact)
	load.produces, load.bytes = nil, true // octets, whatever Accept says
	byHandler := flag("useartifacturlhandler", "Leave out the link to the bytes.")
	return []route{
		upload,
		get(base, needs(identity.ReadSoftwareModule), "List the artifacts of a software module", []artifactBody{}, (*API).listArtifacts).with(representationParameter(), byHandler),
		get(base+"/{artifactId}", needs(identity.ReadSoftwareModule), "Read an artifact", artifactBody{}, (*API).getArtifact).with(byHandler),
		del(base+"/{artifactId}", needs(identity.DeleteSoftwareModule), "Delete an artifact", (*API).deleteArtifact),
		load,
	}
}

// artifactBody is an artifact on the wire (management-api 2.11).
type artifactBody struct {
	ID               int64      `json:"id"`
	Hashes           hashesBody `json:"hashes"`
	ProvidedFilename string     `json:"providedFilename"`
	Size             int64      `json:"size"`
	stampsBody
	Links httpjson.Links `json:"_links"`
}

type hashesBody struct {
	SHA1   string `json:"sha1"`
	MD5    string `json:"md5"`
	SHA256 string `json:"sha256"`
}

// newArtifactBody shows an artifact, with the link to its bytes if wanted.
func newArtifactBody(r *http.Request, downloadable bool) func(*software.Artifact) artifactBody {
	return func(a *software.Artifact) artifactBody {
		self := href(r, "/softwaremodules/%d/artifacts/%d", a.Module, a.ID)
		b := artifactBody{
			int64(a.ID),
			hashesBody{a.Digest.SHA1, a.Digest.MD5, a.Digest.SHA256},
			a.Filename, a.Digest.Size,
			newStampsBody(a.Stamps), links(self),
		}
		if downloadable {
			b.Links = append(b.Links, httpjson.Link{Rel: "download", Href: self + "/download"})
		}
		return b
	}
}

// uploadArtifact reads a multipart form as it comes, so that memory does not
// depend on its size. Everything that can be wrong is told after the form was
// read, in the order of management-api 2.11; only a quota ends the reading.
func (a *API) uploadArtifact(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	if a.MaxUpload > 0 {
		r.Body = http.MaxBytesReader(w, r.Body, a.MaxUpload+maxFormOverhead)
	}
	form, err := r.MultipartReader()
	if err != nil {
		return fault.Wrap(fault.UploadMalformed, err, "The body is not a multipart form that can be read.")
	}
	in, err := a.Software.Receive(r.Context(), id)
	if err != nil {
		return err
	}
	defer in.Abort()
	f, err := readForm(form, in)
	switch {
	case err != nil:
		return err
	case !f.file:
		httpjson.WriteFramework(w, r, http.StatusBadRequest)
		return nil
	case in.Size() == 0:
		httpjson.Empty(w, http.StatusBadRequest)
		return nil
	}
	name := f.filename
	if given := f.value(r, "filename"); given != nil {
		name = *given
	}
	created, err := in.Finish(r.Context(), name, software.Sums{SHA1: f.value(r, "sha1sum"), MD5: f.value(r, "md5sum"), SHA256: f.value(r, "sha256sum")})
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusCreated, newArtifactBody(r, true)(created))
}

// uploadInput is the form of an upload, for the document. Names and sums may
// stand in the query, too.
type uploadInput struct {
	File      openapi.File `json:"file" bind:"required"`
	Filename  *string      `json:"filename" bind:"primitive"` // else that of the file's part
	MD5Sum    *string      `json:"md5sum" bind:"primitive"`
	SHA1Sum   *string      `json:"sha1sum" bind:"primitive"`
	SHA256Sum *string      `json:"sha256sum" bind:"primitive"`
}

// uploadForm is what a form says beside the bytes of its file.
type uploadForm struct {
	file     bool   // there was one
	filename string // that its part has
	fields   map[string][]string
}

// maxFormOverhead is what a multipart form may have beside its file, in bytes.
const maxFormOverhead = 1 << 20

// maxField bounds a form field, in bytes (the longest is a file name), and
// maxFields how often a form may have one.
const (
	maxField  = 4 << 10
	maxFields = 16
)

// readForm reads the whole form and hands the first file in it to in.
func readForm(form *multipart.Reader, in *software.Intake) (f uploadForm, err error) {
	f.fields = map[string][]string{}
	for parts := 0; ; parts++ {
		part, err := form.NextRawPart()
		switch {
		case errors.Is(err, io.EOF) && (parts == 0 || err == io.EOF):
			return f, nil // without any part there is nothing that could be malformed
		case err != nil:
			return f, malformed(err)
		}
		name, filename, isFile := disposition(part)
		switch {
		case isFile && name == "file" && !f.file:
			f.file, f.filename = true, filename
			if err := in.Take(part); err != nil {
				return f, err
			}
		case isFile:
		case name == "filename", name == "md5sum", name == "sha1sum", name == "sha256sum":
			if len(f.fields[name]) == maxFields {
				return f, malformed(fmt.Errorf("more than %d fields %s", maxFields, name))
			}
			b, err := io.ReadAll(io.LimitReader(part, maxField))
			if err != nil {
				return f, malformed(err)
			}
			f.fields[name] = append(f.fields[name], string(b))
		}
	}
}

func malformed(err error) error {
	return fault.Wrap(fault.UploadMalformed, err, "The multipart form cannot be read: it is cut off, too large, or not well formed.")
}

// disposition reads what a part is. The file name is taken as it stands,
// folders and all; a part without one is a field.
func disposition(p *multipart.Part) (name, filename string, isFile bool) {
	kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil || kind != "form-data" {
		return "", "", false
	}
	filename, isFile = params["filename"]
	return params["name"], filename, isFile
}

// value returns a field of the form or of the query, joined where it is given
// more than once, those of the form first; nil if it is not given.
func (f uploadForm) value(r *http.Request, name string) *string {
	all := append(f.fields[name], httpjson.Params(r, name)...)
	if len(all) == 0 {
		return nil
	}
	v := strings.Join(all, ",")
	return &v
}

// readBool reads a boolean query parameter; empty or absent it is false.
func readBool(r *http.Request, name string) (bool, error) {
	v, _ := httpjson.Param(r, name)
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true", "on", "yes", "1":
		return true, nil
	case "", "false", "off", "no", "0":
		return false, nil
	}
	return false, fault.New(fault.Unreadable, "%s=%q is neither true nor false.", name, v)
}

// readFull reports whether representation asks for the full view of list
// elements (management-api 1.6).
func readFull(r *http.Request) bool {
	v, _ := httpjson.Param(r, "representation")
	return strings.EqualFold(v, "full")
}

func (a *API) listArtifacts(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID[software.ModuleID](r, "moduleId")
	if err != nil {
		return err
	}
	byHandler, err := readBool(r, "useartifacturlhandler")
	if err != nil {
		return err
	}
	m, err := a.Software.Module(r.Context(), id)
	if err != nil {
		return err
	}
	list, err := a.Software.Artifacts(r.Context(), id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, bodies(list, newArtifactBody(r, readFull(r) && !byHandler && !m.Deleted)))
}

func (a *API) getArtifact(w http.ResponseWriter, r *http.Request) error {
	module, id, err := artifactPath(r)
	if err != nil {
		return err
	}
	byHandler, err := readBool(r, "useartifacturlhandler")
	if err != nil {
		return err
	}
	found, m, err := a.Software.Artifact(r.Context(), module, id)
	if err != nil {
		return err
	}
	return httpjson.Write(w, r, http.StatusOK, newArtifactBody(r, !byHandler && !m.Deleted)(found))
}

func (a *API) deleteArtifact(w http.ResponseWriter, r *http.Request) error {
	module, id, err := artifactPath(r)
	if err != nil {
		return err
	}
	if err := a.Software.DeleteArtifact(r.Context(), module, id); err != nil {
		return err
	}
	httpjson.NoContent(w, r)
	return nil
}

func (a *API) downloadArtifact(w http.ResponseWriter, r *http.Request) error {
	module, id, err := artifactPath(r)
	if err != nil {
		return err
	}
	found, err := a.Software.Downloadable(r.Context(), module, id)
	if err != nil {
		return err
	}
	return download.Serve(w, r, download.File{
		Name: found.Filename, Size: found.Digest.Size, SHA1: found.Digest.SHA1, Created: found.CreatedAt,
		Open: func() (io.ReadSeekCloser, error) {
			b, err := a.Software.Open(r.Context(), found)
			return b.Content, err
		},
	}, download.Options{})
}

func artifactPath(r *http.Request) (module software.ModuleID, id software.ArtifactID, err error) {
	if module, err = pathID[software.ModuleID](r, "moduleId"); err != nil {
		return 0, 0, err
	}
	id, err = pathID[software.ArtifactID](r, "artifactId")
	return module, id, err
}
