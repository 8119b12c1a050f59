package httpjson

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// maxBignum bounds a bignum to about the maxDigits that a number in JSON may have.
const maxBignum = 415

// cborToJSON turns one CBOR data item into JSON text (device-apis A.15): tags
// are passed over, bytes become base64 text, bignums numbers. Refused are
// undefined and the other simple values, NaN and infinities, which JSON has
// not, and anything behind the item.
func cborToJSON(b []byte) ([]byte, error) {
	mode, err := cbor.DecOptions{MaxNestedLevels: maxDepth + 4, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode()
	if err != nil {
		return nil, err
	}
	if err := mode.Wellformed(b); err != nil {
		return nil, err
	}
	t := transcoder{in: b}
	if err := t.item(); err != nil {
		return nil, err
	}
	return t.out.Bytes(), nil
}

// A transcoder walks over well-formed CBOR; so it never runs out of input.
type transcoder struct {
	in  []byte
	out bytes.Buffer
}

// The major types of RFC 8949.
const (
	majorUint = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorOther
)

// indefinite is the additional information of an item of open length.
const indefinite = 31

// head reads the head of an item: its major type, its additional information
// and the argument.
func (t *transcoder) head() (major, info byte, arg uint64) {
	major, info = t.in[0]>>5, t.in[0]&31
	t.in = t.in[1:]
	switch info {
	case 24:
		arg, t.in = uint64(t.in[0]), t.in[1:]
	case 25:
		arg, t.in = uint64(binary.BigEndian.Uint16(t.in)), t.in[2:]
	case 26:
		arg, t.in = uint64(binary.BigEndian.Uint32(t.in)), t.in[4:]
	case 27:
		arg, t.in = binary.BigEndian.Uint64(t.in), t.in[8:]
	default:
		arg = uint64(info)
	}
	return major, info, arg
}

// atBreak passes over the end of an item of open length.
func (t *transcoder) atBreak() bool {
	if t.in[0] != 0xff {
		return false
	}
	t.in = t.in[1:]
	return true
}

func (t *transcoder) item() error {
	major, info, arg := t.head()
	var tag uint64
	for major == majorTag {
		tag = arg
		major, info, arg = t.head()
	}
	switch major {
	case majorUint:
		t.out.WriteString(strconv.FormatUint(arg, 10))
	case majorNegative:
		n := new(big.Int).SetUint64(arg)
		t.out.WriteString(n.Not(n).String())
	case majorBytes:
		raw := t.chunks(info, arg)
		if tag == 2 || tag == 3 {
			return t.bignum(raw, tag == 3)
		}
		t.out.WriteByte('"')
		t.out.WriteString(base64.StdEncoding.EncodeToString(raw))
		t.out.WriteByte('"')
	case majorText:
		return t.text(t.chunks(info, arg))
	case majorArray:
		return t.array(info, arg)
	case majorMap:
		return t.object(info, arg)
	default:
		return t.other(info, arg)
	}
	return nil
}

// chunks returns the content of a string, put together where it is of open length.
func (t *transcoder) chunks(info byte, n uint64) []byte {
	if info != indefinite {
		s := t.in[:n]
		t.in = t.in[n:]
		return s
	}
	var all []byte
	for !t.atBreak() {
		_, _, n := t.head()
		all = append(all, t.in[:n]...)
		t.in = t.in[n:]
	}
	return all
}

func (t *transcoder) text(s []byte) error {
	if !utf8.Valid(s) {
		return errEncoding
	}
	return appendJSON(&t.out, string(s))
}

func (t *transcoder) bignum(raw []byte, negative bool) error {
	if len(raw) > maxBignum {
		return errDigits
	}
	n := new(big.Int).SetBytes(raw)
	if negative {
		n.Not(n)
	}
	t.out.WriteString(n.String())
	return nil
}

func (t *transcoder) array(info byte, n uint64) error {
	t.out.WriteByte('[')
	for i := uint64(0); info == indefinite || i < n; i++ {
		if info == indefinite && t.atBreak() {
			break
		}
		if i > 0 {
			t.out.WriteByte(',')
		}
		if err := t.item(); err != nil {
			return err
		}
	}
	t.out.WriteByte(']')
	return nil
}

func (t *transcoder) object(info byte, n uint64) error {
	t.out.WriteByte('{')
	for i := uint64(0); info == indefinite || i < n; i++ {
		if info == indefinite && t.atBreak() {
			break
		}
		if i > 0 {
			t.out.WriteByte(',')
		}
		if err := t.name(); err != nil {
			return err
		}
		t.out.WriteByte(':')
		if err := t.item(); err != nil {
			return err
		}
	}
	t.out.WriteByte('}')
	return nil
}

// name reads the key of a map: text, or an integer, which becomes text.
func (t *transcoder) name() error {
	major, info, arg := t.head()
	for major == majorTag {
		major, info, arg = t.head()
	}
	switch major {
	case majorText:
		return t.text(t.chunks(info, arg))
	case majorUint:
		return t.text(strconv.AppendUint(nil, arg, 10))
	}
	return errors.New("a map has a key that is no text")
}

// other reads a float, a boolean or null.
func (t *transcoder) other(info byte, arg uint64) error {
	var f float64
	switch info {
	case 20:
		t.out.WriteString("false")
		return nil
	case 21:
		t.out.WriteString("true")
		return nil
	case 22:
		t.out.WriteString("null")
		return nil
	case 23:
		return errors.New("it holds undefined, which is no value")
	case 25:
		f = half(uint16(arg))
	case 26:
		f = float64(math.Float32frombits(uint32(arg)))
	case 27:
		f = math.Float64frombits(arg)
	default:
		return fmt.Errorf("it holds the simple value %d, which has no meaning here", arg)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("it holds a float that is no number")
	}
	bits := 64
	if info == 26 {
		bits = 32
	}
	s := strconv.FormatFloat(f, 'g', -1, bits)
	t.out.WriteString(s)
	if !bytes.ContainsAny([]byte(s), ".e") {
		t.out.WriteString(".0") // it stays a fraction: 2.0 read as text is not 2
	}
	return nil
}

// half decodes a float of two bytes (RFC 8949, appendix D).
func half(bits uint16) float64 {
	exp, mant := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(mant, -24)
	case 31:
		f = math.Inf(1)
		if mant != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mant+1024, exp-25)
	}
	if bits&0x8000 != 0 {
		f = -f
	}
	return f
}
