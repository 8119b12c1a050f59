package ddi

import (
	"net/http"
	"strconv"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
)

// cancelBody tells a device which action to give up: the one it asks about
// (device-apis A.7).
type cancelBody struct {
	ID     string   `json:"id"`
	Cancel stopBody `json:"cancelAction"`
}

type stopBody struct {
	StopID string `json:"stopId"`
}

func (a *API) getCancel(w http.ResponseWriter, r *http.Request) error {
	id, err := httpjson.ID(r, "actionId")
	if err != nil {
		return err
	}
	if err := a.Deployment.FetchCancel(r.Context(), deviceOf(r.Context()).id, deployment.ActionID(id)); err != nil {
		return err
	}
	text := strconv.FormatInt(id, 10)
	return httpjson.Write(w, r, http.StatusOK, cancelBody{text, stopBody{text}})
}

func (a *API) postCancelFeedback(w http.ResponseWriter, r *http.Request) error {
	id, report, err := a.readReport(w, r)
	if err != nil {
		return err
	}
	if err := a.Deployment.ReportCancel(r.Context(), deviceOf(r.Context()).id, id, report); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}
