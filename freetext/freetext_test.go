package freetext_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/freetext"
)

func TestHasMarkup(t *testing.T) {
	t.Parallel()
	markup := []string{
		"<b>", "<b/>", "<x:y>", "a<b and c>d", "<a@b.example>", "<img src=x onerror=alert(1)>.xml", "<script>alert(1)</script>",
		"<a href='x'>v</a>", `<a title=">">`, "<!-- c -->", "<!--", "<!", "<!DOCTYPE html>", "<?xml?>", "<? >", "</3>", "</3", "</ b>",
		"<b\n>", "<b/ >", "x < y <b>", "</b><i>", "<![CDATA[x]]><b>", "<![cdata[x]]>", `<b ">`, `<b">`, `<b x=y">`, `<b x=y="z>`, "<b x= 'y' >", "<b = >", "<b =>", "<b x=>", "<ü<b>",
		"name==<b>x</b>", "mgmt-<b>bold</b>",
	}
	for _, s := range markup {
		if !freetext.HasMarkup(s) {
			t.Errorf("HasMarkup(%q) = false, want true", s)
		}
	}
	text := []string{
		"", "plain", "a < b", "a > b", "a<b", "<", ">", "<>", "< b>", "<b", "</b>", "<img src=x", "<img src=x onerror=y", "<3", "a <3 b", "<_b>", "<ü>", "<1>",
		"<![CDATA[x]]>", "<![CDATA[<b>]]>", "<![CDATA[<b>", "&lt;b&gt;", "&amp;", "&nbsp;", "javascript:alert(1)", "'\"`", "a & b", "${x}", "#{x}", "%3Cb%3E", "\u200b", "\t", "a\nb",
		"a\x01b", "a\x7fb", "\u202eabc", "e\u0301", "\ufffe", "1 < 2 and 3 > 2", "a < b > c", "5 <6", "</>", "</", "<?", "<?xml", "<??", `<b x=">`, `<b x='>"`, "<\x00b>", "<\xff>", "> <b",
	}
	for _, s := range text {
		if freetext.HasMarkup(s) {
			t.Errorf("HasMarkup(%q) = true, want false", s)
		}
	}
}

func FuzzHasMarkup(f *testing.F) {
	for _, s := range []string{"", "<b>", "<b x='", "<![CDATA[", "</", "<?", "a<b c=\"d>\">", "<![CDATA[]]><i>", "<b/=/>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found := freetext.HasMarkup(s)
		switch {
		case !strings.Contains(s, "<"):
			if found {
				t.Errorf("markup in %q, which has no <", s)
			}
		case !strings.Contains(s, "<!") && !strings.Contains(s, "</") && !strings.Contains(s, ">"):
			if found {
				t.Errorf("markup in %q, where nothing closes", s)
			}
		}
		if found && !freetext.HasMarkup("text in front "+s) {
			t.Errorf("text in front hides the markup of %q", s)
		}
		if escaped := strings.ReplaceAll(s, "<", "&lt;"); freetext.HasMarkup(escaped) {
			t.Errorf("markup in the escaped text %q", escaped)
		}
		if found && strings.Count(s, "<") == 1 && !freetext.HasMarkup(s+">") {
			t.Errorf("a closing bracket hides the markup of %q", s)
		}
	})
}

func TestViolations(t *testing.T) {
	t.Parallel()
	long := "a long one"
	var v freetext.Violations
	v.Text("create.create[0].name", "", 1, 128)
	v.Text("create.create[0].version", strings.Repeat("ü", 65), 1, 64)
	v.Text("create.create[0].vendor", "<b>x</b>", 0, 256)
	v.OptionalText("description", &long, 0, 9)
	v.OptionalText("colour", nil, 1, 16)
	v.Length("value", "<b>", 0, 3)
	v.Number("weight", 1001, 0, 1000)
	v.Number("weight", 1000, 0, 1000)
	v.NoSpace("controllerId", "a b")
	v.NoSpace("controllerId", "a\u00a0b")
	v.Text("fits", strings.Repeat("😀", 128), 1, 128)

	err := v.Err()
	want := "create.create[0].name must not be empty. " +
		"create.create[0].version must have 1 to 64 characters, but has 65. " +
		"create.create[0].vendor must not contain HTML or XML markup (a tag, comment or declaration in angle brackets). " +
		"description must have at most 9 characters, but has 10. " +
		"weight must be from 0 to 1000, but is 1001. " +
		"controllerId must not contain white space."
	if err == nil || !fault.Is(err, fault.Invalid) {
		t.Fatalf("Err() = %v, want a fault of kind Invalid", err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}

	var none freetext.Violations
	if err := none.Err(); err != nil {
		t.Errorf("Err() without violations = %v", err)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                 "",
		" \t\r\n a b \v\f": "a b",
		"\u2003x\u3000":    "x",
		"\u00a0x\u00a0":    "\u00a0x\u00a0",
		"\u200bx":          "\u200bx",
		"\x1fx\x01":        "x\x01",
		"\xffx ":           "\xffx",
	} {
		if got := freetext.Trim(in); got != want {
			t.Errorf("Trim(%q) = %q, want %q", in, got, want)
		}
	}
}
