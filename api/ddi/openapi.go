package ddi

import (
	"net/http"
	"slices"

	"github.com/otaria/otaria/api/openapi"
)

// Document describes the API from its table of routes.
func Document(version string) openapi.API {
	d := openapi.API{
		Title: "Otaria Device API",
		Description: "What a device asks and tells: Direct Device Integration, compatible with Eclipse hawkBit's. " +
			"A device follows the links of the poll. Bodies may be JSON or CBOR; in CBOR, _links is called links and is a list of {rel, href}.",
		Version: version,
		Base:    base,
		Root:    "poll",
		Wildcards: []openapi.Parameter{
			{Name: "tenant", Description: "The name of the tenant."},
			{Name: "controllerId", Description: "The name that the device gives itself."},
			{Name: "filename", Description: "The name of the artifact; with .MD5SUM behind it and Accept: text/plain, its checksum as md5sum prints it."},
		},
		Security: []openapi.Security{
			{Name: "targetToken", Type: "apiKey", In: "header", Header: "Authorization", Description: "TargetToken, a blank, and the token of the target, if the tenant allows it."},
			{Name: "gatewayToken", Type: "apiKey", In: "header", Header: "Authorization", Description: "GatewayToken, a blank, and the token of the tenant, if it allows it."},
			{Name: "certificate", Type: "mutualTLS", Description: "A client certificate that a trusted reverse proxy checked, if the tenant allows it."},
		},
		Error:  errorBody{},
		Errors: map[int][]string{http.StatusInternalServerError: nil},
	}
	for _, rep := range replies() {
		codes := d.Errors[rep.status]
		if rep.code != "" && !slices.Contains(codes, codePrefix+rep.code) {
			codes = append(codes, codePrefix+rep.code)
		}
		d.Errors[rep.status] = codes
	}
	for _, rt := range routes() {
		wire := rt.http(nil)
		d.Operations = append(d.Operations, openapi.Operation{
			Method: rt.method, Path: rt.path, ID: openapi.NameOf(rt.handle), Summary: rt.summary, Parameters: rt.params,
			In: rt.in, Consumes: wire.Consumes, BodyOptional: rt.bodyOptional,
			Out: rt.out, Produces: wire.Produces, Bytes: rt.method == http.MethodGet && rt.out == nil, Status: rt.status,
		})
	}
	return d
}

// changeParameter is what links add so that a document that changed has another address.
func changeParameter() openapi.Parameter {
	return openapi.Parameter{Name: "c", Description: "As the link has it; only its form is looked at.", Type: int32(0)}
}

// historyParameter asks for the messages of the action.
func historyParameter() openapi.Parameter {
	return openapi.Parameter{Name: "actionHistory", Description: "How many messages to return, newest first; a negative number: as many as are kept for devices.", Type: int32(0), Default: 0}
}
