package mgmt_test

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzUpload sends any bytes as a form: what is taken comes back as it was
// sent, and everything else is refused as the client's fault.
func FuzzUpload(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
	f.Add(head + "content\r\n--b--\r\n")
	f.Add(head + "cut off")
	f.Add("--b\r\nContent-Disposition: form-data; name=\"md5sum\"\r\n\r\n0\r\n" + head + "x\r\n--b--")
	f.Add("--b\r\n\r\n\r\n--b--")
	f.Add("--b\nContent-Disposition: form-data; name=file; filename*=UTF-8''%ff\n\nx\n--b--\n")
	f.Add("--b--")
	s := newSite(f)
	s.want(f, 201, "POST", "/softwaremodules", `[{"type":"os","name":"m","version":"1"}]`)
	f.Fuzz(func(t *testing.T, form string) {
		w := s.do(t, "POST", "/softwaremodules/1/artifacts", form, "Content-Type", "multipart/form-data; boundary=b")
		switch {
		case w.Code == http.StatusCreated:
			location := w.Body.String()
			at := strings.Index(location, "/rest/v1/softwaremodules/1/artifacts/")
			path, _, _ := strings.Cut(location[at+len("/rest/v1"):], `"`)
			loaded := s.want(t, 200, "GET", path+"/download", "")
			if len(loaded) == 0 || !strings.Contains(form, string(loaded)) {
				t.Errorf("%q came back as %q", form, loaded)
			}
			s.want(t, 204, "DELETE", path, "")
		case w.Code < 400 || w.Code >= 500:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
