package download_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/download"
	"github.com/otaria/otaria/fault"
)

var created = time.Date(2026, 1, 31, 12, 0, 0, 987_000_000, time.FixedZone("CET", 3600))

const lastModified = "Sat, 31 Jan 2026 11:00:00 GMT"

// content has letters only, so that no part of it looks like a header.
func content(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte('a' + (i*7+i/26)%26)
	}
	return data
}

func fileOf(tb testing.TB, name string, data []byte) download.File {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "content")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	sum := sha1.Sum(data)
	return download.File{
		Name: name, Size: int64(len(data)), SHA1: hex.EncodeToString(sum[:]), Created: created,
		Open: func() (io.ReadSeekCloser, error) { return os.Open(path) },
	}
}

func serve(t *testing.T, f download.File, o download.Options) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := download.Serve(w, r, f, o); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// An answer as it came over the wire.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request with header lines "Name: value".
func do(t *testing.T, s *httptest.Server, method string, lines ...string) answer {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", method, strings.Join(append(lines, "Connection: close"), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("body of %d bytes, announced %s: %v", len(body), r.Header.Get("Content-Length"), err)
	}
	return answer{r.StatusCode, r.Header, body}
}

func wantHeader(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	have := map[string]string{}
	for name := range got {
		if name != "Date" && name != "Connection" {
			have[name] = strings.Join(got.Values(name), " | ")
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// standard are the headers of every answer but 412.
func standard(f download.File, more ...string) map[string]string {
	h := map[string]string{
		"Accept-Ranges": "bytes", "Content-Disposition": "attachment;filename=" + f.Name, "Content-Type": "application/octet-stream",
		"Etag": `"` + f.SHA1 + `"`, "Last-Modified": lastModified, "X-Content-Type-Options": "nosniff",
	}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 511, 512, 513, 4096, 20_000, 9 << 20} {
		data := content(size)
		f := fileOf(t, "fw.bin", data)
		s := serve(t, f, download.Options{})
		got := do(t, s, "GET", "Accept: text/html", "Accept-Encoding: gzip", "If-None-Match: *", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
			"If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT")
		if got.status != http.StatusOK || !bytes.Equal(got.body, data) {
			t.Errorf("size %d: status %d, %d bytes", size, got.status, len(got.body))
		}
		wantHeader(t, got.header, standard(f, "Content-Length", strconv.Itoa(size)))

		got = do(t, s, "HEAD", "Range: bytes=0-0")
		if got.status != http.StatusOK || len(got.body) != 0 {
			t.Errorf("HEAD: status %d, %d bytes", got.status, len(got.body))
		}
		wantHeader(t, got.header, standard(f, "Content-Length", strconv.Itoa(size)))
	}
}

func TestOneRange(t *testing.T) {
	t.Parallel()
	data := content(20_000)
	f := fileOf(t, "fw.bin", data)
	s := serve(t, f, download.Options{})
	for header, want := range map[string][2]int{
		"bytes=0-0": {0, 1}, "bytes=0-9": {0, 10}, "bytes=10-19": {10, 20}, "bytes=0-": {0, 20_000}, "bytes=0-19999": {0, 20_000}, "bytes=0-20000": {0, 20_000},
		"bytes=0-999999999": {0, 20_000}, "bytes=19999-": {19_999, 20_000}, "bytes=19999-19999": {19_999, 20_000}, "bytes=19995-20100": {19_995, 20_000}, "bytes=-1": {19_999, 20_000},
		"bytes=-500": {19_500, 20_000}, "bytes=-20000": {0, 20_000}, "bytes=0-9 ": {0, 10}, "bytes=00000000000000000005-9": {5, 10}, "bytes=0-9223372036854775807": {0, 20_000},
	} {
		got := do(t, s, "GET", "Range: "+header)
		if got.status != http.StatusPartialContent || !bytes.Equal(got.body, data[want[0]:want[1]]) {
			t.Errorf("%q: status %d, %d bytes", header, got.status, len(got.body))
		}
		wantHeader(t, got.header, standard(f, "Content-Length", strconv.Itoa(want[1]-want[0]),
			"Content-Range", fmt.Sprintf("bytes %d-%d/20000", want[0], want[1]-1)))
	}
	if got := do(t, s, "GET", "Range: bytes=0-9", "Range: bytes=20-29"); got.header.Get("Content-Range") != "bytes 0-9/20000" {
		t.Errorf("of two lines the first counts, got %q", got.header.Get("Content-Range"))
	}
}

func TestBadRange(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(20_000))
	s := serve(t, f, download.Options{})
	many := "bytes=0-0"
	for i := 1; i <= 1000; i++ {
		many += fmt.Sprintf(",%d-%d", 2*i, 2*i)
	}
	for _, header := range []string{
		"bytes=-20001", "bytes=-0", "bytes=20000-", "bytes=20000-20010", "bytes=999999999-", "bytes=5-4", "bytes=-", "bytes=", "bytes", "", "bytes=a-b", "bytes=1", "bytes=1-2-3", "bytes=--5",
		"bytes=+1-5", "bytes=1.5-3", "Bytes=0-9", "BYTES=0-9", "bytes 0-9", "bytes: 0-9", "items=0-9", "bytes=0-9,", ",bytes=0-9", "bytes = 0-9", "bytes=0 - 9", "bytes= 0-9",
		"bytes=99999999999999999999-", "bytes=0-99999999999999999999", "bytes=-99999999999999999999", "none", "bytes=0-9, 20-29", "bytes=0-10,10-19", "bytes=0-99,50-59", "bytes=0-9,0-9",
		"bytes=0-9,30000-", "bytes=30000-,40000-", "bytes=0-9,,20-29", "bytes=0-9,x", "bytes=0-9,9-0", "bytes=0-9,20-29,25-35", "bytes=-5,-10", "bytes=0-,-1", "bytes=٣-٤", many,
	} {
		got := do(t, s, "GET", "Range: "+header)
		if got.status != http.StatusRequestedRangeNotSatisfiable || len(got.body) != 0 {
			t.Errorf("%.40q: status %d, %d bytes", header, got.status, len(got.body))
		}
		wantHeader(t, got.header, standard(f, "Content-Length", "0", "Content-Range", "bytes */20000"))
	}
}

func TestSeveralRanges(t *testing.T) {
	t.Parallel()
	data := content(20_000)
	f := fileOf(t, "fw.bin", data)
	s := serve(t, f, download.Options{})
	for header, want := range map[string][]string{
		"bytes=0-9,20-29":       {"0-9", "20-29"},
		"bytes=20-29,0-9":       {"0-9", "20-29"},
		"bytes=0-9,10-19":       {"0-9", "10-19"},
		"bytes=-10,0-9":         {"0-9", "19990-19999"},
		"bytes=0-0,19990-,4-4":  {"0-0", "4-4", "19990-19999"},
		"bytes=10000-,0-9999":   {"0-9999", "10000-19999"},
		"bytes=19999-99999,0-0": {"0-0", "19999-19999"},
	} {
		got := do(t, s, "GET", "Range: "+header)
		if got.status != http.StatusPartialContent {
			t.Errorf("%q: status %d", header, got.status)
		}
		wantHeader(t, got.header, standard(f, "Content-Length", strconv.Itoa(len(got.body)),
			"Content-Type", "multipart/byteranges; boundary=THIS_STRING_SEPARATES_MULTIPART"))
		_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		var spans []string
		for parts := multipart.NewReader(bytes.NewReader(got.body), params["boundary"]); ; {
			part, err := parts.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			span := strings.TrimSuffix(strings.TrimPrefix(part.Header.Get("Content-Range"), "bytes "), "/20000")
			spans = append(spans, span)
			var first, last int
			if _, err := fmt.Sscanf(span, "%d-%d", &first, &last); err != nil {
				t.Fatal(err)
			}
			if bytes, err := io.ReadAll(part); err != nil || string(bytes) != string(data[first:last+1]) {
				t.Errorf("%q: part %s has %d other bytes, %v", header, span, len(bytes), err)
			}
		}
		if diff := cmp.Diff(want, spans); diff != "" {
			t.Errorf("%q: parts (-want +got):\n%s", header, diff)
		}
	}

	got := do(t, s, "GET", "Range: bytes=0-3,10-13")
	want := "--THIS_STRING_SEPARATES_MULTIPART\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-3/20000\r\n\r\n" + string(data[:4]) +
		"\r\n--THIS_STRING_SEPARATES_MULTIPART\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 10-13/20000\r\n\r\n" + string(data[10:14]) +
		"\r\n--THIS_STRING_SEPARATES_MULTIPART--"
	if diff := cmp.Diff(want, string(got.body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(100))
	s := serve(t, f, download.Options{})
	other := strings.Repeat("0", 40)
	for value, status := range map[string]int{
		f.SHA1: 200, `"` + f.SHA1 + `"`: 200, "*": 200, other + ", " + f.SHA1: 200, `"x", "` + f.SHA1 + `"`: 200, "x,*": 200,
		"": 412, other: 412, `"` + other + `"`: 412, `W/"` + f.SHA1 + `"`: 412, `"*"`: 412, "a,b,c": 412, strings.ToUpper(f.SHA1): 412, f.SHA1[:39]: 412,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := do(t, s, method, "If-Match: "+value)
			if got.status != status {
				t.Errorf("%s with If-Match %q: status %d, want %d", method, value, got.status, status)
			}
			if status == http.StatusPreconditionFailed {
				wantHeader(t, got.header, map[string]string{"Content-Length": "0", "X-Content-Type-Options": "nosniff"})
				if len(got.body) != 0 {
					t.Errorf("body %q", got.body)
				}
			}
		}
	}
	if got := do(t, s, "GET", "If-Match: x", "Range: bytes=9-1"); got.status != http.StatusPreconditionFailed {
		t.Errorf("If-Match comes before Range: status %d", got.status)
	}
	if got := do(t, s, "GET", "If-Match: "+f.SHA1, "Range: bytes=0-9"); got.status != http.StatusPartialContent {
		t.Errorf("If-Match and Range: status %d", got.status)
	}
	if got := do(t, s, "GET", "If-Match: x", "If-Match: "+f.SHA1); got.status != http.StatusOK {
		t.Errorf("If-Match in two lines: status %d", got.status)
	}
}

func TestIfRange(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(100))
	s := serve(t, f, download.Options{})
	for value, status := range map[string]int{
		`"` + f.SHA1 + `"`: 206, lastModified: 206, "Fri, 01 Jan 2100 00:00:00 GMT": 206, "Fri Jan  1 00:00:00 2100": 206, "Saturday, 31-Jan-26 11:00:00 GMT": 206,
		f.SHA1: 200, `W/"` + f.SHA1 + `"`: 200, "*": 200, `"x", "` + f.SHA1 + `"`: 200, "": 200, strings.ToUpper(`"` + f.SHA1 + `"`): 200,
		"Sat, 31 Jan 2026 10:59:59 GMT": 200, "Friday, 01-Jan-99 00:00:00 GMT": 200, "yesterday": 200, "2100-01-01T00:00:00Z": 200,
	} {
		if got := do(t, s, "GET", "If-Range: "+value, "Range: bytes=0-9"); got.status != status {
			t.Errorf("If-Range %q: status %d, want %d", value, got.status, status)
		}
	}
	if got := do(t, s, "GET", `If-Range: "`+f.SHA1+`"`); got.status != http.StatusOK {
		t.Errorf("If-Range without Range: status %d", got.status)
	}
	if got := do(t, s, "GET", `If-Range: "`+f.SHA1+`"`, "Range: bytes=9-1"); got.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("bad Range that applies: status %d", got.status)
	}
	if got := do(t, s, "GET", "If-Range: x", "Range: bytes=9-1"); got.status != http.StatusOK {
		t.Errorf("bad Range that does not apply: status %d", got.status)
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"fw.bin":                          "attachment;filename=fw.bin",
		"two words.bin":                   "attachment;filename=two words.bin",
		"it's.bin":                        "attachment;filename=it's.bin",
		"a,b(1)[2].bin":                   `attachment;filename="a,b(1)[2].bin"`,
		"a;b=c.bin":                       `attachment;filename="a;b=c.bin"`,
		`q"uote.bin`:                      `attachment;filename="q\"uote.bin"`,
		`back\slash`:                      `attachment;filename="back\\slash"`,
		"at@.bin":                         `attachment;filename="at@.bin"`,
		"{brace}~`^|!$#.bin":              "attachment;filename={brace}~`^|!$#.bin",
		strings.Repeat("n", 78):           "attachment;filename=" + strings.Repeat("n", 78),
		strings.Repeat("n", 86) + ".bin":  "attachment;filename=" + strings.Repeat("n", 78),
		strings.Repeat("n", 78) + "[日].b": "attachment;filename=" + strings.Repeat("n", 78),
		"ü.bin":                           "attachment;filename=\xfc.bin",
		"日本 (1).bin":                      "attachment;filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%281%29.bin",
		strings.Repeat("日", 80):           "attachment;filename*=UTF-8''" + strings.Repeat("%E6%97%A5", 78),
		"bell\a.bin":                      "attachment;filename*=UTF-8''bell%07.bin",
		"broken\xff.bin":                  "attachment;filename*=UTF-8''broken%FF.bin",
	} {
		f := fileOf(t, name, []byte("x"))
		s := serve(t, f, download.Options{})
		got := do(t, s, "GET")
		if diff := cmp.Diff(want, got.header.Get("Content-Disposition")); diff != "" {
			t.Errorf("name %q (-want +got):\n%s", name, diff)
		}
		if _, params, err := mime.ParseMediaType(got.header.Get("Content-Disposition")); name == "日本 (1).bin" && (err != nil || params["filename"] != name) {
			t.Errorf("name %q reads back as %q, %v", name, params["filename"], err)
		}
	}
}

func TestRefusedBeforeAnything(t *testing.T) {
	t.Parallel()
	good := fileOf(t, "fw.bin", content(100))
	away := fault.New(fault.BinaryMissing, "not there")
	missing, damaged, broken := good, good, good
	missing.Open = func() (io.ReadSeekCloser, error) { return nil, away }
	damaged.Size = 101
	broken.Name = "a\nb"
	for name, test := range map[string]struct {
		file download.File
		kind fault.Kind
	}{
		"missing": {missing, fault.BinaryMissing}, "damaged": {damaged, fault.BinaryMissing}, "line break": {broken, fault.Invalid},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := httptest.NewRecorder()
			err := download.Serve(w, httptest.NewRequest(method, "/", nil), test.file, download.Options{})
			if !fault.Is(err, test.kind) {
				t.Errorf("%s %s: %v, want kind %d", method, name, err, test.kind)
			}
			if w.Body.Len() > 0 || len(w.Header()) > 0 {
				t.Errorf("%s %s wrote %v %q", method, name, w.Header(), w.Body)
			}
		}
	}
}

func TestPartial(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	if download.Partial(r) {
		t.Error("no Range, but partial")
	}
	r.Header["Range"] = []string{""}
	if !download.Partial(r) {
		t.Error("an empty Range is one")
	}
	r.Method = "HEAD"
	if download.Partial(r) {
		t.Error("HEAD knows no Range")
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size  int
		lines []string
		calls int // at most; the last is the whole body
	}{
		"small":  {100, nil, 1},
		"medium": {200 << 10, nil, 4},
		"large":  {30 << 20, nil, 11},
		"range":  {3 << 20, []string{"Range: bytes=5-"}, 11},
		"parts":  {3 << 20, []string{"Range: bytes=0-9,1000-2000000"}, 12},
	} {
		var (
			mu   sync.Mutex
			sent []int64
		)
		f := fileOf(t, "fw.bin", content(test.size))
		s := serve(t, f, download.Options{Progress: func(n int64) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, n)
		}})
		got := do(t, s, "GET", test.lines...)
		s.Close() // the handler has returned
		mu.Lock()
		if len(sent) == 0 || len(sent) > test.calls || len(sent) < test.calls-2 || sent[len(sent)-1] != int64(len(got.body)) {
			t.Errorf("%s: %d bytes, progress %v", name, len(got.body), sent)
		}
		for i := 1; i < len(sent); i++ {
			if sent[i] <= sent[i-1] {
				t.Errorf("%s: progress does not grow: %v", name, sent)
			}
		}
		mu.Unlock()
		if got := do(t, serve(t, f, download.Options{Progress: func(int64) { t.Errorf("%s: progress of a HEAD", name) }}), "HEAD"); got.status != http.StatusOK {
			t.Error(got.status)
		}
	}
}

// A client that goes away is told to Broken; one that stays never sees a part
// as the whole.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(64<<20))
	broken := make(chan int64, 1)
	s := serve(t, f, download.Options{Broken: func(sent int64, _ error) { broken <- sent }})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if sent := <-broken; sent <= 0 || sent >= f.Size {
		t.Errorf("broken off after %d bytes", sent)
	}

	shrinking := fileOf(t, "fw.bin", content(1<<20))
	open := shrinking.Open
	shrinking.Open = func() (io.ReadSeekCloser, error) {
		c, err := open()
		return &truncated{c, 100_000}, err
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := download.Serve(w, r, shrinking, download.Options{Broken: func(sent int64, _ error) { broken <- sent }}); err != nil {
				t.Error(err)
			}
		}))
		s.EnableHTTP2 = protocol == "HTTP/2.0"
		s.StartTLS()
		defer s.Close()
		answer, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if n, err := io.Copy(io.Discard, answer.Body); answer.Proto != protocol || !errors.Is(err, io.ErrUnexpectedEOF) || n != 100_000 {
			t.Errorf("%s: read %d bytes, %v", answer.Proto, n, err)
		}
		if sent := <-broken; sent != 100_000 {
			t.Errorf("%s: broken off after %d bytes", protocol, sent)
		}
	}
}

// truncated ends before its size says.
type truncated struct {
	io.ReadSeekCloser
	left int
}

func (r *truncated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.ReadSeekCloser.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// The deadline of each section replaces that of the server.
func TestWriteBy(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(64<<20))
	get := func(o download.Options) (int64, error) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := download.Serve(w, r, f, o); err != nil {
				t.Error(err)
			}
		}))
		s.Config.WriteTimeout = 300 * time.Millisecond
		s.Start()
		defer s.Close()
		answer, err := s.Client().Get(s.URL)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if _, err := io.CopyN(io.Discard, answer.Body, 1000); err != nil {
			return 0, err
		}
		time.Sleep(600 * time.Millisecond) // a slow client
		n, err := io.Copy(io.Discard, answer.Body)
		return n + 1000, err
	}
	if n, err := get(download.Options{}); err == nil {
		t.Errorf("the server's timeout does not cut: %d bytes", n)
	}
	if n, err := get(download.Options{WriteBy: func() time.Time { return time.Now().Add(20 * time.Second) }}); err != nil || n != f.Size {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// spy sees what a ResponseWriter is given to read from.
type spy struct {
	http.ResponseWriter
	fromFile, copied int64
}

func (s *spy) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.copied += int64(n)
	return n, err
}

func (s *spy) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	n, err := s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
	if ok {
		s.fromFile += n
	}
	return n, err
}

func TestKernelCanTakeOver(t *testing.T) {
	t.Parallel()
	f := fileOf(t, "fw.bin", content(20<<20))
	head := func(span string) string {
		return "--THIS_STRING_SEPARATES_MULTIPART\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes " + span + "/20971520\r\n\r\n"
	}
	for name, test := range map[string]struct {
		line             string
		fromFile, copied int64
	}{
		"whole": {"X: y", 20 << 20, 0},
		"range": {"Range: bytes=1000-", 20<<20 - 1000, 0},
		"parts": {"Range: bytes=0-999,1000-1999", 2000, int64(len(head("0-999")) + len("\r\n"+head("1000-1999")+"\r\n--THIS_STRING_SEPARATES_MULTIPART--"))},
	} {
		seen := make(chan *spy, 1)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			spy := &spy{ResponseWriter: w}
			if err := download.Serve(spy, r, f, download.Options{Progress: func(int64) {}}); err != nil {
				t.Error(err)
			}
			seen <- spy
		}))
		do(t, s, "GET", test.line)
		if got := <-seen; got.fromFile != test.fromFile || got.copied != test.copied {
			t.Errorf("%s: %d bytes by the file and %d by copying, want %d and %d", name, got.fromFile, got.copied, test.fromFile, test.copied)
		}
		s.Close()
	}
}

func TestServeMD5Sum(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ disposition, body string }{
		"fw.bin":         {"attachment;filename=fw.bin.MD5SUM", "0cc1  fw.bin"},
		"semi;colon.bin": {"attachment;filename=semi;colon.bin.MD5SUM", "0cc1  semi;colon.bin"},
		"ü.bin":          {"attachment;filename=\xfc.bin.MD5SUM", "0cc1  ?.bin"},
		"日本.bin":         {"", "0cc1  ??.bin"},
		"😀":              {"", "0cc1  ?"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { download.ServeMD5Sum(w, r, name, "0cc1") }))
		for _, method := range []string{"GET", "HEAD"} {
			got := do(t, s, method, "Range: bytes=0-1", "If-Match: x")
			want := map[string]string{"Content-Type": "text/plain", "Content-Length": strconv.Itoa(len(test.body)), "X-Content-Type-Options": "nosniff"}
			if test.disposition != "" {
				want["Content-Disposition"] = test.disposition
			}
			wantHeader(t, got.header, want)
			if got.status != http.StatusOK || method == "GET" && string(got.body) != test.body {
				t.Errorf("%s %s: status %d, body %q", method, name, got.status, got.body)
			}
		}
		s.Close()
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, header := range []string{"bytes=0-9,20-29", "bytes=-1", "bytes=5-", "bytes=20-29,0-9,-3", "bytes=", "bytes=0-0,0-0", "bytes=1-9223372036854775807"} {
		f.Add(header, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		spans, ok := download.ParseRanges(header, size)
		if !ok {
			return
		}
		if len(spans) == 0 || len(spans) != strings.Count(header, ",")+1 {
			t.Fatalf("%q of %d: %v", header, size, spans)
		}
		behind := int64(0)
		canonical := "bytes="
		for i, s := range spans {
			if s[0] < behind || s[1] <= s[0] || s[1] > size {
				t.Fatalf("%q of %d: %v is empty, outside, or not sorted and disjoint", header, size, spans)
			}
			behind = s[1]
			if i > 0 {
				canonical += ","
			}
			canonical += fmt.Sprintf("%d-%d", s[0], s[1]-1)
		}
		if again, ok := download.ParseRanges(canonical, size); !ok || !cmp.Equal(spans, again) {
			t.Fatalf("%q of %d: %v reads back as %v", header, size, spans, again)
		}
	})
}

func FuzzContentDisposition(f *testing.F) {
	for _, name := range []string{"fw.bin", "a;b", `q"\`, "ü", "日本", "\x00", "\xff", "a\r\nSet-Cookie: b", strings.Repeat("[", 100)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		value, err := download.ContentDisposition(name)
		if err != nil {
			if !strings.ContainsAny(name, "\r\n") {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		for i := range len(value) {
			if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
				t.Fatalf("%q: control character in %q", name, value)
			}
		}
		rest, ok := strings.CutPrefix(value, "attachment;filename")
		if !ok || len(value) > 1000 {
			t.Fatalf("%q: %q", name, value)
		}
		if quoted, ok := strings.CutPrefix(rest, `="`); ok {
			inside := strings.NewReplacer(`\\`, "", `\"`, "").Replace(strings.TrimSuffix(quoted, `"`))
			if !strings.HasSuffix(quoted, `"`) || strings.ContainsAny(inside, `"\`) {
				t.Fatalf("%q: %q does not end where it should", name, value)
			}
		} else if strings.ContainsAny(rest[1:], `;,"\<>()[]?/:@=`) && !strings.HasPrefix(rest, "*=") {
			t.Fatalf("%q: separators without quotes in %q", name, value)
		}
	})
}
