package httpjson_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
)

func TestParam(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/?limit=1&limit=2&q=a==1;b==2&Q=x&sp%61ce=a+b%20c%2B&empty=&bare&=nameless", nil)
	type result struct {
		Value string
		OK    bool
	}
	got := map[string]result{}
	for _, name := range []string{"limit", "q", "space", "empty", "bare", "none", "LIMIT"} {
		v, ok := httpjson.Param(r, name)
		got[name] = result{v, ok}
	}
	want := map[string]result{
		"limit": {"1", true}, "q": {"a==1;b==2", true}, "space": {"a b c+", true}, "empty": {"", true}, "bare": {"", true},
		"none": {}, "LIMIT": {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1", "2"}, httpjson.Params(r, "limit")); diff != "" {
		t.Error(diff)
	}
}

func TestInt32Param(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int32{
		"": 7, "n=": 7, "n": 7, "N=1": 7, "n=1": 1, "n=%2B1": 1, "n=+1": 1, "n=%20-5%20": -5, "n=2147483647": 2147483647, "n=1&n=x": 1,
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
		if got, err := httpjson.Int32Param(r, "n", 7); got != want || err != nil {
			t.Errorf("%q: %d %v", query, got, err)
		}
	}
	for _, query := range []string{"n=x", "n=1.5", "n=2147483648", "n=1_0", "n=0x1", "n=-", "n=1%001"} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
		if got, err := httpjson.Int32Param(r, "n", 7); !fault.Is(err, fault.Unreadable) {
			t.Errorf("%q: %d %v", query, got, err)
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1": 1, "-1": -1, "+5": 5, "0005": 5, " 5": 5, "9223372036854775807": 9223372036854775807} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetPathValue("id", text)
		if got, err := httpjson.ID(r, "id"); got != want || err != nil {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", " ", "abc", "1.5", "9223372036854775808", "5a", "0x1"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetPathValue("id", text)
		if got, err := httpjson.ID(r, "id"); !fault.Is(err, fault.Unreadable) {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
}
