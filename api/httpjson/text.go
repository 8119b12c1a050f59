package httpjson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// errEncoding says that a body is not in the encoding that it says or seems to be in.
var errEncoding = errors.New("its bytes are no text in the encoding it is sent in")

// knownCharset reports whether toUTF8 knows the charset.
func knownCharset(name string) bool {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be",
		"iso-8859-1", "latin1", "us-ascii", "ascii":
		return true
	}
	return false
}

// toUTF8 turns a JSON text into UTF-8 without byte order mark. Of Unicode, the
// encoding is detected by the mark or by where the zeros of the first character
// stand, whatever the charset parameter says; a charset of one byte is obeyed.
func toUTF8(b []byte, charset string) ([]byte, error) {
	switch strings.ToLower(charset) {
	case "iso-8859-1", "latin1":
		out := make([]byte, 0, len(b)+len(b)/8)
		for _, c := range b {
			out = utf8.AppendRune(out, rune(c))
		}
		return out, nil
	}
	var z [4]bool // which of the first four bytes are zero
	for i := range min(len(b), 4) {
		z[i] = b[i] == 0
	}
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		b = b[3:]
	case bytes.HasPrefix(b, []byte{0, 0, 0xfe, 0xff}):
		return fromUTF32(b[4:], binary.BigEndian)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe, 0, 0}):
		return fromUTF32(b[4:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return fromUTF16(b[2:], binary.BigEndian)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return fromUTF16(b[2:], binary.LittleEndian)
	case len(b) >= 4 && z[0] && z[1] && z[2] && !z[3]:
		return fromUTF32(b, binary.BigEndian)
	case len(b) >= 4 && !z[0] && z[1] && z[2] && z[3]:
		return fromUTF32(b, binary.LittleEndian)
	case len(b) >= 2 && z[0] && !z[1]:
		return fromUTF16(b, binary.BigEndian)
	case len(b) >= 2 && !z[0] && z[1]:
		return fromUTF16(b, binary.LittleEndian)
	}
	if !utf8.Valid(b) {
		return nil, errEncoding
	}
	return b, nil
}

func fromUTF16(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errEncoding
	}
	out := make([]byte, 0, len(b))
	for ; len(b) > 0; b = b[2:] {
		r := rune(order.Uint16(b))
		if utf16.IsSurrogate(r) && len(b) >= 4 {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(b[2:]))); pair != utf8.RuneError {
				r, b = pair, b[2:]
			}
		}
		out = utf8.AppendRune(out, r) // half a pair becomes U+FFFD, as an escaped one does
	}
	return out, nil
}

func fromUTF32(b []byte, order binary.ByteOrder) ([]byte, error) {
	if len(b)%4 != 0 {
		return nil, errEncoding
	}
	out := make([]byte, 0, len(b)/2)
	for ; len(b) > 0; b = b[4:] {
		r := order.Uint32(b)
		if r > utf8.MaxRune {
			return nil, errEncoding
		}
		out = utf8.AppendRune(out, rune(r))
	}
	return out, nil
}
