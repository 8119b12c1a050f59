package download

import (
	"strings"

	"github.com/otaria/otaria/fault"
)

// maxName is how many characters of a file name are sent.
const maxName = 78

// contentDisposition returns the header's value for a file name (1.15, A.10):
// cut to 78 characters, quoted only where it holds a separator other than a
// blank, in Latin-1. A name that Latin-1 or a header cannot carry is sent in
// the extended notation of RFC 8187 alone: clients that do not know that take
// the name from the URL, as they do without the header.
func contentDisposition(name string) (string, error) {
	if strings.ContainsAny(name, "\r\n") {
		return "", fault.New(fault.Invalid, "The file name %q has a line break, which no HTTP header can carry. Upload the file again under another name.", name)
	}
	name = cut(name, maxName)
	latin1, ok := toLatin1(name)
	switch {
	case !ok:
		return "attachment;filename*=UTF-8''" + extended(name), nil
	case strings.ContainsAny(latin1, `()<>@,;:\"/[]?=`):
		return `attachment;filename="` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(latin1) + `"`, nil
	default:
		return "attachment;filename=" + latin1, nil
	}
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// toLatin1 encodes text for a header. It reports false if a character is
// neither in Latin-1 nor harmless in a header: headers carry no control
// characters but tabs.
func toLatin1(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff || r < ' ' && r != '\t' || r == 0x7f {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}

// extended percent-encodes all but the attr-char of RFC 8187.
func extended(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', strings.IndexByte("!#$&+-.^_`|~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
