package query_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

func TestParseList(t *testing.T) {
	t.Parallel()
	byID := query.Order{Field: "controllerid"}
	first := query.List{Limit: 50, Sort: []query.Order{byID}}
	page := func(offset, limit int) query.List { return query.List{Offset: offset, Limit: limit, Sort: first.Sort} }
	sorted := func(by ...query.Order) query.List { return query.List{Limit: 50, Sort: by} }
	up, down := query.Order{Field: "name"}, query.Order{Field: "name", Desc: true}
	for _, test := range []struct {
		parameters string
		want       query.List
	}{
		{"", first},
		{"offset=3&limit=7", page(3, 7)},
		{"offset=-1&limit=-1", first},
		{"limit=0", first},
		{"limit=500", page(0, 500)},
		{"limit=501", page(0, 500)},
		{"limit=1", page(0, 1)},
		{"offset=&limit=&sort=", first},
		{"offset=+1&limit=%202%20", page(1, 2)},
		{"offset=%2B1", page(1, 50)},
		{"offset=2147483647", page(2147483647, 50)},
		{"offset=1&offset=x&limit=2&limit=3", page(1, 2)},
		{"OFFSET=3&Limit=1&page=1&size=2", first},

		{"sort=name:ASC", sorted(up)},
		{"sort=NAME:desc", sorted(down)},
		{"sort=%20name%20:%20ASC%20", sorted(up)},
		{"sort=name::DESC", sorted(down)},
		{"sort=name:ASC,", sorted(up)},
		{"sort=,,name:ASC", sorted(up)},
		{"sort=,", first},
		{"sort=name:DESC,id:ASC,name:ASC", sorted(down, query.Order{Field: "id"})},
		{"sort=targetType:asc", sorted(query.Order{Field: "targettype"})},
		{"sort=name:ASC&sort=name:DESC", sorted(up)},

		{"q=name==A&q=x", query.List{Limit: 50, Sort: first.Sort, Text: "name==A", Filter: text("name", query.Equal, "a")}},
	} {
		t.Run(test.parameters, func(t *testing.T) {
			t.Parallel()
			got, err := query.ParseList(parameters(t, test.parameters), fleet.TargetFields(), byID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseListRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		parameters string
		kind       fault.Kind
		says       string
	}{
		{"offset=abc", fault.Unreadable, "offset"},
		{"offset=1.5", fault.Unreadable, ""},
		{"offset=2147483648", fault.Unreadable, ""},
		{"limit=2.0", fault.Unreadable, "limit"},
		{"limit=99999999999", fault.Unreadable, ""},
		{"limit=%20", fault.Unreadable, ""},

		{"sort=name", fault.SortSyntax, "FIELD:ASC"},
		{"sort=name:", fault.SortSyntax, ""},
		{"sort=:ASC", fault.SortSyntax, ""},
		{"sort=%20", fault.SortSyntax, ""},
		{"sort=name%3BASC", fault.SortSyntax, ""},
		{"sort=name:ASC:DESC", fault.SortSyntax, ""},
		{"sort=nonsense", fault.SortSyntax, ""},
		{"sort=name:ASC,description", fault.SortSyntax, ""},
		{"sort=id:ASC%3Bname:ASC", fault.SortSyntax, ""},
		{"sort=%FF:ASC", fault.SortSyntax, "UTF-8"},
		{"sort=name:UP", fault.SortDirection, `"UP"`},
		{"sort=name:ascending", fault.SortDirection, ""},
		{"sort=nonsense:UP", fault.SortField, ""},
		{"sort=naem:ASC", fault.SortField, `Did you mean "name"?`},
		{"sort=name:ASC,nonsense:DESC", fault.SortField, ""},
		{"sort=name:UP,nonsense:DESC", fault.SortDirection, ""},
		{"sort=targettype.name:ASC", fault.SortField, ""},
		{"sort=attribute.x:ASC", fault.SortField, ""},
		{"sort=securityToken:ASC", fault.SortField, ""},

		{"q=", fault.QuerySyntax, ""},
		{"q=nonsense==1", fault.QueryField, ""},
		{"q=createdat==x", fault.Unreadable, ""},
		{"limit=x&q=(", fault.Unreadable, ""},
	} {
		t.Run(test.parameters, func(t *testing.T) {
			t.Parallel()
			got, err := query.ParseList(parameters(t, test.parameters), fleet.TargetFields())
			if err == nil {
				t.Fatalf("accepted as %v", got)
			}
			if fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("kind %d, says %q; want kind %d and %q", fault.KindOf(err), err, test.kind, test.says)
			}
		})
	}
}

func TestParseSubList(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]fault.Kind{
		"sort=controllerid:ASC": fault.SortField,  // the set has none
		"sort=version:ASC":      fault.Unreadable, // the target has none
		"q=version==1":          fault.QueryField,
	} {
		if _, err := query.ParseSubList(parameters(t, sent), fleet.TargetFields(), software.SetFields()); fault.KindOf(err) != want {
			t.Errorf("%s: %v", sent, err)
		}
	}
	got, err := query.ParseSubList(parameters(t, "sort=id:DESC&q=controllerid==a"), fleet.TargetFields(), software.SetFields(), query.Order{Field: "id"})
	if err != nil {
		t.Fatal(err)
	}
	want := query.List{Limit: 50, Sort: []query.Order{{Field: "id", Desc: true}}, Filter: text("controllerid", query.Equal, "a"), Text: "controllerid==a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := query.ParseList(parameters(t, "sort=distributionset:ASC"), software.SetTagFields()); !fault.Is(err, fault.SortField) {
		t.Errorf("sets of a tag have no order to sort tags by: %v", err)
	}
}

func parameters(t *testing.T, text string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// A field may be there to sort by alone.
func TestUnaskedField(t *testing.T) {
	t.Parallel()
	f := query.NewFields("thing", query.Field{Name: "name"}, query.Field{Name: "rank", Unasked: true})
	got, err := query.ParseList(url.Values{"sort": {"rank:DESC"}}, f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]query.Order{{Field: "rank", Desc: true}}, got.Sort); diff != "" {
		t.Error(diff)
	}
	_, err = query.Parse("rank==1", f)
	if !fault.Is(err, fault.QueryField) || strings.Contains(strings.ReplaceAll(err.Error(), `field "rank"`, ""), "rank") {
		t.Errorf("a question about a field that nobody may ask about: %v", err)
	}
	if diff := cmp.Diff([]string{"name"}, f.Paths()); diff != "" {
		t.Error(diff)
	}
}
