package download

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ServeMD5Sum answers with the file that md5sum -c reads (A.10). The name is
// spelled as the client spelled it, without the suffix; characters beyond ASCII
// become "?" in the body. Ranges and conditions are not looked at.
func ServeMD5Sum(w http.ResponseWriter, r *http.Request, name, md5 string) {
	body := md5 + "  " + strings.Map(func(c rune) rune {
		if c > 0x7f {
			return '?'
		}
		return c
	}, name)
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("X-Content-Type-Options", "nosniff")
	if latin1, ok := toLatin1(name); ok { // never quoted, never cut
		h.Set("Content-Disposition", "attachment;filename="+latin1+".MD5SUM")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body) // a client that is gone needs no answer
	}
}
