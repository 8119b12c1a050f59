package freetext

import "strings"

// HasMarkup reports whether an XML reader would find a tag, a comment or a
// declaration in s (management API 1.12, device API A.6):
//
//   - "<" and an ASCII letter, up to a ">" outside quoted attribute values;
//   - "<!" whatever follows, closed or not, except a CDATA section, whose content is text;
//   - "<?" with a ">" behind it;
//   - "</" and something that is neither a letter nor ">", closed or not.
//
// A tag that is not closed, an end tag alone, "<" before anything else, ">" and
// entities are text. It takes time linear in the length of s.
func HasMarkup(s string) bool {
	lastClose := strings.LastIndexByte(s, '>')
	for i := strings.IndexByte(s, '<'); i >= 0; {
		rest := s[i+1:]
		i++
		switch {
		case rest == "":
			return false
		case isLetter(rest[0]):
			// A tag that never closes swallows all that follows.
			return closes(rest)
		case strings.HasPrefix(rest, cdataOpen):
			end := strings.Index(rest, cdataClose)
			if end < 0 {
				return false
			}
			i += end + len(cdataClose)
		case rest[0] == '!':
			return true
		case rest[0] == '?':
			if lastClose > i {
				return true
			}
		case rest[0] == '/':
			if len(rest) > 1 && rest[1] != '>' && !isLetter(rest[1]) {
				return true
			}
		}
		next := strings.IndexByte(s[i:], '<')
		if next < 0 {
			return false
		}
		i += next
	}
	return false
}

const (
	cdataOpen  = "![CDATA["
	cdataClose = "]]>"
)

// closes reports whether the tag whose name tag begins with ends. Quotes count
// only where the value of an attribute begins; elsewhere they are characters
// like others.
func closes(tag string) bool {
	at := func(chars string, from int) int { // the next of chars, or the end
		if n := strings.IndexAny(tag[from:], chars); n >= 0 {
			return from + n
		}
		return len(tag)
	}
	skip := func(chars string, from int) int { // behind a run of chars
		return len(tag) - len(strings.TrimLeft(tag[from:], chars))
	}
	const blank = " \t\n\f\r"

	i := at(blank+"/>", 0)
	for {
		i = skip(blank+"/", i)
		if i == len(tag) || tag[i] == '>' {
			return i < len(tag)
		}
		// An attribute's name may begin with "=", its value follows another one.
		i = skip(blank, at(blank+"/>=", i+1))
		if i == len(tag) || tag[i] != '=' {
			continue
		}
		i = skip(blank, i+1)
		switch {
		case i == len(tag):
			return false
		case tag[i] == '"' || tag[i] == '\'':
			end := strings.IndexByte(tag[i+1:], tag[i])
			if end < 0 {
				return false
			}
			i += 1 + end + 1
		default:
			i = at(blank+">", i)
		}
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
