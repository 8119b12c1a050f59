package ddi

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/api/openapi"
)

// base is the path of a device's own resources.
const base = "/{tenant}/controller/v1/{controllerId}"

// A route is one operation of the API. The table of them is what requests are
// dispatched by, and what the OpenAPI document is made from.
type route struct {
	method, path string
	summary      string // for the OpenAPI document, in a few words
	in, out      any    // wire types of the bodies, as values; nil: none, or bytes
	status       int    // of success
	bodyOptional bool
	params       []openapi.Parameter // of the query
	handle       func(a *API, w http.ResponseWriter, r *http.Request) error
}

// routes is the whole API, in the order of device-apis A.2.
func routes() []route {
	get := func(path, summary string, out any, h func(*API, http.ResponseWriter, *http.Request) error) route {
		return route{method: http.MethodGet, path: base + path, summary: summary, out: out, status: http.StatusOK, handle: h}
	}
	post := func(path, summary string, in any, h func(*API, http.ResponseWriter, *http.Request) error) route {
		return route{method: http.MethodPost, path: base + path, summary: summary, in: in, status: http.StatusOK, handle: h}
	}
	put := func(path, summary string, in any, h func(*API, http.ResponseWriter, *http.Request) error) route {
		return route{method: http.MethodPut, path: base + path, summary: summary, in: in, status: http.StatusOK, handle: h}
	}
	activate := post("/confirmationBase/activateAutoConfirm", "Consent to every update from now on", autoConfirmInput{}, (*API).activateAutoConfirm)
	activate.bodyOptional = true
	return []route{
		get("", "Ask what to do", pollBody{}, (*API).poll),
		get("/softwaremodules/{moduleId}/artifacts", "List the artifacts of a software module", []artifactBody{}, (*API).listArtifacts),
		get("/softwaremodules/{moduleId}/artifacts/{filename}", "Download an artifact, or its MD5SUM", nil, (*API).downloadArtifact),
		get("/deploymentBase/{actionId}", "Read what to install", deploymentBody{}, (*API).getDeployment).with(changeParameter(), historyParameter()),
		post("/deploymentBase/{actionId}/feedback", "Report on an installation", feedbackInput{}, (*API).postFeedback),
		put("/configData", "Send attributes", attributesInput{}, (*API).putAttributes),
		get("/cancelAction/{actionId}", "Read what to give up", cancelBody{}, (*API).getCancel),
		post("/cancelAction/{actionId}/feedback", "Report on a cancellation", feedbackInput{}, (*API).postCancelFeedback),
		get("/installedBase/{actionId}", "Read what was installed", deploymentBody{}, (*API).getInstalled).with(historyParameter()),
		put("/installedBase", "Report what is installed", installedInput{}, (*API).putInstalled),
		get("/confirmationBase", "Read how consent is given", confirmationStateBody{}, (*API).getConfirmationState),
		get("/confirmationBase/{actionId}", "Read what waits for consent", deploymentBody{}, (*API).getConfirmation).with(changeParameter(), historyParameter()),
		post("/confirmationBase/{actionId}/feedback", "Consent, or deny", confirmationInput{}, (*API).postConfirmation),
		activate,
		post("/confirmationBase/deactivateAutoConfirm", "Be asked for consent again", nil, (*API).deactivateAutoConfirm),
	}
}

// with adds parameters of the query.
func (rt route) with(p ...openapi.Parameter) route {
	rt.params = p
	return rt
}

// http turns the route into one of the mux.
func (rt *route) http(a *API) httpjson.Route {
	out := httpjson.Route{
		Method: rt.method, Path: rt.path, BodyOptional: rt.bodyOptional,
		Handle: func(w http.ResponseWriter, r *http.Request) error { return rt.handle(a, w, r) },
	}
	if rt.in != nil {
		out.Consumes = []string{httpjson.JSON, httpjson.CBOR}
	}
	if rt.out != nil {
		out.Produces = []string{httpjson.HAL, httpjson.JSON, httpjson.CBOR}
	}
	return out
}
