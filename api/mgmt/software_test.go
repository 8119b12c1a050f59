package mgmt_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fill makes one of everything: module type 3 with module 1 and artifact 1,
// set type 4 with set 1, tag 1.
func fill(t *testing.T, s *site) {
	t.Helper()
	s.want(t, 201, "POST", "/softwaremoduletypes", `[{"key":"firmware","name":"Firmware","description":"Boots","colour":"red","minArtifacts":1,"maxAssignments":2}]`)
	s.want(t, 201, "POST", "/softwaremodules", `[{"type":"firmware","name":"fw","version":"1.0","description":"First","vendor":"Maker"}]`)
	if w := s.upload(t, "/softwaremodules/1/artifacts", "fw.bin", "content"); w.Code != 201 {
		t.Fatalf("upload: %d %s", w.Code, w.Body)
	}
	s.want(t, 201, "POST", "/distributionsettypes", `[{"key":"box","name":"Box","description":"All of it","colour":"blue","mandatorymodules":[{"id":3}],"optionalmodules":[{"id":1}]}]`)
	s.want(t, 201, "POST", "/distributionsets", `[{"type":"box","name":"release","version":"1.0","description":"Out","modules":[{"id":1}]}]`)
	s.want(t, 201, "POST", "/distributionsettags", `[{"name":"beta","description":"Early","colour":"green"}]`)
	s.want(t, 204, "POST", "/distributionsettags/1/assigned", `[1]`)
	s.want(t, 201, "POST", "/softwaremodules/1/metadata", `[{"key":"k","value":"v","targetVisible":true},{"key":"n","targetVisible":true}]`)
	s.want(t, 201, "POST", "/distributionsets/1/metadata", `[{"key":"k","value":"v"}]`)
}

// TestSoftwareDocuments shows what each resource looks like, in each view.
func TestSoftwareDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fill(t, s)
	for name, path := range map[string]string{
		"module_types":             "/softwaremoduletypes?sort=key:asc",
		"module_type":              "/softwaremoduletypes/3",
		"modules":                  "/softwaremodules",
		"module":                   "/softwaremodules/1",
		"module_metadata":          "/softwaremodules/1/metadata",
		"module_metadatum":         "/softwaremodules/1/metadata/k",
		"artifacts":                "/softwaremodules/1/artifacts",
		"artifacts_full":           "/softwaremodules/1/artifacts?representation=full",
		"artifact":                 "/softwaremodules/1/artifacts/1",
		"set_types":                "/distributionsettypes?q=key==box",
		"set_type":                 "/distributionsettypes/4",
		"set_type_mandatory":       "/distributionsettypes/4/mandatorymoduletypes",
		"set_type_optional_module": "/distributionsettypes/4/optionalmoduletypes/1",
		"sets":                     "/distributionsets",
		"set":                      "/distributionsets/1",
		"set_modules":              "/distributionsets/1/assignedSM",
		"set_metadata":             "/distributionsets/1/metadata",
		"set_metadatum":            "/distributionsets/1/metadata/k",
		"set_statistics":           "/distributionsets/1/statistics",
		"set_tags":                 "/distributionsettags",
		"set_tag":                  "/distributionsettags/1",
		"set_tag_assigned":         "/distributionsettags/1/assigned",
	} {
		w := s.do(t, "GET", path, "")
		if w.Code != http.StatusOK || w.Header().Get("Etag") == "" {
			t.Errorf("GET %s: status %d, etag %s: %s", path, w.Code, w.Header().Get("Etag"), w.Body)
			continue
		}
		golden(t, name, w.Body.Bytes())
	}

	for name, c := range map[string]struct{ method, path, body string }{
		"error_not_found":         {"GET", "/softwaremodules/77", ""},
		"error_not_found_plural":  {"DELETE", "/distributionsets/77", ""},
		"error_not_found_in_body": {"POST", "/distributionsets/1/assignedSM", `[{"id":1},{"id":77},{}]`},
		"error_exists":            {"POST", "/softwaremodules", `[{"type":"firmware","name":"fw","version":"1.0"}]`},
		"error_invalid":           {"POST", "/softwaremodules", `[{"type":"os","name":"","version":"<b>1</b>"}]`},
		"error_unreadable":        {"PUT", "/softwaremodules/1", `{"locked":"perhaps"}`},
		"error_integrity":         {"POST", "/distributionsets/1/metadata", `[{"value":"v"}]`},
		"error_read_only":         {"POST", "/distributionsettypes/4/optionalmoduletypes", `{"id":2}`},
	} {
		w := s.do(t, c.method, c.path, c.body)
		if w.Code < 400 {
			t.Errorf("%s: status %d", name, w.Code)
		}
		golden(t, name, fmt.Appendf(nil, `{"status":%d,"body":%s}`, w.Code, w.Body))
	}
}

// TestPermissions asks for each route's permissions with a user who lacks one.
func TestSoftwarePermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fill(t, s)
	for i, c := range []struct {
		has, method, path, body string
		status                  int
	}{
		{"READ_SOFTWARE_MODULE", "GET", "/softwaremodules/-1", "", 404},
		{"READ_DISTRIBUTION_SET", "GET", "/softwaremodules/-1", "", 403},
		{"READ_SOFTWARE_MODULE", "GET", "/softwaremoduletypes", "", 200},                                      // implied
		{"DELETE_SOFTWARE_MODULE", "DELETE", "/softwaremodules/1", "", 403},                                   // needs READ beside it
		{"READ_SOFTWARE_MODULE", "GET", "/softwaremodules/1/artifacts/1/download", "", 403},                   // needs its own
		{"CREATE_SOFTWARE_MODULE", "POST", "/softwaremodules", `{"type":"os","name":"x","version":"1"}`, 201}, // suffices for its answer
		{"UPDATE_SOFTWARE_MODULE", "PUT", "/softwaremodules/1", `{"vendor":"x"}`, 200},
		{"CREATE_DISTRIBUTION_SET", "POST", "/distributionsets", `{"name":"x","version":"1"}`, 403},
		{"CREATE_DISTRIBUTION_SET READ_TENANT_CONFIGURATION", "POST", "/distributionsets", `{"name":"x","version":"1"}`, 201},
		{"CREATE_DISTRIBUTION_SET READ_DISTRIBUTION_SET", "POST", "/distributionsets", `{"name":"y","version":"1","modules":[{"id":1}]}`, 403},
		{"CREATE_DISTRIBUTION_SET_TYPE", "POST", "/distributionsettypes", `{"key":"y","name":"y","optionalmodules":[{"id":1}]}`, 403},
		{"CREATE_DISTRIBUTION_SET_TYPE", "POST", "/distributionsettypes", `{"key":"y","name":"y"}`, 201},
		{"UPDATE_DISTRIBUTION_SET READ_DISTRIBUTION_SET", "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"soft"}`, 403},
		{"UPDATE_DISTRIBUTION_SET READ_DISTRIBUTION_SET", "POST", "/distributionsets/1/invalidate", `{"actionCancelationType":"none"}`, 204},
	} {
		who := s.as(t, fmt.Sprintf("user%d", i), strings.Fields(c.has)...)
		if w := who.do(t, c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s with %s: status %d, want %d: %s", c.method, c.path, c.has, w.Code, c.status, w.Body)
		}
	}
}

// TestUpload tries what a form may be, and the order in which faults are told
// (management-api 2.11).
func TestUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(t, 201, "POST", "/softwaremodules", `[{"type":"os","name":"m","version":"1"},{"type":"os","name":"locked","version":"1"}]`)
	s.want(t, 200, "PUT", "/softwaremodules/2", `{"locked":true}`)

	const boundary = "b0undary"
	part := func(disposition, content string) string {
		return "--" + boundary + "\r\nContent-Disposition: " + disposition + "\r\n\r\n" + content + "\r\n"
	}
	file := func(name, content string) string { return part(`form-data; name="file"; filename="`+name+`"`, content) }
	field := func(name, value string) string { return part(`form-data; name="`+name+`"`, value) }
	const end = "--" + boundary + "--\r\n"
	const sha1 = "040f06fd774092478d450774f5ba30c5da78acc8" // of "content"

	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string // file name, or the end of the error code; "framework" or empty for bodies without one
	}{
		"plain":                           {"1/artifacts", file("a.bin", "content") + end, 201, "a.bin"},
		"folders stay in the name":        {"1/artifacts", file(`dir/sub\\x.bin`, "content") + end, 201, `dir/sub\x.bin`},
		"unquoted":                        {"1/artifacts", part("form-data; name=file; filename=unquoted.bin", "content") + end, 201, "unquoted.bin"},
		"encoded":                         {"1/artifacts", part("form-data; name=\"file\"; filename*=UTF-8''enc%20%C3%BC.bin", "content") + end, 201, "enc ü.bin"},
		"letters beyond ASCII":            {"1/artifacts", file("straße.bin", "content") + end, 201, "straße.bin"},
		"name of a field":                 {"1/artifacts", field("filename", "field.bin") + file("x", "content") + end, 201, "field.bin"},
		"fields behind the file":          {"1/artifacts", file("late.bin", "content") + field("sha1sum", strings.ToUpper(sha1)) + field("filename", "later.bin") + end, 201, "later.bin"},
		"query":                           {"1/artifacts?filename=query.bin&sha1sum=" + sha1, file("", "content") + end, 201, "query.bin"},
		"form and query are joined":       {"1/artifacts?filename=q", field("filename", "f") + file("x", "content") + end, 201, "f,q"},
		"blank name":                      {"1/artifacts?filename=++", file("x", "content") + end, 201, "  "},
		"the first of two files":          {"1/artifacts", file("first.bin", "content") + file("second.bin", "other") + end, 201, "first.bin"},
		"unknown parts":                   {"1/artifacts", field("nosuch", "1") + part(`form-data; name="other"; filename="o"`, "x") + file("known.bin", "content") + end, 201, "known.bin"},
		"preamble":                        {"1/artifacts", "preamble\r\n" + file("preamble.bin", "content") + end + "epilogue", 201, "preamble.bin"},
		"no parts":                        {"1/artifacts", end, 400, "framework"},
		"nothing":                         {"1/artifacts", "", 400, "framework"},
		"another boundary":                {"1/artifacts", strings.ReplaceAll(file("x", "content")+end, boundary, "other"), 400, "framework"},
		"only fields":                     {"1/artifacts", field("filename", "x") + end, 400, "framework"},
		"file without a name":             {"1/artifacts", field("file", "content") + end, 400, "framework"},
		"part of another name":            {"1/artifacts", part(`form-data; name="File"; filename="x"`, "content") + end, 400, "framework"},
		"cut off in the file":             {"1/artifacts", file("x", "content"), 400, "artifact.uploadFailed"},
		"cut off before the end":          {"1/artifacts", strings.TrimSuffix(file("x", "content"), "\r\n"), 400, "artifact.uploadFailed"},
		"empty file before all else":      {"77/artifacts", file("", "") + end, 400, ""},
		"empty name before the module":    {"77/artifacts", file("", "content") + end, 400, "repo.constraintViolation"},
		"markup before the module":        {"77/artifacts", file("<b>x</b>", "content") + end, 400, "repo.constraintViolation"},
		"module before hash":              {"77/artifacts?md5sum=0", file("x", "content") + end, 404, "repo.entityNotFound"},
		"lock before hash":                {"2/artifacts?md5sum=0", file("x", "content") + end, 423, "locked"},
		"sha1 before md5 before sha256":   {"1/artifacts?md5sum=0&sha1sum=0&sha256sum=0", file("h", "content") + end, 400, "checksum.sha1.match"},
		"md5 before sha256":               {"1/artifacts?md5sum=0&sha256sum=0", file("h", "content") + end, 400, "checksum.md5.match"},
		"an empty hash is a wrong one":    {"1/artifacts?sha256sum=", file("h", "content") + end, 400, "checksum.sha256.match"},
		"a hash is not trimmed":           {"1/artifacts?sha1sum=+" + sha1, file("h", "content") + end, 400, "checksum.sha1.match"},
		"hash before too long a name":     {"1/artifacts?md5sum=0", file(strings.Repeat("n", 257), "content") + end, 400, "checksum.md5.match"},
		"too long a name":                 {"1/artifacts", file(strings.Repeat("n", 257), "content") + end, 400, "repo.constraintViolation"},
		"longest name":                    {"1/artifacts", file(strings.Repeat("ö", 256), "content") + end, 201, strings.Repeat("ö", 256)},
		"hashes joined do not match":      {"1/artifacts?sha1sum=" + sha1, field("sha1sum", sha1) + file("h", "content") + end, 400, "checksum.sha1.match"},
		"name of a thousand empty fields": {"1/artifacts", strings.Repeat(field("filename", ""), 1000) + file("h", "content") + end, 400, "artifact.uploadFailed"},
	} {
		w := s.do(t, "POST", "/softwaremodules/"+c.path, c.body, "Content-Type", "multipart/form-data; boundary="+boundary)
		var body struct {
			ProvidedFilename, ErrorCode, Error string
			Hashes                             struct{ SHA1 string }
		}
		if w.Body.Len() > 0 {
			must(t, json.Unmarshal(w.Body.Bytes(), &body))
		}
		got := body.ProvidedFilename + strings.TrimPrefix(strings.TrimPrefix(body.ErrorCode, "hawkbit.server.error."), "artifact.uploadFailed.")
		if body.Error != "" {
			got = "framework"
		}
		if w.Code != c.status || got != c.want || w.Code == 201 && body.Hashes.SHA1 != sha1 {
			t.Errorf("%s: status %d with %q, want %d with %q: %s", name, w.Code, got, c.status, c.want, w.Body)
		}
	}
	if w := s.upload(t, "/softwaremodules/1/artifacts?md5sum=0", "A.BIN", "x"); w.Code != http.StatusConflict {
		t.Errorf("a taken name comes before a wrong hash: got %d %s", w.Code, w.Body)
	}
}

// TestUploadQuotas lets quotas end an upload.
func TestUploadQuotas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(t, 201, "POST", "/softwaremodules", `[{"type":"os","name":"m","version":"1"}]`)
	s.api.Software.Quotas.ArtifactSize, s.api.Software.Quotas.ArtifactStorage, s.api.Software.Quotas.ArtifactsPerModule = 100, 150, 2
	for _, c := range []struct {
		name   string
		size   int
		status int
		code   string
	}{
		{"large", 101, 429, "quota.fileSizeExceeded"},
		{"fits", 100, 201, ""},
		{"storage", 51, 429, "quota.storageExceeded"},
		{"fits too", 50, 201, ""},
		{"third", 1, 429, "quota.tooManyEntries"},
	} {
		w := s.upload(t, "/softwaremodules/1/artifacts", c.name, strings.Repeat("x", c.size))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.code) {
			t.Errorf("%s: status %d, want %d %s: %s", c.name, w.Code, c.status, c.code, w.Body)
		}
	}
}

// TestDownload reads an artifact back, and learns when it is gone.
func TestDownload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fill(t, s)
	w := s.do(t, "GET", "/softwaremodules/1/artifacts/1/download", "", "Range", "bytes=3-", "Accept", "text/plain")
	if w.Code != http.StatusPartialContent || w.Body.String() != "tent" || w.Header().Get("Content-Type") != "application/octet-stream" ||
		w.Header().Get("Content-Disposition") != "attachment;filename=fw.bin" || w.Header().Get("Etag") != `"040f06fd774092478d450774f5ba30c5da78acc8"` {
		t.Errorf("got %d %v %q", w.Code, w.Header(), w.Body)
	}
	s.now = s.now.Add(24 * time.Hour)
	s.want(t, 204, "DELETE", "/softwaremodules/1", "") // a set has it
	s.want(t, 204, "DELETE", "/softwaremodules/1", "")
	golden(t, "error_gone", s.want(t, 410, "GET", "/softwaremodules/1/artifacts/1/download", ""))
	golden(t, "module_deleted", s.want(t, 200, "GET", "/softwaremodules/1", ""))
	golden(t, "artifact_deleted", s.want(t, 200, "GET", "/softwaremodules/1/artifacts/1", ""))
	s.want(t, 404, "PUT", "/softwaremodules/1", `{"vendor":"x"}`)
}
