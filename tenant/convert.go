package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/otaria/otaria/fault"
)

// maxText is the longest text of a setting, in characters (spec management-api 1.12).
const maxText = 32768

// A Value is a setting's value in its two forms.
type Value struct {
	Text  string // as stored
	Shown any    // as clients see it: a bool, int64 or string
}

// Rules are what a server adds to the definitions of settings. The zero Rules
// have the contract's defaults and check no queries.
type Rules struct {
	// Defaults stand in for those of the definitions. Check them before use.
	Defaults map[Key]string

	// CheckQuery reports whether a query over targets is right; the intervals of
	// pollingTime are chosen by such queries. Its error goes to the client.
	CheckQuery func(text string) error
}

// Check reports every default that its key does not take, and every one that
// has no key.
func (r Rules) Check() error {
	var problems []error
	for key, text := range r.Defaults {
		if err := r.checkDefault(key, text); err != nil {
			problems = append(problems, err)
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

func (r Rules) checkDefault(key Key, text string) error {
	d, ok := Define(key)
	if !ok {
		return unknown(key)
	}
	if key == KeyDefaultSetType {
		return fault.New(fault.ConfigKey, "The setting %q cannot have a default for all tenants: the types of distribution sets belong to one.", key)
	}
	_, err := r.read(d, text)
	return err
}

// Convert is Rules.Convert with the zero Rules.
func Convert(key Key, raw any) (Value, error) { return Rules{}.Convert(key, raw) }

// Convert makes a value of what a client sent: a string, json.Number, float64,
// bool, []any, map or nil, as encoding/json decodes them (spec management-api
// 2.14). Whether the type that default.ds.type names exists is for the caller
// to see.
//
// The errors are faults: ConfigKey for an unknown key, ConfigValue for what the
// key cannot take, Unreadable for a pollingOverdueTime that is no duration,
// Invalid for too long a text, and for a query in pollingTime what CheckQuery
// says.
func (r Rules) Convert(key Key, raw any) (Value, error) {
	d, ok := Define(key)
	if !ok {
		return Value{}, unknown(key)
	}
	if key == KeyDefaultSetType { // the one key that takes a number only
		switch raw.(type) {
		case json.Number, float64:
		default:
			return Value{}, d.refuse(raw)
		}
	}
	switch d.Type {
	case Bool, Int, Long:
		return d.scalar(raw)
	default:
		text, ok := textOf(raw)
		if !ok {
			return Value{}, d.refuse(raw)
		}
		return r.checkText(d, text)
	}
}

// read makes a value of a stored text.
func (r Rules) read(d Definition, text string) (Value, error) {
	if d.Type == Text {
		return r.checkText(d, text)
	}
	return d.scalar(text)
}

// scalar converts to a bool or number. Of a list the first element counts.
func (d Definition) scalar(raw any) (Value, error) {
	value := first(raw)
	if d.Type == Bool {
		if b, ok := boolOf(value); ok {
			return Value{strconv.FormatBool(b), b}, nil
		}
		return Value{}, d.refuse(raw)
	}
	size := 64
	if d.Type == Int {
		size = 32
	}
	n, ok := integerOf(value)
	if low := int64(-1) << (size - 1); !ok || n < low || n > -(low+1) {
		return Value{}, d.refuse(raw)
	}
	return Value{strconv.FormatInt(n, 10), n}, nil
}

// checkText applies the rules that a key of type Text has.
func (r Rules) checkText(d Definition, text string) (Value, error) {
	if n := utf8.RuneCountInString(text); n > maxText {
		return Value{}, fault.New(fault.Invalid, "The setting %q takes at most %d characters, but was given %d.", d.Key, maxText, n)
	}
	if strings.ContainsRune(text, 0) { // PostgreSQL keeps none
		return Value{}, fault.New(fault.ConfigValue, "The setting %q cannot have a text with the character NUL.", d.Key)
	}
	if d.Key == KeyPollingTime {
		p, err := ParsePolling(text)
		if err != nil {
			return Value{}, err
		}
		if err := r.checkQueries(p); err != nil {
			return Value{}, err
		}
	}
	if d.Key == KeyPollingOverdue {
		duration, err := ParseDuration(text)
		if err != nil {
			return Value{}, fault.New(fault.Unreadable, "The setting %q cannot be read: %v.", d.Key, err)
		}
		if duration < 0 {
			return Value{}, fault.New(fault.Unreadable, "The setting %q takes a duration of zero or more, but was given %s.", d.Key, quote(text))
		}
	}
	return Value{text, text}, nil
}

func (r Rules) checkQueries(p Polling) error {
	if r.CheckQuery == nil {
		return nil
	}
	for _, o := range p.Overrides {
		err := r.CheckQuery(o.Query)
		var f *fault.Error
		switch {
		case err == nil:
		case errors.As(err, &f):
			return &fault.Error{Kind: f.Kind, Message: fmt.Sprintf("The query %s of the setting %q is wrong. %s", quote(o.Query), KeyPollingTime, f.Message), Err: f.Err}
		default:
			return fmt.Errorf("query %s of the setting %q: %w", quote(o.Query), KeyPollingTime, err)
		}
	}
	return nil
}

// first returns the first element of a list, at any depth, and nil for an empty
// one.
func first(raw any) any {
	for {
		list, ok := raw.([]any)
		if !ok {
			return raw
		}
		if len(list) == 0 {
			return nil
		}
		raw = list[0]
	}
}

// boolOf reads a switch. Numbers are none.
func boolOf(value any) (b, ok bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "on", "yes", "1":
			return true, true
		case "false", "off", "no", "0":
			return false, true
		}
	}
	return false, false
}

// integerOf reads a whole number. Fractions of JSON numbers are cut; a text has
// digits, decimal or hexadecimal behind 0x, and perhaps a sign.
func integerOf(value any) (int64, bool) {
	switch v := value.(type) {
	case string:
		text := strings.TrimSpace(v)
		sign, digits := "", text
		if text != "" && (text[0] == '+' || text[0] == '-') {
			sign, digits = text[:1], text[1:]
		}
		base := 10
		if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
			base, digits = 16, digits[2:]
		}
		if digits == "" || digits[0] == '+' || digits[0] == '-' {
			return 0, false
		}
		n, err := strconv.ParseInt(sign+digits, base, 64)
		return n, err == nil
	case json.Number:
		return cut(string(v))
	case float64:
		return cut(strconv.FormatFloat(v, 'g', -1, 64))
	default:
		return 0, false
	}
}

// cut reads a JSON number and drops its fraction.
func cut(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	// The rough value first: an exponent of millions would be worked out digit by
	// digit.
	rough, err := strconv.ParseFloat(text, 64)
	if err != nil || rough > 1e19 || rough < -1e19 {
		return 0, false
	}
	if rough > -1 && rough < 1 {
		return 0, true
	}
	f, _, err := big.ParseFloat(text, 10, 128, big.ToZero)
	if err != nil {
		return 0, false
	}
	n, _ := f.Int(nil)
	return n.Int64(), n.IsInt64()
}

// textOf makes a text of texts, numbers, switches and lists of these, which are
// joined by commas.
func textOf(raw any) (string, bool) {
	switch v := raw.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			var ok bool
			if parts[i], ok = textOf(element); !ok {
				return "", false
			}
		}
		return strings.Join(parts, ","), true
	default:
		return "", false
	}
}

func unknown(key Key) error {
	if meant, ok := nearest(key); ok {
		return fault.New(fault.ConfigKey, "There is no setting %s. Did you mean %q?", quote(string(key)), meant)
	}
	return fault.New(fault.ConfigKey, "There is no setting %s. The list of all settings shows the keys that exist.", quote(string(key)))
}

// refuse says what the key takes and what it was given.
func (d Definition) refuse(raw any) error {
	takes := map[Type]string{
		Text: "a text",
		Bool: "true or false",
		Int:  "a whole number from -2147483648 to 2147483647",
		Long: "a whole number of 64 bits",
	}[d.Type]
	if d.Key == KeyDefaultSetType {
		takes = "the id of a distribution set type, as a number"
	}
	given := "another kind of value"
	if text, err := json.Marshal(raw); err == nil && !d.Secret {
		given = shorten(string(text))
	}
	return fault.New(fault.ConfigValue, "The setting %q takes %s, but was given %s.", d.Key, takes, given)
}

// quote shows a text of somebody else in a message.
func quote(text string) string { return strconv.Quote(shorten(text)) }

// shorten keeps messages readable whatever was sent.
func shorten(text string) string {
	const most = 80
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
