package ddi

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/freetext"
)

// read decodes a fuzzed body as the handlers do.
func read(t *testing.T, body []byte, inCBOR bool, dst any) bool {
	t.Helper()
	decode := func() error { return httpjson.DecodeJSON(body, "", dst) }
	if inCBOR {
		decode = func() error { return httpjson.DecodeCBOR(body, dst) }
	}
	err := decode()
	if err != nil && !fault.Is(err, fault.Unreadable) {
		t.Fatalf("%v is no fault of the body", err)
	}
	return err == nil
}

// FuzzFeedback: whatever a device sends is refused, or a report without markup
// that means the same when it is written plainly.
func FuzzFeedback(f *testing.F) {
	for _, body := range []string{
		`{"status":{"execution":"closed","result":{"finished":"success"}}}`,
		`{"id":"1","time":"x","timestamp":"17","status":{"execution":" closed ","code":"5","details":"x","result":{"finished":2,"progress":[]}}}`,
		`{"status":{"execution":"proceeding","details":["<b>",null,1.50,true],"result":{"finished":"none","progress":{"cnt":1,"of":2}}}}`,
		"\xa1\x66status\xf6", "\xff\xfe{\x00}\x00", `{"status":null}`, `[]`,
	} {
		f.Add([]byte(body), body[0] == 0xa1)
	}
	f.Fuzz(func(t *testing.T, body []byte, inCBOR bool) {
		var in feedbackInput
		if !read(t, body, inCBOR, &in) {
			return
		}
		r, err := in.report()
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v is no broken rule", err)
			}
			return
		}
		if r.Execution < deployment.ExecClosed || r.Execution > deployment.ExecDownload || r.Outcome < deployment.OutcomeNone || r.Outcome > deployment.OutcomeFailure {
			t.Fatalf("report %+v", r)
		}
		for _, d := range r.Details {
			if freetext.HasMarkup(d) {
				t.Fatalf("the detail %q has markup", d)
			}
		}
		status := map[string]any{
			"execution": execution(0).Literals()[r.Execution],
			"result":    map[string]any{"finished": map[deployment.Outcome]string{deployment.OutcomeNone: "none", deployment.OutcomeSuccess: "success", deployment.OutcomeFailure: "failure"}[r.Outcome]},
			"code":      r.Code, "details": r.Details,
		}
		plain := map[string]any{"status": status}
		if !r.At.IsZero() {
			plain["timestamp"] = r.At.UnixMilli()
		}
		text, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		var again feedbackInput
		if !read(t, text, false, &again) {
			t.Fatalf("%s is refused, which was made of what was accepted", text)
		}
		second, err := again.report()
		if d := cmp.Diff(r, second); d != "" || err != nil {
			t.Fatalf("%v; -first +second:\n%s", err, d)
		}
	})
}

// FuzzAttributes: whatever a device sends is refused, or leaves attributes
// within the rules, the same ones when it is sent twice.
func FuzzAttributes(f *testing.F) {
	for _, body := range []string{
		`{"data":{"a":"b"}}`, `{"mode":"replace","data":{"a":1.50,"b":null}}`, `{"mode":"remove","data":{"have":"~"}}`,
		`{"mode":null,"data":{"ü":"x"}}`, "\xa1\x64data\xa1\x61a\x05", `{"data":{"a":{}}}`,
	} {
		f.Add([]byte(body), body[0] == 0xa1)
	}
	f.Fuzz(func(t *testing.T, body []byte, inCBOR bool) {
		var in attributesInput
		if !read(t, body, inCBOR, &in) {
			return
		}
		u, err := in.update()
		if err != nil {
			return
		}
		const limit = 3
		have := map[string]string{"have": "x", "more": ""}
		next, err := u.Apply(have, limit)
		if err != nil {
			if !fault.Is(err, fault.AttributesInvalid) && !fault.Is(err, fault.Quota) {
				t.Fatalf("%v is no broken rule", err)
			}
			return
		}
		if len(next) > limit {
			t.Fatalf("%d attributes, at most %d are allowed", len(next), limit)
		}
		all := map[string]*string{}
		for k, v := range next {
			all[k] = &v
		}
		if _, err := (fleet.AttributeUpdate{Mode: fleet.ReplaceAttributes, Values: all}).Apply(nil, limit); err != nil {
			t.Fatalf("what was accepted breaks a rule: %v", err)
		}
		twice, err := u.Apply(next, limit)
		if d := cmp.Diff(next, twice); d != "" || err != nil {
			t.Fatalf("%v; -once +twice:\n%s", err, d)
		}
	})
}
