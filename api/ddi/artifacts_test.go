package ddi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/event"
	"github.com/otaria/otaria/software"
	"github.com/otaria/otaria/tenant"
)

const content = "0123456789"

// sha1 and md5 of content.
const (
	contentSHA1 = "87acec17cd9dcd20a716cc2cf67417b71c8a7016"
	contentMD5  = "781e5e245d69b566979b86e28d23f2c7"
)

// files gives a device an action with a module of one file, and the path to it.
func (w *world) files(device string) (deployment.ActionID, software.ModuleID, string) {
	w.t.Helper()
	w.poll(device)
	m := w.module("os", "files of "+device, "Fw.bin", content)
	id := w.assign(device, w.release("files of "+device, m), deployment.Order{})
	return id, m, path(device, "softwaremodules/%d/artifacts", m)
}

// TestDownload: the whole file, parts of it, conditions, HEAD (A.10, surprises
// 18, 19, 31).
func TestDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _, dir := w.files("dev")
	file := dir + "/Fw.bin"
	for _, tt := range []struct {
		name, method, path string
		headers            []string
		want               int
		body               string
		more               map[string]string // headers of the answer
	}{
		{"whole", "GET", file, nil, 200, content, map[string]string{"Content-Length": "10"}},
		{"whatever is accepted", "GET", file, []string{"Accept", "text/html"}, 200, content, nil},
		{"name in another case", "GET", dir + "/fW.BIN", nil, 200, content, nil},
		{"HEAD", "HEAD", file, nil, 200, "", map[string]string{"Content-Length": "10"}},
		{"HEAD with a range", "HEAD", file, []string{"Range", "bytes=0-1"}, 200, "", map[string]string{"Content-Length": "10"}},
		{"range", "GET", file, []string{"Range", "bytes=2-3"}, 206, "23", map[string]string{"Content-Range": "bytes 2-3/10", "Content-Length": "2"}},
		{"rest", "GET", file, []string{"Range", "bytes=7-"}, 206, "789", nil},
		{"end", "GET", file, []string{"Range", "bytes=-1"}, 206, "9", nil},
		{"two ranges", "GET", file, []string{"Range", "bytes=8-,0-1"}, 206, "--THIS_STRING_SEPARATES_MULTIPART\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--THIS_STRING_SEPARATES_MULTIPART\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--THIS_STRING_SEPARATES_MULTIPART--", map[string]string{"Content-Type": "multipart/byteranges; boundary=THIS_STRING_SEPARATES_MULTIPART"}},
		{"complete already", "GET", file, []string{"Range", "bytes=10-"}, 416, "", map[string]string{"Content-Range": "bytes */10", "Content-Length": "0"}},
		{"more than there is", "GET", file, []string{"Range", "bytes=-11"}, 416, "", nil},
		{"quoted If-Match", "GET", file, []string{"If-Match", `"` + contentSHA1 + `"`}, 200, content, nil},
		{"bare If-Match", "GET", file, []string{"If-Match", contentSHA1}, 200, content, nil},
		{"other If-Match", "GET", file, []string{"If-Match", `"x"`}, 412, "", nil},
		{"If-None-Match is not looked at", "GET", file, []string{"If-None-Match", `"` + contentSHA1 + `"`}, 200, content, nil},
		{"changed since", "GET", file, []string{"Range", "bytes=2-3", "If-Range", `"x"`}, 200, content, nil},
		{"no such file", "GET", dir + "/other.bin", nil, 404, "", nil},
		{"no such file comes before If-Match", "GET", dir + "/other.bin", []string{"If-Match", "x"}, 404, "", nil},
	} {
		a := w.do(tt.method, tt.path, "", tt.headers...)
		if a.status != tt.want || a.body != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.name, a.status, a.body, tt.want, tt.body)
		}
		if a.status == 200 || a.status == 206 {
			for k, v := range map[string]string{"Etag": `"` + contentSHA1 + `"`, "Accept-Ranges": "bytes", "Content-Disposition": "attachment;filename=Fw.bin", "Last-Modified": "Fri, 15 Jan 2027 08:00:00 GMT", "X-Content-Type-Options": "nosniff"} {
				if a.header.Get(k) != v {
					t.Errorf("%s: %s is %q, want %q", tt.name, k, a.header.Get(k), v)
				}
			}
		}
		for k, v := range tt.more {
			if a.header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", tt.name, k, a.header.Get(k), v)
			}
		}
	}
	rows := 0
	for _, e := range w.history(id) {
		if strings.HasPrefix(e, "download: Update Server: The device downloads "+dir) {
			rows++
		}
	}
	if rows != 6 { // the whole file six times; ranges, HEAD and refusals leave no trace
		t.Errorf("%d entries of downloads in %q", rows, w.history(id))
	}
}

// TestMD5Sum is row 4.
func TestMD5Sum(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, _, dir := w.files("dev")
	a := w.want(200, w.do(http.MethodGet, dir+"/FW.bin.MD5SUM", "", "If-Match", "x", "Range", "bytes=0-0"))
	equal(t, a.body, contentMD5+"  FW.bin")
	equal(t, []string{a.header.Get("Content-Type"), a.header.Get("Content-Disposition"), a.header.Get("Etag")}, []string{"text/plain", "attachment;filename=FW.bin.MD5SUM", ""})
	h := w.history(id)
	equal(t, h[len(h)-1], "download: Update Server: The device downloads "+dir+"/FW.bin.MD5SUM")
	w.wantEmpty(404, w.do(http.MethodGet, dir+"/Fw.bin.MD5SUM", "", "Accept", "application/octet-stream")) // asks for a file of that name
	w.wantEmpty(404, w.do(http.MethodGet, dir+"/none.MD5SUM", ""))
}

// TestAccess: whose files a device may see (A.10).
func TestAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, m, dir := w.files("dev")
	_, other, _ := w.files("other")
	check := func(when string, device string, module software.ModuleID, file, list int) {
		t.Helper()
		p := path(device, "softwaremodules/%d/artifacts", module)
		got := []int{
			w.do(http.MethodGet, p+"/fw.bin", "").status, w.do(http.MethodGet, p+"/fw.bin", "", "Range", "bytes=0-0").status,
			w.do(http.MethodGet, p+"/fw.bin.MD5SUM", "").status, w.do(http.MethodGet, p, "").status,
		}
		partial := file
		if file == 200 {
			partial = 206
		}
		if fmt.Sprint(got) != fmt.Sprint([]int{file, partial, file, list}) {
			t.Errorf("%s: file, range, MD5SUM, list are %v, want %d, %d", when, got, file, list)
		}
	}
	check("assigned", "dev", m, 200, 200)
	check("another device's", "dev", other, 404, 404)
	check("no such module", "dev", 9999, 404, 404)
	a := w.do(http.MethodGet, path("dev", "softwaremodules/%d/artifacts", other), "")
	if !strings.Contains(a.body, "SoftwareModuleNotAssignedToTargetException") || strings.Contains(a.body, "info") {
		t.Errorf("body %s", a.body)
	}
	a = w.do(http.MethodGet, path("dev", "softwaremodules/%d/artifacts", m), "")
	if a.header.Get("Etag") != "" || !strings.HasPrefix(a.body, `[{"filename":"Fw.bin",`) {
		t.Errorf("list %s with ETag %q, want none", a.body, a.header.Get("Etag"))
	}
	if err := w.deployment.Cancel(w.ctx, "dev", id); err != nil {
		t.Fatal(err)
	}
	check("canceling", "dev", m, 404, 404)
	w.want(200, w.do(http.MethodPost, path("dev", "cancelAction/%d/feedback", id), feedback("rejected", "none", "")))
	check("not canceled after all", "dev", m, 200, 200)
	w.report("dev", id, "closed", "success")
	check("installed", "dev", m, 404, 200)
	w.wantEmpty(412, w.do(http.MethodGet, dir+"/fw.bin", "", "If-Match", "x")) // comes before access

	w.set(map[tenant.Key]any{tenant.KeyConfirmationFlow: true})
	waiting := w.module("os", "waiting", "fw.bin", content)
	w.assign("dev", w.release("waiting", waiting), deployment.Order{})
	check("waits for consent", "dev", waiting, 200, 200)
}

// TestAnonymousDownload is device-apis B.6.
func TestAnonymousDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, m, dir := w.files("dev")
	w.files("other")
	for _, on := range []bool{false, true} {
		w.set(map[tenant.Key]any{tenant.KeyAnonymousDownload: on})
		open, closed := 401, 401
		if on {
			open, closed = 200, 404
		}
		for _, credentials := range []string{"", "GatewayToken wrong"} {
			w.want(open, w.do(http.MethodGet, dir+"/fw.bin", "", "Authorization", credentials))
			w.want(open, w.do(http.MethodHead, dir+"/fw.bin", "", "Authorization", credentials))
			w.want(open, w.do(http.MethodGet, dir+"/fw.bin.MD5SUM", "", "Authorization", credentials))
			w.want(closed, w.do(http.MethodGet, path("other", "softwaremodules/%d/artifacts/fw.bin", m), "", "Authorization", credentials))
			w.want(closed, w.do(http.MethodGet, path("nobody", "softwaremodules/%d/artifacts/fw.bin", m), "", "Authorization", credentials))
			w.wantEmpty(401, w.do(http.MethodGet, dir, "", "Authorization", credentials))
			w.wantEmpty(401, w.do(http.MethodPost, dir+"/fw.bin", "", "Authorization", credentials))
			w.wantEmpty(401, w.do(http.MethodGet, path("dev", ""), "", "Authorization", credentials))
		}
	}
}

// TestFullHistory: a device that downloads in a loop is stopped, closing still
// works (surprise 28).
func TestFullHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deployment.Limits.Entries = 3
	id, _, dir := w.files("dev")
	for range 2 {
		w.want(200, w.do(http.MethodGet, dir+"/fw.bin", ""))
	}
	w.wantError(429, "quota.tooManyEntries", w.do(http.MethodGet, dir+"/fw.bin", ""))
	w.want(206, w.do(http.MethodGet, dir+"/fw.bin", "", "Range", "bytes=0-0"))
	w.want(200, w.do(http.MethodGet, dir+"/fw.bin.MD5SUM", ""))
	w.wantError(429, "quota.tooManyEntries", w.do(http.MethodPost, path("dev", "deploymentBase/%d/feedback", id), feedback("proceeding", "none", "")))
	w.want(200, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))
	w.report("dev", id, "closed", "success")
}

// TestDeletedModule: a device may install on from what was deleted, as long as
// the bytes are there (A.10).
func TestDeletedModule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, m, dir := w.files("dev")
	set := w.action(id).Set
	if err := w.software.DeleteSet(w.ctx, set); err != nil {
		t.Fatal(err)
	}
	w.want(200, w.do(http.MethodGet, dir+"/fw.bin", ""))
	if err := w.software.DeleteModule(w.ctx, m); err != nil {
		t.Fatal(err)
	}
	w.want(200, w.do(http.MethodGet, path("dev", "deploymentBase/%d", id), ""))
	w.want(200, w.do(http.MethodGet, dir, ""))
	w.want(200, w.do(http.MethodGet, dir+"/fw.bin.MD5SUM", ""))
	before := len(w.history(id))
	w.wantError(410, "artifact.binaryDeleted", w.do(http.MethodGet, dir+"/fw.bin", ""))
	equal(t, len(w.history(id)), before)
	w.module("os", "same content", "x", content)
	w.want(200, w.do(http.MethodGet, dir+"/fw.bin", ""))
}

// TestProgress: whoever follows the events sees how far a download came.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll("dev")
	m := w.module("os", "large", "large.bin", strings.Repeat("x", 1<<20))
	id := w.assign("dev", w.release("large", m), deployment.Order{})
	w.want(200, w.do(http.MethodGet, path("dev", "softwaremodules/%d/artifacts/large.bin", m), ""))
	total, n := 0, 0
	w.events.mu.Lock()
	defer w.events.mu.Unlock()
	for _, e := range w.events.all {
		if e.Kind != event.ActionDownload {
			continue
		}
		var entry, bytes int
		if _, err := fmt.Sscanf(e.Data, `{"entry":%d,"bytes":%d}`, &entry, &bytes); err != nil || e.Subject != int64(id) || entry == 0 || e.Reach != event.NoTarget {
			t.Errorf("event %+v: %v", e, err)
		}
		total, n = total+bytes, n+1
	}
	if total != 1<<20 || n < 5 || n > 11 {
		t.Errorf("%d events told of %d bytes", n, total)
	}
}
