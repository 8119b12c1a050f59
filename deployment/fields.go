package deployment

import (
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// What lists of this package's entities can be asked about (spec management-api
// 3.4).

// ActionFields are the fields of actions.
func ActionFields() *query.Fields {
	named := []query.Field{{Name: "id", Kind: query.Number}, {Name: "name"}}
	return query.NewAudited("action",
		query.Field{Name: "active", Kind: query.Bool},
		StatusField(),
		query.Field{Name: "laststatuscode", Kind: query.Number},
		query.Field{Name: "weight", Kind: query.Number},
		query.Field{Name: "externalref"},
		query.Field{Name: "target", Kind: query.Association, Sub: []query.Field{
			{Name: "controllerid"}, {Name: "name"}, fleet.StatusField("updatestatus"), {Name: "address"},
		}},
		software.SetField(),
		query.Field{Name: "rollout", Kind: query.Association, Sub: named},
		query.Field{Name: "rolloutgroup", Kind: query.Association, Sub: named})
}

// StatusField is the field of an action's status. The place of a name in its
// values is the number of the status.
func StatusField() query.Field {
	return query.Field{Name: "status", Kind: query.Enum, Values: []string{
		"finished", "error", "warning", "running", "canceled", "canceling", "retrieved", "download",
		"scheduled", "cancel_rejected", "downloaded", "wait_for_confirmation",
	}}
}

// StatusFields are what the entries of an action's history can be sorted by;
// they cannot be filtered.
func StatusFields() *query.Fields {
	return query.NewFields("history of an action",
		query.Field{Name: "id", Kind: query.Number},
		query.Field{Name: "timestamp", Kind: query.Number},
		query.Field{Name: "reportedat", Kind: query.Number},
		query.Field{Name: "createdat", Kind: query.Number},
		query.Field{Name: "createdby"})
}
