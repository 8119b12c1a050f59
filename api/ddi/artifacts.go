package ddi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/software"
)

// artifactBody is one file of a module (device-apis A.5). Clients differ in
// which hash they check, so all are told.
type artifactBody struct {
	Filename string         `json:"filename"`
	Hashes   hashesBody     `json:"hashes"`
	Size     int64          `json:"size"`
	Links    httpjson.Links `json:"_links,omitempty" cbor:"links"`
}

type hashesBody struct {
	SHA1   string `json:"sha1"`
	MD5    string `json:"md5"`
	SHA256 string `json:"sha256"`
}

// newArtifacts shows the artifacts of one module with the addresses of their
// bytes. These name the tenant as it is called, however the device typed it.
func (a *API) newArtifacts(r *http.Request, list []software.Artifact) []artifactBody {
	d := deviceOf(r.Context())
	scheme, host, _ := strings.Cut(httpjson.BaseURL(r), "://")
	place := download.Place{Scheme: scheme, Host: host, Tenant: d.tenant.Name, ControllerID: string(d.id)}
	bodies := make([]artifactBody, len(list))
	for i := range list {
		f := &list[i]
		place.Module, place.Filename, place.SHA1 = int64(f.Module), f.Filename, f.Digest.SHA1
		b := artifactBody{Filename: f.Filename, Hashes: hashesBody{f.Digest.SHA1, f.Digest.MD5, f.Digest.SHA256}, Size: f.Digest.Size}
		for _, l := range a.ArtifactLinks {
			b.Links = append(b.Links, httpjson.Link{Rel: l.Rel, Href: l.Expand(&place)})
		}
		bodies[i] = b
	}
	return bodies
}

// pathModule reads the module's id from the path, of a target that exists.
func pathModule(r *http.Request) (software.ModuleID, error) {
	id, err := httpjson.ID(r, "moduleId")
	if d := deviceOf(r.Context()); err == nil && !d.known {
		err = fault.Missing("Target", string(d.id))
	}
	return software.ModuleID(id), err
}

func (a *API) listArtifacts(w http.ResponseWriter, r *http.Request) error {
	module, err := pathModule(r)
	if err != nil {
		return err
	}
	list, err := a.Software.Artifacts(r.Context(), module)
	if err != nil {
		return err
	}
	if err := a.Deployment.MayList(r.Context(), deviceOf(r.Context()).id, module); err != nil {
		return err
	}
	w.Header()["Etag"] = nil // the one document without
	return httpjson.Write(w, r, http.StatusOK, a.newArtifacts(r, list))
}

const md5Suffix = ".MD5SUM"

// downloadArtifact serves the bytes of an artifact, or its MD5SUM to who
// accepts text, in the order of device-apis A.10: module, file name, If-Match,
// access. What is asked for as a whole is noted in the action's history;
// installers that stream ask for hundreds of ranges, which are not.
func (a *API) downloadArtifact(w http.ResponseWriter, r *http.Request) error {
	module, err := pathModule(r)
	if err != nil {
		return err
	}
	name := r.PathValue("filename")
	if plain, ok := strings.CutSuffix(name, md5Suffix); ok && httpjson.Accepts(r, "text/plain") {
		return a.downloadMD5Sum(w, r, module, plain)
	}
	file, m, err := a.Software.ArtifactNamed(r.Context(), module, name)
	if err != nil {
		return err
	}
	if download.PreconditionFailed(w, r, file.Digest.SHA1) {
		return nil
	}
	id := deviceOf(r.Context()).id
	action, err := a.Deployment.Download(r.Context(), id, module)
	if err != nil {
		return err
	}
	// Bytes that are gone are no download that could be noted.
	content, err := a.Software.OpenFor(r.Context(), file, m)
	if err != nil {
		return err
	}
	o := download.Options{
		WriteBy: func() time.Time { return a.Now().Add(stalled) },
		Broken: func(sent int64, err error) {
			a.Log.DebugContext(r.Context(), "download broke off", slog.String("path", r.URL.Path), slog.Int64("sent", sent), slog.Any("error", err))
		},
	}
	if r.Method == http.MethodGet && !download.Partial(r) {
		p, err := a.Deployment.NoteDownload(r.Context(), id, action, r.URL.EscapedPath())
		if err != nil {
			return errors.Join(err, content.Content.Close())
		}
		o.Progress = a.progress(r.Context(), p)
	}
	return download.Serve(w, r, download.File{
		Name: file.Filename, Size: file.Digest.Size, SHA1: file.Digest.SHA1, Created: file.CreatedAt,
		Open: func() (io.ReadSeekCloser, error) { return content.Content, nil },
	}, o)
}

// stalled is how long a device may take for a part of at most 8 MiB: 7 KB a
// second will do.
const stalled = 20 * time.Minute

// downloadMD5Sum answers first and notes then, whatever becomes of the note.
func (a *API) downloadMD5Sum(w http.ResponseWriter, r *http.Request, module software.ModuleID, name string) error {
	file, _, err := a.Software.ArtifactNamed(r.Context(), module, name)
	if err != nil {
		return err
	}
	id := deviceOf(r.Context()).id
	action, err := a.Deployment.Download(r.Context(), id, module)
	if err != nil {
		return err
	}
	download.ServeMD5Sum(w, r, name, file.Digest.MD5)
	if r.Method != http.MethodGet {
		return nil
	}
	if _, err := a.Deployment.NoteDownload(r.Context(), id, action, r.URL.EscapedPath()); err != nil && !fault.Is(err, fault.Quota) {
		a.Log.WarnContext(r.Context(), "a download could not be noted", slog.Int64("action", int64(action)), slog.Any("error", err))
	}
	return nil
}

// progress tells what was sent since it was told last.
func (a *API) progress(ctx context.Context, p deployment.DownloadProgress) func(sent int64) {
	var told int64
	return func(sent int64) {
		p.Bytes, told = sent-told, sent
		if err := a.Deployment.Progress(ctx, p); err != nil {
			a.Log.DebugContext(ctx, "the progress of a download could not be told", slog.Int64("action", int64(p.Action)), slog.Any("error", err))
		}
	}
}
