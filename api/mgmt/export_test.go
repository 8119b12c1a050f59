package mgmt

import (
	"slices"

	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/identity"
)

// Routes names the routes of the table, by method and path.
func Routes() []string {
	var all []string
	for _, rt := range routes() {
		all = append(all, rt.method+" "+rt.path)
	}
	return all
}

// A RouteFact is what tests hold against the table of routes.
type RouteFact struct {
	Method, Path string
	Needs        []identity.Permission
	HasBody      bool
	Document     bool // answers with one
	Views        bool // compact and full
}

// RouteFacts lists the table of routes.
func RouteFacts() []RouteFact {
	var all []RouteFact
	for _, r := range routes() {
		views := slices.ContainsFunc(r.params, func(p openapi.Parameter) bool { return p.Name == "representation" })
		all = append(all, RouteFact{r.method, r.path, r.needs, r.in != nil, r.out != nil && !slices.Contains(r.produces, eventStream), views})
	}
	return all
}

// HasReply reports whether the kind of fault has a face.
func HasReply(k fault.Kind) bool {
	_, ok := replies()[k]
	return ok
}

// EventTypes returns the permissions that each type of event needs.
func EventTypes() map[string][]identity.Permission {
	all := map[string][]identity.Permission{}
	for _, t := range eventTypes() {
		all[typePrefix+string(t.kind)] = t.needs
	}
	return all
}
