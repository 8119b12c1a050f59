// Package download serves the bytes of an artifact over HTTP, by the rules that
// the management API (1.15) and the device API (A.10) share: ranges, conditions,
// and the headers that installers rely on.
//
// It is stricter than [http.ServeContent] where clients in the field count on
// it: any flaw in a Range is answered with 416, a range that begins at the end
// of the file too, which clients read as "already complete".
//
// The bytes go from the file to the connection by the kernel (sendfile), as
// long as the file is an *os.File and whatever wraps the ResponseWriter keeps
// io.ReaderFrom.
package download

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/otaria/otaria/fault"
)

// A File is what is downloaded.
type File struct {
	Name    string
	Size    int64
	SHA1    string    // lower-case hex; the ETag
	Created time.Time // Last-Modified

	// Open opens the bytes. It is called at most once, and Serve closes what it
	// returns.
	Open func() (io.ReadSeekCloser, error)
}

// Options of one answer. The zero value will do.
type Options struct {
	// Progress is told how many bytes of the body were sent so far, after about
	// every tenth of it and at its end. Not called for HEAD and empty bodies.
	Progress func(sent int64)

	// Broken is told when the answer breaks off after it has begun, and how many
	// bytes of the body were sent: most often because the client is gone. A log
	// line is all that can be made of it.
	Broken func(sent int64, err error)

	// WriteBy says until when the client must have taken the next part of at
	// most 8 MiB. Without it, the server's own WriteTimeout holds for the body as
	// a whole, and cuts long downloads.
	WriteBy func() time.Time
}

// section is the most that is sent between two deadlines.
const section = 8 << 20

// Serve answers GET and HEAD for the file. It returns an error only while
// nothing is written yet: what File.Open returned, BinaryMissing where the bytes
// are not as many as they should be, or Invalid for a name with a line break.
// When the answer breaks off later, the connection ends before the announced
// length, so that no client takes the part for the whole.
//
// The caller checks access first, and sets what headers its API has on every
// answer.
func Serve(w http.ResponseWriter, r *http.Request, f File, o Options) error {
	if PreconditionFailed(w, r, f.SHA1) {
		return nil
	}
	disposition, err := contentDisposition(f.Name)
	if err != nil {
		return err
	}
	content, err := f.Open()
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // only read
	if size, err := content.Seek(0, io.SeekEnd); err != nil || size != f.Size {
		return fault.Wrap(fault.BinaryMissing, errors.Join(fmt.Errorf("size %d, want %d", size, f.Size), err),
			"The content of %s is damaged in the artifact store. Restore the store from a backup, or delete the artifact and upload it again.", f.Name)
	}

	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", disposition)
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+f.SHA1+`"`)
	h.Set("Last-Modified", f.Created.UTC().Format(http.TimeFormat))

	a := answer{w: w, content: content, size: f.Size, options: o}
	switch {
	case r.Method == http.MethodHead:
		h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	case !Partial(r) || !rangeApplies(r, f):
		a.whole()
	default:
		ranges, ok := parseRanges(r.Header.Get("Range"), f.Size)
		switch {
		case !ok:
			a.notSatisfiable()
		case len(ranges) == 1:
			a.part(ranges[0])
		default:
			a.parts(ranges)
		}
	}
	return nil
}

// Partial reports whether the request asks for a part of the file: whether it
// has a Range, good or bad. Such requests leave no trace in an action's history
// (A.10).
func Partial(r *http.Request) bool {
	return r.Method == http.MethodGet && len(r.Header["Range"]) > 0
}

// PreconditionFailed answers 412 and reports true if the request's If-Match
// names other content. Serve does so by itself; the device API asks earlier,
// before access is checked (A.10). Clients send the SHA-1 plain or, as the ETag
// is, quoted: both match, weak tags do not.
func PreconditionFailed(w http.ResponseWriter, r *http.Request, sha1 string) bool {
	lines, given := r.Header["If-Match"]
	if !given {
		return false
	}
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			switch strings.Trim(tag, " \t") {
			case "*", sha1, `"` + sha1 + `"`:
				return false
			}
		}
	}
	w.Header().Del("Content-Type")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusPreconditionFailed)
	return true
}

// rangeApplies reports whether the Range counts: there is no If-Range, or it
// holds the quoted tag or a date that is not before the file's. Dates have whole
// seconds, and so that of the file is cut to them: the Last-Modified we sent
// counts.
func rangeApplies(r *http.Request, f File) bool {
	lines, given := r.Header["If-Range"]
	if !given {
		return true
	}
	if lines[0] == `"`+f.SHA1+`"` {
		return true
	}
	date, err := http.ParseTime(lines[0])
	return err == nil && !date.Before(f.Created.Truncate(time.Second))
}

// An answer with a body.
type answer struct {
	w       http.ResponseWriter
	content io.ReadSeeker
	size    int64 // of the file
	options Options

	length int64 // of the body
	sent   int64 // of the body
}

func (a *answer) begin(status int, length int64) {
	a.length = length
	a.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	a.w.WriteHeader(status)
}

func (a *answer) whole() {
	a.begin(http.StatusOK, a.size)
	a.end(a.copy(span{0, a.size}))
}

func (a *answer) notSatisfiable() {
	a.w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(a.size, 10))
	a.begin(http.StatusRequestedRangeNotSatisfiable, 0)
}

func (a *answer) part(s span) {
	a.w.Header().Set("Content-Range", s.contentRange(a.size))
	a.begin(http.StatusPartialContent, s.length())
	a.end(a.copy(s))
}

// boundary is what clients know from hawkBit. Content that contains it does no
// harm: every part has a Content-Range, and the whole has a length.
const boundary = "THIS_STRING_SEPARATES_MULTIPART"

func (a *answer) parts(spans []span) {
	const end = "\r\n--" + boundary + "--"
	heads := make([]string, len(spans))
	length := int64(len(end))
	for i, s := range spans {
		heads[i] = "--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: " + s.contentRange(a.size) + "\r\n\r\n"
		if i > 0 {
			heads[i] = "\r\n" + heads[i]
		}
		length += int64(len(heads[i])) + s.length()
	}
	a.w.Header().Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	a.begin(http.StatusPartialContent, length)
	for i, s := range spans {
		if err := a.write(heads[i]); err != nil {
			a.end(err)
			return
		}
		if err := a.copy(s); err != nil {
			a.end(err)
			return
		}
	}
	a.end(a.write(end))
}

func (a *answer) write(text string) error {
	n, err := io.WriteString(a.w, text)
	a.sent += int64(n)
	return err
}

// copy sends a span of the file, in sections. Each is one io.CopyN from the
// file itself, which is what the kernel can take over.
func (a *answer) copy(s span) error {
	if _, err := a.content.Seek(s.start, io.SeekStart); err != nil {
		return err
	}
	step := int64(section)
	if a.options.Progress != nil {
		step = min(step, max(a.length/10, 64<<10))
	}
	tenths := a.tenths()
	for left := s.length(); left > 0; {
		if a.options.WriteBy != nil {
			// A ResponseWriter that has no deadlines keeps what it has.
			_ = http.NewResponseController(a.w).SetWriteDeadline(a.options.WriteBy())
		}
		n, err := io.CopyN(a.w, a.content, min(step, left))
		a.sent += n
		left -= n
		if err != nil {
			return err
		}
		if a.options.Progress != nil && a.sent < a.length && a.tenths() > tenths {
			tenths = a.tenths()
			a.options.Progress(a.sent)
		}
	}
	return nil
}

// tenths returns how many tenths of the body are sent.
func (a *answer) tenths() int64 { return a.sent / max(a.length/10, 1) }

func (a *answer) end(err error) {
	switch {
	case err != nil && a.options.Broken != nil:
		a.options.Broken(a.sent, err)
	case err == nil && a.length > 0 && a.options.Progress != nil:
		a.options.Progress(a.sent)
	}
}
