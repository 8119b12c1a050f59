package fleet

import (
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// What lists of this package's entities can be asked about (spec management-api
// 3.4).

// TargetFields are the fields of targets. Here id is the controllerId.
func TargetFields() *query.Fields {
	set := []query.Field{{Name: "name"}, {Name: "version"}}
	alias := software.TypeField("targettype")
	alias.Default = "" // the old name knows no default
	return query.NewFields("target", append([]query.Field{
		{Name: "id"},
		{Name: "controllerid"},
		{Name: "name"},
		{Name: "description"},
		StatusField("updatestatus"),
		{Name: "ipaddress"},
		{Name: "group"},
		{Name: "lastcontrollerrequestat", Kind: query.Number},
		{Name: "attribute", Kind: query.Map},
		{Name: "metadata", Kind: query.Map},
		{Name: "assignedds", Kind: query.Association, Sub: set},
		{Name: "installedds", Kind: query.Association, Sub: set},
		{Name: "tag", Kind: query.Association, Reach: query.Set, Default: "name", Sub: []query.Field{{Name: "name"}}},
		software.TypeField("type"),
		alias,
		{Name: "autoconfirm", Kind: query.Bool, Plain: true},
	}, query.Audit()...)...)
}

// StatusField is the field of a target's update status. The place of a name in
// its values is the number of the status.
func StatusField(name string) query.Field {
	return query.Field{Name: name, Kind: query.Enum, Values: []string{"unknown", "in_sync", "pending", "error", "registered"}}
}

// TypeFields are the fields of target types.
func TypeFields() *query.Fields {
	return query.NewAudited("target type", query.Field{Name: "key"}, query.Field{Name: "name"}, query.Field{Name: "description"})
}

// TagFields are the fields of target tags.
func TagFields() *query.Fields {
	return query.NewAudited("target tag", query.Field{Name: "name"}, query.Field{Name: "description"}, query.Field{Name: "colour"})
}

// FilterFields are the fields of saved filters.
func FilterFields() *query.Fields {
	return query.NewAudited("target filter", query.Field{Name: "name"},
		query.Field{Name: "autoassigndistributionset", Kind: query.Association, Sub: []query.Field{{Name: "name"}, {Name: "version"}}})
}
