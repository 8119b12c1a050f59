package rollout

import (
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// What lists of this package's entities can be asked about (spec management-api
// 3.4).

// Fields are the fields of rollouts.
func Fields() *query.Fields {
	return query.NewAudited("rollout",
		query.Field{Name: "name"},
		query.Field{Name: "description"},
		query.Field{Name: "status", Kind: query.Enum, Values: StatusNames()},
		software.SetField())
}

// GroupFields are the fields of the groups of a rollout.
func GroupFields() *query.Fields {
	return query.NewAudited("rollout group",
		query.Field{Name: "name"},
		query.Field{Name: "description"},
		query.Field{Name: "status", Unasked: true})
}

// AutoAssignmentFields are the fields of auto-assignments.
func AutoAssignmentFields() *query.Fields {
	return query.NewAudited("auto-assignment",
		query.Field{Name: "name"},
		query.Field{Name: "status", Kind: query.Enum, Values: AutoAssignmentStatusNames()},
		query.Field{Name: "actiontype", Kind: query.Enum, Values: []string{"forced", "soft", "timeforced", "download_only"}},
		query.Field{Name: "approvaldecidedby"},
		query.Field{Name: "distributionset", Kind: query.Association, Sub: []query.Field{{Name: "name"}, {Name: "version"}}})
}

// TargetFilterFields are the fields of saved filters.
func TargetFilterFields() *query.Fields {
	return query.NewAudited("target filter",
		query.Field{Name: "name"},
		query.Field{Name: "autoassigndistributionset", Kind: query.Association, Sub: []query.Field{{Name: "name"}, {Name: "version"}}})
}
