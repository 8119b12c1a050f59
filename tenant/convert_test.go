package tenant_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/tenant"
)

// rules check queries as the server does.
func rules() tenant.Rules {
	return tenant.Rules{CheckQuery: func(text string) error {
		_, err := query.Parse(text, fleet.TargetFields())
		return err
	}}
}

// decode reads JSON as the management API does.
func decode(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestConvertAsRecorded gives every value that was sent to the model server.
func TestConvertAsRecorded(t *testing.T) {
	t.Parallel()
	kinds := map[string]fault.Kind{
		"configValueInvalid": fault.ConfigValue,
		"notReadable":        fault.Unreadable,
		"rsqlParamSyntax":    fault.QuerySyntax,
		"rsqlInvalidField":   fault.QueryField,
	}
	file, err := os.Open("testdata/recorded_values.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cases := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		if len(parts) < 3 {
			continue
		}
		cases++
		key, raw, outcome := tenant.Key(parts[0]), decode(t, parts[1]), parts[2]
		v, err := rules().Convert(key, raw)
		switch outcome {
		case "stored":
			shown, _ := json.Marshal(v.Shown)
			if want := decode(t, parts[3]); err != nil || cmp.Diff(want, decode(t, string(shown))) != "" {
				t.Errorf("%s = %s: %s, %v; want %s", key, parts[1], shown, err, parts[3])
			}
		case "refused": // the model failed with a 500
			if err == nil || fault.Is(err, fault.Internal) {
				t.Errorf("%s = %s: %v, %v; want a fault", key, parts[1], v, err)
			}
		default:
			if kind, ok := kinds[outcome]; !ok || !fault.Is(err, kind) {
				t.Errorf("%s = %s: %v, %v; want %s", key, parts[1], v, err, outcome)
			}
		}
	}
	if err := lines.Err(); err != nil || cases < 290 {
		t.Errorf("%d cases, %v", cases, err)
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	const ok = fault.Internal // no fault at all
	tests := []struct {
		key  tenant.Key
		raw  string
		want tenant.Value
		kind fault.Kind
	}{
		{tenant.KeyWindowPollCount, `1e3`, tenant.Value{"1000", int64(1000)}, ok},
		{tenant.KeyWindowPollCount, `-0.9`, tenant.Value{"0", int64(0)}, ok},
		{tenant.KeyWindowPollCount, `1e-999999999`, tenant.Value{"0", int64(0)}, ok},
		{tenant.KeyWindowPollCount, `-2147483648`, tenant.Value{"-2147483648", int64(-2147483648)}, ok},
		{tenant.KeyWindowPollCount, `-2147483648.9`, tenant.Value{"-2147483648", int64(-2147483648)}, ok},
		{tenant.KeyWindowPollCount, `-2147483649`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `1e999999999`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `"-0x10"`, tenant.Value{"-16", int64(-16)}, ok},
		{tenant.KeyWindowPollCount, `"0X1f"`, tenant.Value{"31", int64(31)}, ok},
		{tenant.KeyWindowPollCount, `"0x"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `"0x-1"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `"--1"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `"+-1"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `"1_000"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyWindowPollCount, `[["3"],1]`, tenant.Value{"3", int64(3)}, ok},
		{tenant.KeyWindowPollCount, `null`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyCleanupExpiry, `9223372036854775807.9`, tenant.Value{"9223372036854775807", int64(9223372036854775807)}, ok},
		{tenant.KeyCleanupExpiry, `9.2e18`, tenant.Value{"9200000000000000000", int64(9200000000000000000)}, ok},
		{tenant.KeyCleanupExpiry, `-9223372036854775808`, tenant.Value{"-9223372036854775808", int64(-9223372036854775808)}, ok},
		{tenant.KeyCleanupExpiry, `-9223372036854775809`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyAutoClose, `" YES "`, tenant.Value{"true", true}, ok},
		{tenant.KeyAutoClose, `null`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyAutoClose, `[null]`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyAnonymousDownload, `"on"`, tenant.Value{"true", true}, ok},
		{tenant.KeyGatewayTokenKey, `null`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyGatewayTokenKey, `["a",1,true,["b"]]`, tenant.Value{"a,1,true,b", "a,1,true,b"}, ok},
		{tenant.KeyGatewayTokenKey, `["a",null]`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyGatewayTokenKey, `["a",{}]`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyGatewayTokenKey, `[]`, tenant.Value{"", ""}, ok},
		{tenant.KeyGatewayTokenKey, strconv.Quote(strings.Repeat("ü", 32768)), tenant.Value{strings.Repeat("ü", 32768), strings.Repeat("ü", 32768)}, ok},
		{tenant.KeyGatewayTokenKey, strconv.Quote(strings.Repeat("ü", 32769)), tenant.Value{}, fault.Invalid},
		{tenant.KeyGatewayTokenKey, `"a\u0000b"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyPollingOverdue, `"PT1.5S"`, tenant.Value{"PT1.5S", "PT1.5S"}, ok},
		{tenant.KeyPollingOverdue, `" 00:05:00"`, tenant.Value{}, fault.Unreadable},
		{tenant.KeyPollingOverdue, `"PT1S "`, tenant.Value{}, fault.Unreadable},

		// The one key that takes numbers only.
		{tenant.KeyDefaultSetType, `3`, tenant.Value{"3", int64(3)}, ok},
		{tenant.KeyDefaultSetType, `3.0`, tenant.Value{"3", int64(3)}, ok},
		{tenant.KeyDefaultSetType, `-1`, tenant.Value{"-1", int64(-1)}, ok},
		{tenant.KeyDefaultSetType, `"3"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyDefaultSetType, `"abc"`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyDefaultSetType, `true`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyDefaultSetType, `[3]`, tenant.Value{}, fault.ConfigValue},
		{tenant.KeyDefaultSetType, `{}`, tenant.Value{}, fault.ConfigValue},

		{"nonsense", `true`, tenant.Value{}, fault.ConfigKey},
		{"POLLINGTIME", `"00:05:00"`, tenant.Value{}, fault.ConfigKey},
		{"multi.assignments.enabled", `true`, tenant.Value{}, fault.ConfigKey},
		{"", `true`, tenant.Value{}, fault.ConfigKey},
	}
	for _, test := range tests {
		v, err := tenant.Convert(test.key, decode(t, test.raw))
		if fault.KindOf(err) != test.kind || (test.kind == ok) != (err == nil) {
			t.Errorf("%s = %.80s: %v", test.key, test.raw, err)
		}
		if diff := cmp.Diff(test.want, v); diff != "" {
			t.Errorf("%s = %.80s (-want +got):\n%s", test.key, test.raw, diff)
		}
	}
}

// TestConvertFloats is for values decoded without json.Number, as from a
// configuration file.
func TestConvertFloats(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  tenant.Key
		raw  float64
		want string
	}{
		{tenant.KeyWindowPollCount, 4.9, "4"},
		{tenant.KeyCleanupExpiry, 1e18, "1000000000000000000"},
		{tenant.KeyDefaultSetType, 3, "3"},
		{tenant.KeyGatewayTokenKey, 1.5, "1.5"},
		{tenant.KeyGatewayTokenKey, 12345678901, "12345678901"},
	}
	for _, test := range tests {
		if v, err := tenant.Convert(test.key, test.raw); err != nil || v.Text != test.want {
			t.Errorf("%s = %v: %v, %v", test.key, test.raw, v, err)
		}
	}
}

func TestConvertTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key  tenant.Key
		raw  any
		want string
	}{
		{"pollingtime", "x", `There is no setting "pollingtime". Did you mean "pollingTime"?`},
		{"authentication.gatewaytoken.keys", "x", `There is no setting "authentication.gatewaytoken.keys". Did you mean "authentication.gatewaytoken.key"?`},
		{"nonsense", "x", `There is no setting "nonsense". The list of all settings shows the keys that exist.`},
		{tenant.Key(strings.Repeat("k", 129)), "x", `There is no setting "` + strings.Repeat("k", 80) + `…". The list of all settings shows the keys that exist.`},
		{tenant.KeyAutoClose, "perhaps", `The setting "repository.actions.autoclose.enabled" takes true or false, but was given "perhaps".`},
		{tenant.KeyWindowPollCount, true, `The setting "maintenanceWindowPollCount" takes a whole number from -2147483648 to 2147483647, but was given true.`},
		{tenant.KeyCleanupExpiry, nil, `The setting "action.cleanup.auto.expiry" takes a whole number of 64 bits, but was given null.`},
		{tenant.KeyDefaultSetType, "3", `The setting "default.ds.type" takes the id of a distribution set type, as a number, but was given "3".`},
		{tenant.KeyHeaderAuthority, map[string]any{"a": 1}, `The setting "authentication.header.authority" takes a text, but was given {"a":1}.`},
		{tenant.KeyGatewayTokenKey, map[string]any{"key": "secret"}, `The setting "authentication.gatewaytoken.key" takes a text, but was given another kind of value.`},
		{tenant.KeyPollingTime, "", `The setting "pollingTime" has an interval that cannot be read: "" is no duration such as 00:05:00, 300 (seconds) or PT5M.`},
		{tenant.KeyPollingTime, "00:00:10", `The setting "pollingTime" has the interval "00:00:10", which is not from 00:00:30 to 23:59:59.`},
		{tenant.KeyPollingTime, "300~100%", `The setting "pollingTime" has the interval "300~100%", whose deviation is none from ~0% to ~99%.`},
		{tenant.KeyPollingTime, "300, group==x", `The setting "pollingTime" cannot be read at "group==x": behind the comma belongs an override such as group==Europe -> 00:01:00.`},
		{tenant.KeyPollingOverdue, "soon", `The setting "pollingOverdueTime" cannot be read: "soon" is no duration such as 00:05:00, 300 (seconds) or PT5M.`},
		{tenant.KeyPollingOverdue, "-PT1M", `The setting "pollingOverdueTime" takes a duration of zero or more, but was given "-PT1M".`},
	}
	for _, test := range tests {
		if _, err := tenant.Convert(test.key, test.raw); err == nil || err.Error() != test.want {
			t.Errorf("%s = %v:\n got %v\nwant %s", test.key, test.raw, err, test.want)
		}
	}
	_, err := rules().Convert(tenant.KeyPollingTime, "300, grup==x -> 60")
	if err == nil || !strings.HasPrefix(err.Error(), `The query "grup==x" of the setting "pollingTime" is wrong. `) {
		t.Errorf("a bad query is told as %v", err)
	}
}

func TestRulesCheck(t *testing.T) {
	t.Parallel()
	good := tenant.Rules{Defaults: map[tenant.Key]string{tenant.KeyTargetToken: "true", tenant.KeyPollingTime: "00:01:00"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	bad := rules()
	bad.Defaults = map[tenant.Key]string{
		tenant.KeyTargetToken:    "perhaps",
		tenant.KeyPollingTime:    "300, grup==x -> 60",
		tenant.KeyDefaultSetType: "3",
		"pollingTimes":           "300",
	}
	err := bad.Check()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 {
		t.Errorf("found only:\n%v", err)
	}
}

// TestDefaultsAreReadable holds the table of settings against its own rules.
func TestDefaultsAreReadable(t *testing.T) {
	t.Parallel()
	s, problems := tenant.NewSettings(tenant.Record{DefaultSetType: 3})
	if len(problems) > 0 {
		t.Error(problems)
	}
	if n, keys := len(s.Values), len(tenant.Definitions()); n != keys || n != 20 {
		t.Errorf("%d values for %d keys", n, keys)
	}
}

// FuzzConvert holds that what is stored reads back as the same.
func FuzzConvert(f *testing.F) {
	for i := range tenant.Definitions() {
		f.Add(i, `"00:05:00, group==x -> PT1M"`)
		f.Add(i, `[4.9, true, " on "]`)
		f.Add(i, `1e18`)
	}
	f.Fuzz(func(t *testing.T, n int, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var raw any
		if d.Decode(&raw) != nil {
			return
		}
		all := tenant.Definitions()
		key := all[int(uint(n)%uint(len(all)))].Key
		v, err := rules().Convert(key, raw)
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Errorf("%s = %s: no fault, but %v", key, text, err)
			}
			return
		}
		if key == tenant.KeyDefaultSetType {
			return
		}
		r := rules()
		s, problems := r.Settings(tenant.Record{Overrides: []tenant.Override{{Key: key, Value: v.Text}}})
		if len(problems) > 0 {
			t.Errorf("%s = %s is stored as %q, but: %v", key, text, v.Text, problems)
		}
		if diff := cmp.Diff(v, s.Values[key]); diff != "" {
			t.Errorf("%s = %s reads back as another value:\n%s", key, text, diff)
		}
	})
}
