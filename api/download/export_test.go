package download

// ParseRanges is parseRanges for the fuzz test.
func ParseRanges(header string, size int64) (spans [][2]int64, ok bool) {
	parsed, ok := parseRanges(header, size)
	for _, s := range parsed {
		spans = append(spans, [2]int64{s.start, s.end})
	}
	return spans, ok
}

// ContentDisposition is contentDisposition for the fuzz test.
func ContentDisposition(name string) (string, error) { return contentDisposition(name) }
