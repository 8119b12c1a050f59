package mgmt

import (
	"slices"
	"strconv"

	"github.com/otaria/otaria/api/openapi"
	"github.com/otaria/otaria/query"
)

// Document describes the API from its table of routes.
func Document(version string) openapi.API {
	d := openapi.API{
		Title:       "Otaria Management API",
		Description: "What operators and their programs do with targets, software and deployments. Compatible with Eclipse hawkBit's.",
		Version:     version,
		Base:        "/rest/v1",
		Wildcards: []openapi.Parameter{
			{Name: "targetId", Description: "The controller id of a target: the name that the device gives itself."},
		},
		Security: []openapi.Security{
			{Name: "basic", Type: "http", Scheme: "basic", Description: "The user name, or TENANT\\user, with the password."},
		},
		Error:  errorBody{},
		Errors: map[int][]string{},
	}
	for _, rep := range replies() {
		codes := d.Errors[rep.status]
		if rep.code != "" && !slices.Contains(codes, codePrefix+rep.code) {
			codes = append(codes, codePrefix+rep.code)
		}
		d.Errors[rep.status] = codes
	}
	for _, rt := range routes() {
		o := openapi.Operation{
			Method: rt.method, Path: rt.path, ID: openapi.NameOf(rt.handle), Summary: rt.summary, Parameters: rt.params,
			In: rt.in, Consumes: rt.consumes, Out: rt.out, Produces: rt.produces, BodyOptional: rt.bodyOptional, Bytes: rt.bytes, MayBeNone: rt.mayBeNone, Status: rt.status,
		}
		for _, p := range rt.needs {
			o.Permissions = append(o.Permissions, string(p))
		}
		d.Operations = append(d.Operations, o)
	}
	return d
}

// listParameters are those of every list (management-api 1.5).
func listParameters() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "offset", Description: "How many elements to leave out; less than 0 counts as 0.", Type: int32(0), Default: 0},
		{Name: "limit", Description: "How many elements to return, from 1 to " + strconv.Itoa(query.MaxLimit) + "; what is out of range is moved into it.", Type: int32(0), Default: query.DefaultLimit},
		{Name: "sort", Description: "FIELD:ASC or FIELD:DESC, several of them joined by commas."},
		filterParameter(),
	}
}

func filterParameter() openapi.Parameter {
	return openapi.Parameter{Name: "q", Description: "A filter in RSQL, such as name==a*;version!=1."}
}

// representationParameter chooses how much a list tells of its elements (1.6).
func representationParameter() openapi.Parameter {
	return openapi.Parameter{Name: "representation", Description: "full: with the links of the single view.", Enum: []string{"compact", "full"}, Default: "compact"}
}

// deletedParameter is what readDeleted reads.
func deletedParameter() openapi.Parameter {
	return openapi.Parameter{
		Name: "soft_deleted_mode", Description: "Whether to list what was deleted but is still part of a history.",
		Enum: []string{"EXCLUDE_SOFT_DELETED", "INCLUDE_SOFT_DELETED", "ONLY_SOFT_DELETED"}, Default: "EXCLUDE_SOFT_DELETED",
	}
}

// offlineParameter is that of assignments.
func offlineParameter() openapi.Parameter {
	return flag("offline", "The targets were updated without this server: note it as installed.")
}

// flag is a parameter that readBool reads.
func flag(name, description string) openapi.Parameter {
	return openapi.Parameter{Name: name, Description: description, Type: false, Default: false}
}
