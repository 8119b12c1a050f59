package software

import "github.com/otaria/otaria/query"

// What lists of this package's entities can be asked about (spec management-api
// 3.4). Names that are not there, such as vendor and the colour of a type, are
// unknown to filter and sort alike.

// ModuleTypeFields are the fields of software module types.
func ModuleTypeFields() *query.Fields {
	return query.NewAudited("software module type",
		query.Field{Name: "key"},
		query.Field{Name: "name"},
		query.Field{Name: "description"},
		query.Field{Name: "maxassignments", Kind: query.Number})
}

// ModuleFields are the fields of software modules.
func ModuleFields() *query.Fields {
	return query.NewAudited("software module",
		query.Field{Name: "name"},
		query.Field{Name: "version"},
		query.Field{Name: "description"},
		TypeField("type"),
		query.Field{Name: "metadata", Kind: query.Map})
}

// SetTypeFields are the fields of distribution set types.
func SetTypeFields() *query.Fields {
	return query.NewAudited("distribution set type",
		query.Field{Name: "key"},
		query.Field{Name: "name"},
		query.Field{Name: "description"})
}

// SetFields are the fields of distribution sets, wherever there is a list of
// them but on the main one.
func SetFields() *query.Fields { return query.NewAudited("distribution set", setFields()...) }

// SetListFields are the fields of the main list of distribution sets. It alone
// knows complete, which thins out the page after it was read: see query.Late.
func SetListFields() *query.Fields {
	return query.NewAudited("distribution set", append(setFields(), query.Field{Name: CompleteField, Kind: query.Bool, Late: true})...)
}

// CompleteField is the name of the field of SetListFields that is Late.
const CompleteField = "complete"

func setFields() []query.Field {
	return []query.Field{
		{Name: "name"},
		{Name: "version"},
		{Name: "description"},
		TypeField("type"),
		{Name: "module", Kind: query.Association, Reach: query.Set, Sub: []query.Field{{Name: "id", Kind: query.Number}, {Name: "name"}}},
		{Name: "tag", Kind: query.Association, Reach: query.Set, Default: "name", Sub: []query.Field{{Name: "name"}}},
		{Name: "metadata", Kind: query.Map},
		{Name: "valid", Kind: query.Bool},
	}
}

// SetTagFields are the fields of distribution set tags.
func SetTagFields() *query.Fields {
	return query.NewAudited("distribution set tag",
		query.Field{Name: "name"},
		query.Field{Name: "description"},
		query.Field{Name: "colour"},
		query.Field{
			Name: "distributionset", Kind: query.Association, Reach: query.Joined, Unsorted: true,
			Sub: []query.Field{{Name: "id", Kind: query.Number}, {Name: "name"}},
		})
}

// TypeField is the association with a type: by its key unless told otherwise.
func TypeField(name string) query.Field {
	return query.Field{Name: name, Kind: query.Association, Default: "key", Sub: []query.Field{{Name: "id", Kind: query.Number}, {Name: "key"}, {Name: "name"}}}
}

// SetField is the association with a distribution set as actions and rollouts
// have it.
func SetField() query.Field {
	return query.Field{Name: "distributionset", Kind: query.Association, Sub: []query.Field{
		{Name: "id", Kind: query.Number}, {Name: "name"}, {Name: "version"}, TypeField("type"),
	}}
}
