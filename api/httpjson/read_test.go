package httpjson_test

import (
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
)

type execution string

func (execution) Literals() []string { return []string{"closed", "proceeding", "canceled"} }

type finished int

func (finished) Literals() []string { return []string{"success", "failure", "none"} }

type progress struct {
	Cnt *int32 `json:"cnt"`
	Of  *int32 `json:"of"`
}

type result struct {
	Finished finished  `json:"finished" bind:"required"`
	Progress *progress `json:"progress"`
}

type status struct {
	Execution execution `json:"execution" bind:"required"`
	Result    *result   `json:"result" bind:"required"`
	Code      *int32    `json:"code"`
	Details   []*string `json:"details"`
}

type feedback struct {
	Timestamp *int64  `json:"timestamp"`
	Status    *status `json:"status" bind:"required"`
}

// TestFeedback replays what devices send to the model (ddi_feedback).
func TestFeedback(t *testing.T) {
	t.Parallel()
	p := func(rest string) string {
		return `{"status":{"execution":"proceeding","result":{"finished":"none"}` + rest + `}}`
	}
	tests := []struct {
		name, body string
		want       string // "" if taken, else the message
	}{
		{"plain", p(``), ""},
		{"details a string", p(`,"details":"one text"`), ""},
		{"details list with null", p(`,"details":["a",null]`), ""},
		{"details empty string", p(`,"details":""`), ""},
		{"details null", p(`,"details":null`), ""},
		{"details numbers and booleans", p(`,"details":[1,2.5,true]`), ""},
		{"details nested list", p(`,"details":[["a"]]`), "status.details[0]: a list stands where a text belongs"},
		{"details object", p(`,"details":{"a":"b"}`), "status.details: an object stands where a text belongs"},
		{"code as padded string", p(`,"code":" 203 "`), ""},
		{"code as empty string", p(`,"code":""`), ""},
		{"code as word", p(`,"code":"abc"`), `status.code: "abc" is no whole number`},
		{"code 2.7", p(`,"code":2.7`), ""},
		{"code largest", p(`,"code":2147483647`), ""},
		{"code too large", p(`,"code":2147483648`), "status.code: 2147483648 is outside of the range from -2147483648 to 2147483647"},
		{"code boolean", p(`,"code":true`), "status.code: true is no whole number"},
		{"code list", p(`,"code":[1]`), "status.code: a list is no whole number"},
		{"execution with blank", `{"status":{"execution":"proceeding ","result":{"finished":"none"}}}`, ""},
		{"execution in upper case", `{"status":{"execution":"CLOSED","result":{"finished":"none"}}}`, `status.execution: "CLOSED" is none of closed, proceeding, canceled`},
		{"execution by position", `{"status":{"execution":1,"result":{"finished":"2"}}}`, ""},
		{"execution beyond", `{"status":{"execution":3,"result":{"finished":"2"}}}`, `status.execution: 3 is none of closed, proceeding, canceled`},
		{"execution empty", `{"status":{"execution":"","result":{"finished":"none"}}}`, `status.execution: "" is none of closed, proceeding, canceled`},
		{"execution boolean", `{"status":{"execution":true,"result":{"finished":"none"}}}`, `status.execution: true is none of closed, proceeding, canceled`},
		{"execution list", `{"status":{"execution":["closed"],"result":{"finished":"none"}}}`, `status.execution: a list is none of closed, proceeding, canceled`},
		{"execution missing", `{"status":{"result":{"finished":"none"}}}`, "status.execution: is missing"},
		{"execution null", `{"status":{"execution":null,"result":{"finished":"none"}}}`, "status.execution: must not be null"},
		{"result text", `{"status":{"execution":"proceeding","result":"none"}}`, `status.result: "none" stands where an object belongs`},
		{"result empty text", `{"status":{"execution":"proceeding","result":""}}`, `status.result: "" stands where an object belongs`},
		{"finished maybe", `{"status":{"execution":"proceeding","result":{"finished":"maybe"}}}`, `status.result.finished: "maybe" is none of success, failure, none`},
		{"progress text", `{"status":{"execution":"proceeding","result":{"finished":"none","progress":"50 %"}}}`, `status.result.progress: "50 %" stands where an object belongs`},
		{"progress list of one", `{"status":{"execution":"proceeding","result":{"finished":"none","progress":[{"cnt":1}]}}}`, `status.result.progress: a list stands where an object belongs`},
		{"progress with digits as text", `{"status":{"execution":"proceeding","result":{"finished":"none","progress":{"cnt":"2","of":5.5,"x":1}}}}`, ""},
		{"timestamp with fraction", `{"timestamp":1600000000000.5,"status":{"execution":"closed","result":{"finished":"none"}}}`, ""},
		{"timestamp ISO", `{"timestamp":"2024-01-02T03:04:05Z","status":{"execution":"closed","result":{"finished":"none"}}}`, `timestamp: "2024-01-02T03:04:05Z" is no whole number`},
		{"timestamp too large", `{"timestamp":9223372036854775808,"status":{"execution":"closed","result":{"finished":"none"}}}`, "timestamp: 9223372036854775808 is outside of the range from -9223372036854775808 to 9223372036854775807"},
		{"member twice", `{"status":{"execution":"proceeding","result":{"finished":"maybe","finished":"none"}}}`, ""},
		{"list", `[]`, "The body does not fit: a list stands where an object belongs"},
		{"null", `null`, "The body is null; send a document."},
		{"empty", ``, "The body is no readable JSON: it is empty."},
		{"blank", "  \n", "The body is no readable JSON: it is empty."},
		{"status null", `{"status":null}`, "status: must not be null"},
		{"empty object", `{}`, "status: is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f feedback
			err := httpjson.DecodeJSON([]byte(tt.body), "", &f)
			if got := message(t, err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// message returns the message of an Unreadable, "" for no error.
func message(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unreadable {
		t.Fatalf("not an Unreadable: %v", err)
	}
	return f.Message
}

func TestReadValues(t *testing.T) {
	t.Parallel()
	body := `{"status":{"execution":" closed ","result":{"finished":1,"progress":{"cnt":"+2","of":5.9}},"code":"","details":[1.50,true,"x",null]},"timestamp":16e11}`
	var got feedback
	if err := httpjson.DecodeJSON([]byte(body), "", &got); err != nil {
		t.Fatal(err)
	}
	want := feedback{Timestamp: new(int64(1600000000000)), Status: &status{
		Execution: "closed",
		Result:    &result{Finished: 1, Progress: &progress{Cnt: new(int32(2)), Of: new(int32(5))}},
		Details:   []*string{new("1.50"), new("true"), new("x"), nil},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type lenient struct {
	Name    *string            `json:"name"`
	Weight  *int               `json:"weight"`
	Float   *float32           `json:"float"`
	Confirm *bool              `json:"confirm"`
	Dynamic bool               `json:"dynamic" bind:"primitive"`
	Min     int32              `json:"min" bind:"primitive"`
	Keys    []string           `json:"keys"`
	Data    map[string]*string `json:"data"`
	Any     any                `json:"any"`
}

func TestCoercion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body string
		want lenient
		err  string
	}{
		{body: `{"name":5.50}`, want: lenient{Name: new("5.50")}},
		{body: `{"name":123456789012345678901234567890}`, want: lenient{Name: new("123456789012345678901234567890")}},
		{body: `{"name":true}`, want: lenient{Name: new("true")}},
		{body: `{"name":""}`, want: lenient{Name: new("")}},
		{body: `{"name":{}}`, err: "name: an object stands where a text belongs"},
		{body: `{"name":[]}`, err: "name: a list stands where a text belongs"},
		{body: `{"Name":"x"}`},
		{body: `{"name":"\ud83d"}`, want: lenient{Name: new("\ufffd")}},
		{body: `{"name":"a\u0000b\/"}`, want: lenient{Name: new("a\x00b/")}},
		{body: `{"weight":3.9}`, want: lenient{Weight: new(3)}},
		{body: `{"weight":-3.9}`, want: lenient{Weight: new(-3)}},
		{body: `{"weight":-0.5}`, want: lenient{Weight: new(0)}},
		{body: `{"weight":"-12"}`, want: lenient{Weight: new(-12)}},
		{body: `{"weight":"12.0"}`, err: `weight: "12.0" is no whole number`},
		{body: `{"weight":"0x1"}`, err: `weight: "0x1" is no whole number`},
		{body: `{"weight":"1_0"}`, err: `weight: "1_0" is no whole number`},
		{body: `{"weight":"+-1"}`, err: `weight: "+-1" is no whole number`},
		{body: `{"weight":1e400}`, err: `weight: 1e400 is outside of the range from -9223372036854775808 to 9223372036854775807`},
		{body: `{"weight":1e-400}`, want: lenient{Weight: new(0)}},
		{body: `{"weight":"  "}`},
		{body: `{"float":"2.5"}`, want: lenient{Float: new(float32(2.5))}},
		{body: `{"float":"NaN"}`, err: `float: "NaN" is no number`},
		{body: `{"float":true}`, err: `float: true is no number`},
		{body: `{"confirm":"TRUE"}`, want: lenient{Confirm: new(true)}},
		{body: `{"confirm":" False "}`, want: lenient{Confirm: new(false)}},
		{body: `{"confirm":1}`, want: lenient{Confirm: new(true)}},
		{body: `{"confirm":-0}`, want: lenient{Confirm: new(false)}},
		{body: `{"confirm":0.5}`, err: `confirm: 0.5 is neither true nor false`},
		{body: `{"confirm":"yes"}`, err: `confirm: "yes" is neither true nor false`},
		{body: `{"confirm":"tRUE"}`, err: `confirm: "tRUE" is neither true nor false`},
		{body: `{"confirm":"","weight":null}`},
		{body: `{"dynamic":null}`, err: `dynamic: must not be null`},
		{body: `{"dynamic":""}`, err: `dynamic: must not be empty`},
		{body: `{"min":" "}`, err: `min: must not be empty`},
		{body: `{"min":1}`, want: lenient{Min: 1}},
		{body: `{"keys":"one"}`, want: lenient{Keys: []string{"one"}}},
		{body: `{"keys":[]}`, want: lenient{Keys: []string{}}},
		{body: `{"keys":["a",5]}`, want: lenient{Keys: []string{"a", "5"}}},
		{body: `{"keys":["a",null]}`, err: `keys[1]: must not be null`},
		{body: `{"keys":{"a":[]}}`, err: `keys: an object stands where a text belongs`},
		{body: `{"data":{"a":1.50,"b":null,"a":"2"}}`, want: lenient{Data: map[string]*string{"a": new("2"), "b": nil}}},
		{body: `{"data":{"a":[]}}`, err: `data.a: a list stands where a text belongs`},
		{body: `{"data":[]}`, err: `data: a list stands where an object belongs`},
		{body: `{"data":""}`, err: `data: "" stands where an object belongs`},
		{body: `{"any":["x",true]}`, want: lenient{Any: []any{"x", true}}},
		{body: ` {"unknown":{"x":[1,{"]":"}"}]}, "na\u006de" : "x" } ` + "\r\n", want: lenient{Name: new("x")}},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) {
			t.Parallel()
			var got lenient
			err := httpjson.DecodeJSON([]byte(tt.body), "", &got)
			if m := message(t, err); m != tt.err {
				t.Fatalf("got %q, want %q", m, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	type tag struct {
		Name string `json:"name"`
	}
	tests := []struct {
		body string
		want []tag
		err  string
	}{
		{body: `[]`, want: []tag{}},
		{body: `{"name":"bare"}`, want: []tag{{"bare"}}},
		{body: `[{"name":"a"},{"name":"b"}]`, want: []tag{{"a"}, {"b"}}},
		{body: `[[{"name":"a"}]]`, err: "[0]: a list stands where an object belongs"},
		{body: `[null]`, err: "[0]: must not be null"},
		{body: `["text"]`, err: `[0]: "text" stands where an object belongs`},
		{body: `[{"name":"a"},{"name":{}}]`, err: `[1].name: an object stands where a text belongs`},
		{body: `{"name":[]}`, err: `name: a list stands where a text belongs`},
	}
	for _, tt := range tests {
		var got []tag
		err := httpjson.DecodeJSON([]byte(tt.body), "", &got)
		if m := message(t, err); m != tt.err {
			t.Errorf("%s: got %q, want %q", tt.body, m, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Error(tt.body, diff)
		}
	}
}

func TestSyntax(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"name":"comma",}`, `{'name':'single'}`, `{name:"bare"}`, `{"name":"comment"/* here */}`, `{"name":"one"}{"name":"two"}`,
		`{"name":"behind"} nonsense`, `{"name":NaN}`, `{"name":007}`, "{\"name\":\"a\x01b\"}", "{\"name\":\"a\nb\"}", `{"name":"cut"`,
		`"`, `{"name":"\`, `{"name":1.}`, `{"name":.5}`, `{"name":+1}`, `{"name":"\x41"}`, "\x00\x00\x00", "{\"name\":\"\xfc\"}", "\xff",
		`{"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
		`{"x":` + strings.Repeat("1", 1001) + `}`, strings.Repeat("[", 100000), "{\"name\":1}\x00",
	} {
		var got lenient
		if err := httpjson.DecodeJSON([]byte(body), "", &got); message(t, err) == "" {
			t.Errorf("taken: %.60q", body)
		}
	}
	for _, body := range []string{
		`{"x":` + strings.Repeat("[", 499) + strings.Repeat("]", 499) + `}`,
		`{"x":` + strings.Repeat("1", 1000) + `}`, `{"x":[1,2],"y":"` + strings.Repeat("1", 2000) + `"}`,
	} {
		var got lenient
		if err := httpjson.DecodeJSON([]byte(body), "", &got); err != nil {
			t.Errorf("refused: %.60q: %v", body, err)
		}
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	const text = `{"name":"Gerät 😀"}`
	utf16 := func(s string, order string) string {
		var b strings.Builder
		for _, r := range s {
			units := []rune{r}
			if r > 0xffff {
				units = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
			}
			for _, u := range units {
				if order == "be" {
					b.WriteString(string([]byte{byte(u >> 8), byte(u)}))
				} else {
					b.WriteString(string([]byte{byte(u), byte(u >> 8)}))
				}
			}
		}
		return b.String()
	}
	utf32 := func(s string, order string) string {
		var b []byte
		for _, r := range s {
			if order == "be" {
				b = append(b, 0, byte(r>>16), byte(r>>8), byte(r))
			} else {
				b = append(b, byte(r), byte(r>>8), byte(r>>16), 0)
			}
		}
		return string(b)
	}
	tests := []struct{ contentType, body, want string }{
		{"application/json", text, "Gerät 😀"},
		{"application/json", "\xef\xbb\xbf" + text, "Gerät 😀"},
		{"application/json; charset=utf-8", text, "Gerät 😀"},
		{"application/json;charset=UTF-16", "\xff\xfe" + utf16(text, "le"), "Gerät 😀"},
		{"application/json", "\xfe\xff" + utf16(text, "be"), "Gerät 😀"},
		{"application/json", utf16(text, "be"), "Gerät 😀"},
		{"application/json", utf16(text, "le"), "Gerät 😀"},
		{"application/json", utf32(text, "le"), "Gerät 😀"},
		{"application/json", utf32(text, "be"), "Gerät 😀"},
		{"application/json", "\xff\xfe\x00\x00" + utf32(text, "le"), "Gerät 😀"},
		{"application/json", "\x00\x00\xfe\xff" + utf32(text, "be"), "Gerät 😀"},
		{`application/json;charset="ISO-8859-1"`, "{\"name\":\"Ger\xe4t\"}", "Gerät"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		var got lenient
		if err := httpjson.Read(httptest.NewRecorder(), r, &got, 1000); err != nil || got.Name == nil || *got.Name != tt.want {
			t.Errorf("%s %q: %v", tt.contentType, tt.body, err)
		}
	}
}

func TestReadLimits(t *testing.T) {
	t.Parallel()
	read := func(body string, chunked bool) error {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		if chunked {
			r.ContentLength = -1
		}
		return httpjson.Read(httptest.NewRecorder(), r, &lenient{}, 10)
	}
	if err := read(`{"name":1}`, false); err != nil {
		t.Error(err)
	}
	for _, chunked := range []bool{true, false} {
		if err := read(`{"name":12}`, chunked); !fault.Is(err, fault.TooLarge) {
			t.Error(err)
		}
	}
	var in lenient
	if had, err := httpjson.ReadOptional(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), &in, 10); had || err != nil {
		t.Error(had, err)
	}
	if had, err := httpjson.ReadOptional(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(" null\n")), &in, 10); had || err != nil {
		t.Error(had, err)
	}
	if had, err := httpjson.ReadOptional(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(" ")), &in, 10); !had || err == nil {
		t.Error(had, err)
	}
}

func TestCBORRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, hex string
		want      lenient
		err       string
	}{
		{name: "text", hex: "a1646e616d656178", want: lenient{Name: new("x")}},
		{name: "self-described", hex: "d9d9f7a1646e616d656178", want: lenient{Name: new("x")}},
		{name: "open lengths", hex: "bf646e616d657f61786179ffff", want: lenient{Name: new("xy")}},
		{name: "wide integer", hex: "a1667765696768741b0000000000000005", want: lenient{Weight: new(5)}},
		{name: "negative", hex: "a1667765696768743863", want: lenient{Weight: new(-100)}},
		{name: "half float", hex: "a166776569676874f94248", want: lenient{Weight: new(3)}},
		{name: "single float", hex: "a166776569676874fa40490fdb", want: lenient{Weight: new(3)}},
		{name: "double as text", hex: "a1646e616d65fb4000000000000000", want: lenient{Name: new("2.0")}},
		{name: "bytes", hex: "a1646e616d654401020304", want: lenient{Name: new("AQIDBA==")}},
		{name: "bignum", hex: "a1646e616d65c249010000000000000000", want: lenient{Name: new("18446744073709551616")}},
		{name: "tagged number", hex: "a166776569676874c105", want: lenient{Weight: new(5)}},
		{name: "null", hex: "a1646e616d65f6"},
		{name: "list", hex: "a1646b65797381616b", want: lenient{Keys: []string{"k"}}},
		{name: "single value for list", hex: "a1646b657973616b", err: `keys: "k" stands where a list belongs`},
		{name: "undefined", hex: "a1646e616d65f7", err: "The body is no readable CBOR: it holds undefined, which is no value."},
		{name: "behind", hex: "a000", err: "The body is no readable CBOR: cbor: 1 bytes of extraneous data starting at index 1."},
		{name: "not a number", hex: "a1646e616d65f97e00", err: "The body is no readable CBOR: it holds a float that is no number."},
		{name: "empty", hex: "", err: "The body is not readable: it is empty."},
		{name: "null alone", hex: "f6", err: "The body is null; send a document."},
		{name: "not UTF-8", hex: "a1646e616d6561ff", err: "The body is no readable CBOR: its bytes are no text in the encoding it is sent in."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			var got lenient
			err = httpjson.DecodeCBOR(b, &got)
			if m := message(t, err); m != tt.err {
				t.Fatalf("got %q, want %q", m, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}
