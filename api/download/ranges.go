package download

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A span is a part of the file that is not empty: from start up to, but without,
// end.
type span struct{ start, end int64 }

func (s span) length() int64 { return s.end - s.start }

// contentRange returns the value of Content-Range, whose ends are both included.
func (s span) contentRange(size int64) string {
	return "bytes " + strconv.FormatInt(s.start, 10) + "-" + strconv.FormatInt(s.end-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// maxRanges is how many ranges one request may name: each costs some hundred
// bytes of answer and a move in the file.
const maxRanges = 1000

// parseRanges reads the value of a Range header for a file of the size. It
// returns the spans in the order of the file, which do not overlap but may
// touch. Any flaw makes it fail as a whole (1.15, A.10): another unit or case,
// blanks, an empty element, a range that is empty, overlaps another one or
// begins behind the file, a suffix longer than the file.
func parseRanges(header string, size int64) ([]span, bool) {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Count(list, ",") >= maxRanges {
		return nil, false
	}
	var spans []span
	for element := range strings.SplitSeq(list, ",") {
		s, ok := parseRange(element, size)
		if !ok {
			return nil, false
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end {
			return nil, false
		}
	}
	return spans, true
}

// parseRange reads "first-last", "first-" or "-count".
func parseRange(element string, size int64) (span, bool) {
	first, last, ok := strings.Cut(element, "-")
	if !ok || first == "" && last == "" {
		return span{}, false
	}
	start, startOK := number(first)
	end, endOK := number(last)
	switch {
	case first == "":
		return span{size - end, size}, endOK && 0 < end && end <= size
	case last == "":
		return span{start, size}, startOK && start < size
	default:
		return span{start, min(end, size-1) + 1}, startOK && endOK && start <= end && start < size
	}
}

// number reads digits and nothing else.
func number(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
