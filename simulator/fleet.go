package simulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Fleet holds the names of devices and, where they have them, their target
// tokens: in one block of memory, because there may be millions.
type Fleet struct {
	text []byte   // for each device "id" or "id token"
	ends []uint32 // where its text ends
}

// NewFleet names count devices by a pattern for [fmt.Sprintf] with one number
// in it, such as sim-%07d. Numbers start at first.
func NewFleet(pattern string, first, count int) (*Fleet, error) {
	f := &Fleet{ends: make([]uint32, 0, max(count, 0))}
	before := ""
	for i := range count {
		id := fmt.Sprintf(pattern, first+i)
		if strings.Contains(id, "%!") || id == before {
			return nil, fmt.Errorf("the pattern %q has to hold one number, such as sim-%%07d", pattern)
		}
		if err := f.Add(id, ""); err != nil {
			return nil, err
		}
		before = id
	}
	return f, nil
}

// ReadFleet reads one device a line: its controller id, and its token behind a
// blank if it has one. It stops after limit devices; 0 means all.
func ReadFleet(r io.Reader, limit int) (*Fleet, error) {
	f := &Fleet{}
	lines := bufio.NewScanner(r)
	for n := 1; (limit == 0 || f.Len() < limit) && lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		id, token, _ := strings.Cut(lines.Text(), " ")
		if err := f.Add(id, token); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of devices: %w", err)
	}
	return f, nil
}

// Add appends a device. An empty token means that it has none.
func (f *Fleet) Add(id, token string) error {
	if id == "" || strings.ContainsAny(id, " \t\r\n\v\f") {
		return fmt.Errorf("%q cannot be a controller id: it is empty or has a blank in it", id)
	}
	if strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("the token of %s has a line break in it", id)
	}
	f.text = append(f.text, id...)
	if token != "" {
		f.text = append(f.text, ' ')
		f.text = append(f.text, token...)
	}
	if len(f.text) > math.MaxUint32 {
		return errors.New("too many devices: their names and tokens fill 4 GiB")
	}
	f.ends = append(f.ends, uint32(len(f.text)))
	return nil
}

// Len tells how many devices there are.
func (f *Fleet) Len() int { return len(f.ends) }

// Device returns the controller id and the token of device i, without a copy:
// the caller must not change them. The token is empty if it has none.
func (f *Fleet) Device(i int) (id, token []byte) {
	from := uint32(0)
	if i > 0 {
		from = f.ends[i-1]
	}
	id, token, _ = bytes.Cut(f.text[from:f.ends[i]], []byte{' '})
	return id, token
}

// WriteTo writes what [ReadFleet] reads.
func (f *Fleet) WriteTo(w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	var written int64
	for i := range f.Len() {
		id, token := f.Device(i)
		n, err := fmt.Fprintf(out, "%s", id)
		if err == nil && len(token) > 0 {
			var more int
			more, err = fmt.Fprintf(out, " %s", token)
			n += more
		}
		if err == nil {
			err = out.WriteByte('\n')
			n++
		}
		written += int64(n)
		if err != nil {
			return written, fmt.Errorf("write the list of devices: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return written, fmt.Errorf("write the list of devices: %w", err)
	}
	return written, nil
}
