package query_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

func text(field string, op query.Op, values ...string) query.Comparison {
	return query.Comparison{Field: field, Op: op, Values: values}
}

func kind(k query.Kind, field string, op query.Op, values ...string) query.Comparison {
	return query.Comparison{Field: field, Kind: k, Op: op, Values: values}
}

func entry(field, key string, op query.Op, values ...string) query.Comparison {
	return query.Comparison{Field: field, Key: key, Kind: query.Map, Op: op, Values: values}
}

func TestParse(t *testing.T) {
	t.Parallel()
	a, b, c := text("name", query.Equal, "a"), text("name", query.Equal, "b"), text("name", query.Equal, "c")
	for _, test := range []struct {
		text string
		want query.Node
	}{
		// Operators, each in all its spellings (3.1).
		{"name==a", a},
		{"name!=a", text("name", query.NotEqual, "a")},
		{"name<a", text("name", query.Less, "a")},
		{"name=lt=a", text("name", query.Less, "a")},
		{"name<=a", text("name", query.LessEqual, "a")},
		{"name=le=a", text("name", query.LessEqual, "a")},
		{"name>a", text("name", query.Greater, "a")},
		{"name=gt=a", text("name", query.Greater, "a")},
		{"name>=a", text("name", query.GreaterEqual, "a")},
		{"name=ge=a", text("name", query.GreaterEqual, "a")},
		{"name=in=(a,b)", text("name", query.In, "a", "b")},
		{"name=out=(a,b)", text("name", query.Out, "a", "b")},
		{"name=is=null", text("name", query.IsNull)},
		{"name=eq=null", text("name", query.IsNull)},
		{"name=is=a", a},
		{"name=eq=a", a},
		{"name=not=null", text("name", query.NotNull)},
		{"name=ne=null", text("name", query.NotNull)},
		{"name=not=a", text("name", query.NotEqual, "a")},
		{"name=ne=a", text("name", query.NotEqual, "a")},
		{"name==null", text("name", query.Equal, "null")},
		{"name=in=(null)", text("name", query.In, "null")},

		// One value may stand in parentheses or without.
		{"name==(a)", a},
		{"name=is=(null)", text("name", query.IsNull)},
		{"name=in=a", text("name", query.In, "a")},
		{"name=out=a", text("name", query.Out, "a")},

		// Precedence and parentheses.
		{"name==a;name==b", query.And{a, b}},
		{"name==a and name==b", query.And{a, b}},
		{"name==a,name==b", query.Or{a, b}},
		{"name==a or name==b", query.Or{a, b}},
		{"name==a,name==b;name==c", query.Or{a, query.And{b, c}}},
		{"name==a;name==b,name==c", query.Or{query.And{a, b}, c}},
		{"(name==a,name==b);name==c", query.And{query.Or{a, b}, c}},
		{"name==a;(name==b;name==c)", query.And{a, b, c}},
		{"(name==a,name==b),name==c", query.Or{a, b, c}},
		{"((name==a))", a},
		{"(((name==a),(name==b)))", query.Or{a, b}},

		// Blanks.
		{" name==a ", a},
		{"name == a", a},
		{"name =in= ( a , b )", text("name", query.In, "a", "b")},
		{"name==a  and   name==b", query.And{a, b}},
		{"( name==a ) or ( name==b )", query.Or{a, b}},
		{"name==and", text("name", query.Equal, "and")},
		{"name==or or name==and", query.Or{text("name", query.Equal, "or"), text("name", query.Equal, "and")}},

		// Case.
		{"NAME==A AND Name=IN=(B,ß,Ä)", query.And{a, text("name", query.In, "b", "ß", "ä")}},
		{"metadata.Key.Dot==X", entry("metadata", "key.dot", query.Equal, "x")},

		// Values.
		{`name=='a b'`, text("name", query.Equal, "a b")},
		{`name=="a b"`, text("name", query.Equal, "a b")},
		{`name==''`, text("name", query.Equal, "")},
		{`name=='it\'s'`, text("name", query.Equal, "it's")},
		{`name=="it's"`, text("name", query.Equal, "it's")},
		{`name=='a\\b\c'`, text("name", query.Equal, `a\bc`)},
		{`name=='\ä'`, text("name", query.Equal, "ä")},
		{`name==a\`, text("name", query.Equal, `a\`)},
		{`name==a\b`, text("name", query.Equal, `a\b`)},
		{`name=='(a,b);c=d'`, text("name", query.Equal, "(a,b);c=d")},
		{"name==a\tb", text("name", query.Equal, "a\tb")},
		{"name==a\x00b", text("name", query.Equal, "a\x00b")},
		{"name==a+b", text("name", query.Equal, "a+b")},
		{"name==🚀*", text("name", query.Equal, "🚀*")},
		{"name==${NOW_TS}", text("name", query.Equal, "${now_ts}")},

		// Fields (3.4).
		{"type==a", text("type.key", query.Equal, "a")},
		{"type.KEY==a", text("type.key", query.Equal, "a")},
		{"type.id==1", kind(query.Number, "type.id", query.Equal, "1")},
		{"targettype.key==a", text("targettype.key", query.Equal, "a")},
		{"tag==a", text("tag.name", query.Equal, "a")},
		{"tag.name==a", text("tag.name", query.Equal, "a")},
		{"attribute..==x", entry("attribute", ".", query.Equal, "x")},
		{"attribute.os.*==x", entry("attribute", "os.*", query.Equal, "x")},

		// Numbers, enums, booleans (3.2).
		{"createdat=ge=+5", kind(query.Number, "createdat", query.GreaterEqual, "+5")},
		{"createdat=in=(-1,2)", kind(query.Number, "createdat", query.In, "-1", "2")},
		{"createdat==*", kind(query.Number, "createdat", query.Equal, "*")},
		{"createdat!=*", kind(query.Number, "createdat", query.NotEqual, "*")},
		{"createdat=not=null", kind(query.Number, "createdat", query.NotNull)},
		{"createdat<${now_ts}", kind(query.Number, "createdat", query.Less, "${now_ts}")},
		{"lastcontrollerrequestat=le=${OVERDUE_TS}", kind(query.Number, "lastcontrollerrequestat", query.LessEqual, "${overdue_ts}")},
		{"updatestatus==In_Sync", kind(query.Enum, "updatestatus", query.Equal, "in_sync")},
		{"updatestatus=out=(error,pending)", kind(query.Enum, "updatestatus", query.Out, "error", "pending")},
		{"updatestatus=is=null", kind(query.Enum, "updatestatus", query.IsNull)},
		{"autoconfirm==TRUE", kind(query.Bool, "autoconfirm", query.Equal, "true")},
		{"autoconfirm=not=true", kind(query.Bool, "autoconfirm", query.NotEqual, "true")},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got, err := query.Parse(test.text, fleet.TargetFields())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		kind fault.Kind
		says string // part of the message
	}{
		{"", fault.QuerySyntax, "column 1, ends where there should be the name of a field"},
		{" ", fault.QuerySyntax, "column 2, ends"},
		{"name", fault.QuerySyntax, `column 5, ends where there should be an operator such as == after "name"`},
		{"name=", fault.QuerySyntax, "column 5"},
		{"name==", fault.QuerySyntax, "the empty value is written ''"},
		{"==x", fault.QuerySyntax, `column 1, has '='`},
		{"=", fault.QuerySyntax, ""},
		{";", fault.QuerySyntax, ""},
		{"(", fault.QuerySyntax, ""},
		{")", fault.QuerySyntax, ""},
		{"()", fault.QuerySyntax, ""},
		{"name==x;", fault.QuerySyntax, "column 9, ends"},
		{"name==x;;name==y", fault.QuerySyntax, ""},
		{"name==x,,name==y", fault.QuerySyntax, ""},
		{",name==x", fault.QuerySyntax, ""},
		{"name==x)", fault.QuerySyntax, `no "(" is open`},
		{"(name==x", fault.QuerySyntax, `; or , or ")"`},
		{"name==x name==y", fault.QuerySyntax, `column 9, has "name"`},
		{"name==größe name==y", fault.QuerySyntax, `column 13, has "name"`},
		{"name==x and", fault.QuerySyntax, ""},
		{"and name==x", fault.QuerySyntax, ""},
		{"name==x or or name==y", fault.QuerySyntax, ""},
		{"(name==x)and name==y", fault.QuerySyntax, ""},
		{"name==x\nand name==y", fault.QuerySyntax, ""},
		{"name==x\tand\tname==y", fault.QuerySyntax, ""},
		{"name=='x", fault.QuerySyntax, "column 7, has a quotation mark ' without its partner"},
		{`name=='x\'`, fault.QuerySyntax, "without its partner"},
		{`name="x"`, fault.QuerySyntax, "operator"},
		{"name=x", fault.QuerySyntax, "operator"},
		{"name:x", fault.QuerySyntax, "operator"},
		{"name~x", fault.QuerySyntax, ""},
		{"name=li=x", fault.QuerySyntax, "==abc*"},
		{"name=like=x", fault.QuerySyntax, "unknown operator =like="},
		{"name=nin=(x)", fault.QuerySyntax, "=out="},
		{"name=isnull=", fault.QuerySyntax, ""},
		{"name===x", fault.QuerySyntax, ""},
		{"name=!x", fault.QuerySyntax, ""},
		{"name!x", fault.QuerySyntax, ""},
		{"name=>x", fault.QuerySyntax, ""},
		{"name=in=()", fault.QuerySyntax, ""},
		{"name=in=(x", fault.QuerySyntax, ""},
		{"name=in=(x,)", fault.QuerySyntax, ""},
		{"name=in=(x,,y)", fault.QuerySyntax, ""},
		{"name==(x,y)", fault.QuerySyntax, "=in= or =out="},
		{"name==x=y", fault.QuerySyntax, ""},
		{"name==x<y", fault.QuerySyntax, ""},
		{`name==a"b`, fault.QuerySyntax, ""},
		{`"name"==x`, fault.QuerySyntax, ""},
		{"not name==x", fault.QuerySyntax, ""},
		{"!name==x", fault.QuerySyntax, ""},
		{"name==x && name==y", fault.QuerySyntax, ""},
		{"name==x || name==y", fault.QuerySyntax, ""},
		{`name==alpha\ two`, fault.QuerySyntax, ""},
		{"name==\xff", fault.QuerySyntax, "UTF-8"},
		{"name==" + strings.Repeat("x", query.MaxLength), fault.QuerySyntax, "bytes long"},
		{strings.Repeat("(", 5000) + "name==x" + strings.Repeat(")", 5000), fault.QuerySyntax, "parentheses more than 100 deep"},

		{"nonsense==1", fault.QueryField, "The fields are id, controllerid, name"},
		{"nonsense.sub==1", fault.QueryField, ""},
		{"naem==1", fault.QueryField, `Did you mean "name"?`},
		{"controlerid==1", fault.QueryField, `Did you mean "controllerid"?`},
		{"modifiedby==1", fault.QueryField, `Did you mean "lastmodifiedby"?`},
		{"${NOW_TS}==x", fault.QueryField, ""},
		{"name.sub==1", fault.QueryField, "{name.sub}"},
		{"name.==1", fault.QueryField, "{name.}"},
		{"type.nonsense==x", fault.QueryField, "type.id, type.key, type.name"},
		{"type.==x", fault.QueryField, ""},
		{"type.key.x==x", fault.QueryField, ""},
		{"targettype==x", fault.QueryField, "{targettype} needs a sub-field: targettype.id"},
		{"assignedds==x", fault.QueryField, "assignedds.name, assignedds.version"},
		{"assignedds.id==1", fault.QueryField, ""},
		{"tag.colour==red", fault.QueryField, ""},
		{"attribute==x", fault.QueryField, "attribute.KEY"},
		{"attribute.==x", fault.QueryField, "attribute.KEY"},
		{"attribute*==x", fault.QueryField, ""},
		{"complete==true", fault.QueryField, ""},

		{"updatestatus==pendin", fault.QueryField, `[unknown, in_sync, pending, error, registered]. Did you mean "pending"?`},
		{"updatestatus==*", fault.QueryField, ""},
		{"updatestatus==''", fault.QueryField, ""},
		{"updatestatus=in=(pending,nonsense)", fault.QueryField, `"nonsense"`},
		{"updatestatus=gt=pending", fault.QuerySyntax, "has no order"},

		{"createdat==abc", fault.Unreadable, `"abc"`},
		{"createdat==1.5", fault.Unreadable, ""},
		{"createdat==''", fault.Unreadable, ""},
		{"createdat=gt=${NOW}", fault.Unreadable, "${NOW_TS}"},
		{"createdat==99999999999999999999", fault.Unreadable, ""},
		{"createdat==17*", fault.Unreadable, ""},
		{"createdat=gt=*", fault.Unreadable, ""},
		{"createdat=in=(*)", fault.Unreadable, ""},
		{"createdat==1_000", fault.Unreadable, ""},
		{"createdat==0x10", fault.Unreadable, ""},
		{"createdat==null", fault.Unreadable, ""},

		{"autoconfirm==perhaps", fault.QuerySyntax, "true or false"},
		{"autoconfirm==''", fault.QuerySyntax, ""},
		{"autoconfirm==*", fault.QuerySyntax, ""},
		{"autoconfirm=gt=true", fault.QuerySyntax, "== and !="},
		{"autoconfirm=in=(true)", fault.QuerySyntax, ""},
		{"autoconfirm=is=null", fault.QuerySyntax, ""},
	} {
		t.Run(name(test.text), func(t *testing.T) {
			t.Parallel()
			got, err := query.Parse(test.text, fleet.TargetFields())
			if err == nil {
				t.Fatalf("accepted as %v", got)
			}
			if fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("kind %d, says %q; want kind %d and %q", fault.KindOf(err), err, test.kind, test.says)
			}
		})
	}
}

func name(text string) string {
	if len(text) > 40 {
		return fmt.Sprintf("%q and %d more bytes", text[:40], len(text)-40)
	}
	return text
}

func TestParseTakesWhatToolsSend(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`(controllerid==*x* or name==*x*);(tag=="a",tag=="b")`,
		`name==**`,
		`updatestatus=in=(error,pending);tag!=*`,
		`(assignedds.name==a and assignedds.version==1)`,
		"name==" + strings.Repeat("x", 1100),
		strings.Repeat("(", 60) + "name==x" + strings.Repeat(")", 60),
		"name==x" + strings.Repeat(",name==y", 1500),
		"name=in=(x" + strings.Repeat(",y", 3000) + ")",
	} {
		if _, err := query.Parse(text, fleet.TargetFields()); err != nil {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	a, b := text("name", query.Equal, "a"), text("name", query.Equal, "b")
	for _, test := range []struct {
		text string
		rest query.Node
		want bool
	}{
		{"complete==true", nil, true},
		{"complete==false", nil, false},
		{"complete!=true", nil, false},
		{"complete=is=true", nil, true},
		{"complete=not=true", nil, false},
		{"complete==perhaps", nil, false},
		{"complete!=perhaps", nil, true},
		{"complete=is=null", nil, false},
		{"name==a;complete==true", a, true},
		{"complete==true;name==a", a, true},
		{"name==a;(complete==true;name==b)", query.And{a, b}, true},
		{"((name==a,name==b);complete==true)", query.Or{a, b}, true},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			n, err := query.Parse(test.text, software.SetListFields())
			if err != nil {
				t.Fatal(err)
			}
			rest, want, asked := query.Late(n, software.CompleteField)
			if diff := cmp.Diff(test.rest, rest); diff != "" || want != test.want || !asked {
				t.Errorf("want %t, asked %t, rest %s", want, asked, diff)
			}
		})
	}
	for text, kind := range map[string]fault.Kind{
		"complete==true,name==a":                  fault.QueryField,
		"name==a,complete==true":                  fault.QueryField,
		"name==a;(complete==true,name==b)":        fault.QueryField,
		"name==a,(name==b;complete==true)":        fault.QueryField,
		"complete==true;complete==true":           fault.QuerySyntax,
		"complete=in=(true)":                      fault.QuerySyntax,
		"complete=gt=true":                        fault.QuerySyntax,
		"complete==true;name==a;(complete!=true)": fault.QuerySyntax,
	} {
		if n, err := query.Parse(text, software.SetListFields()); fault.KindOf(err) != kind || err == nil {
			t.Errorf("%s: %v, %v", text, n, err)
		}
	}
	if rest, _, asked := query.Late(query.And{a, b}, software.CompleteField); asked || !cmp.Equal(rest, query.Node(query.And{a, b})) {
		t.Errorf("found in a tree without it: %v", rest)
	}
}

// What prints parses back, and nothing makes the parser panic.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`(controllerid==*x* or name==*x*);(tag=="a",tag=="b")`, `name=='it\'s',name=="\\*";metadata.a.b=not=null`, "createdat=lt=${NOW_TS}",
		"updatestatus=in=(error,pending)", "autoconfirm!=true", "type=is=null and (tag!=*)", "name==a\\;((name==''", "attribute.a'b==x", "name=out=(and,or,'')",
	} {
		f.Add(text)
	}
	fields := fleet.TargetFields()
	f.Fuzz(func(t *testing.T, text string) {
		n, err := query.Parse(text, fields)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatalf("an error without a kind: %v", err)
			}
			return
		}
		if len(n.String()) > query.MaxLength {
			return // quotation marks and default sub-fields make it longer
		}
		again, err := query.Parse(n.String(), fields)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, n, err)
		}
		if diff := cmp.Diff(n, again); diff != "" {
			t.Fatalf("%q prints as %q: %s", text, n, diff)
		}
	})
}

func ExampleParse() {
	n, err := query.Parse("updatestatus==error and (type==gateway or tag==lab)", fleet.TargetFields())
	fmt.Println(n, err)
	_, err = query.Parse("updatstatus==error", fleet.TargetFields())
	fmt.Println(fault.Is(err, fault.QueryField))
	// Output:
	// updatestatus==error;(type.key==gateway,tag.name==lab) <nil>
	// true
}
