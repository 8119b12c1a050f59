package ddi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/freetext"
)

// feedbackInput is a device's report (device-apis A.6). Old clients send id and
// time, too; whatever they hold is ignored. So is progress, whose shape differs
// from client to client.
type feedbackInput struct {
	Timestamp *int64         `json:"timestamp"`
	Status    feedbackStatus `json:"status" bind:"required"`
}

type feedbackStatus struct {
	Execution execution      `json:"execution" bind:"required"`
	Result    feedbackResult `json:"result" bind:"required"`
	Code      *int32         `json:"code"`
	Details   []*string      `json:"details"`
}

type feedbackResult struct {
	Finished finished `json:"finished" bind:"required"`
}

type execution int

// Literals implements httpjson.Enum, in the order of deployment.Execution.
func (execution) Literals() []string {
	return []string{"closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download"}
}

type finished int

// Literals implements httpjson.Enum.
func (finished) Literals() []string { return []string{"success", "failure", "none"} }

func (f finished) outcome() deployment.Outcome {
	return [...]deployment.Outcome{deployment.OutcomeSuccess, deployment.OutcomeFailure, deployment.OutcomeNone}[f]
}

// report checks the details for markup, which devices' logs must not smuggle
// into operators' browsers.
func (in *feedbackInput) report() (deployment.Report, error) {
	r := deployment.Report{Execution: deployment.Execution(in.Status.Execution), Outcome: in.Status.Result.Finished.outcome()}
	if in.Timestamp != nil {
		r.At = time.UnixMilli(*in.Timestamp)
	}
	r.Code = number(in.Status.Code)
	var v freetext.Violations
	for i, d := range in.Status.Details {
		if d == nil {
			continue
		}
		if freetext.HasMarkup(*d) {
			v.Add("status.details["+strconv.Itoa(i)+"]", "must not contain HTML or XML markup")
		}
		r.Details = append(r.Details, *d)
	}
	return r, v.Err()
}

func (a *API) readReport(w http.ResponseWriter, r *http.Request) (deployment.ActionID, deployment.Report, error) {
	id, err := httpjson.ID(r, "actionId")
	if err != nil {
		return 0, deployment.Report{}, err
	}
	var in feedbackInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return 0, deployment.Report{}, err
	}
	report, err := in.report()
	return deployment.ActionID(id), report, err
}

func (a *API) postFeedback(w http.ResponseWriter, r *http.Request) error {
	id, report, err := a.readReport(w, r)
	if err != nil {
		return err
	}
	if err := a.Deployment.Report(r.Context(), deviceOf(r.Context()).id, id, report); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}

// number widens a code.
func number(code *int32) *int {
	if code == nil {
		return nil
	}
	n := int(*code)
	return &n
}
