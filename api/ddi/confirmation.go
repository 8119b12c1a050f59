package ddi

import (
	"net/http"
	"strconv"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
)

// confirmationStateBody tells how a device consents to updates (device-apis A.8).
type confirmationStateBody struct {
	AutoConfirm autoConfirmBody `json:"autoConfirm"`
	Links       httpjson.Links  `json:"_links,omitempty" cbor:"links"`
}

type autoConfirmBody struct {
	Active      bool           `json:"active"`
	Initiator   string         `json:"initiator,omitempty"`
	Remark      string         `json:"remark,omitempty"`
	ActivatedAt int64          `json:"activatedAt"` // milliseconds; 0: not active
	Links       httpjson.Links `json:"_links,omitempty" cbor:"links"`
}

func (a *API) getConfirmationState(w http.ResponseWriter, r *http.Request) error {
	d := deviceOf(r.Context())
	if err := a.arrive(r, d); err != nil {
		return err
	}
	st, err := a.Deployment.ConfirmationState(r.Context(), d.id, d.standing, d.window)
	if err != nil {
		return err
	}
	root := d.base(r) + "/confirmationBase"
	var b confirmationStateBody
	if ac := st.AutoConfirm; ac != nil {
		b.AutoConfirm = autoConfirmBody{Active: true, Initiator: ac.Initiator, Remark: ac.Remark, ActivatedAt: ac.ActivatedAt.UnixMilli()}
		b.Links = httpjson.Links{{Rel: "deactivateAutoConfirm", Href: root + "/deactivateAutoConfirm"}}
	} else {
		b.Links = httpjson.Links{{Rel: "activateAutoConfirm", Href: root + "/activateAutoConfirm"}}
	}
	if st.Waiting != 0 {
		b.Links = append(b.Links, httpjson.Link{Rel: "confirmationBase", Href: root + "/" + strconv.FormatInt(int64(st.Waiting), 10) + "?c=" + strconv.Itoa(int(st.Change))})
	}
	return httpjson.Write(w, r, http.StatusOK, b)
}

func (a *API) getConfirmation(w http.ResponseWriter, r *http.Request) error {
	doc, err := a.documentOf(r, true, a.Deployment.Confirmation)
	if err != nil {
		return err
	}
	b, d := a.newDocument(r, doc)
	b.Confirmation = d
	return httpjson.Write(w, r, http.StatusOK, b)
}

// confirmationInput is a device's answer to a request for consent. Its details
// are the operator's to read, and may hold markup (device-apis A.6).
type confirmationInput struct {
	Confirmation confirmation `json:"confirmation" bind:"required"`
	Code         *int32       `json:"code"`
	Details      []*string    `json:"details"`
}

type confirmation int

const confirmed confirmation = 0

// Literals implements httpjson.Enum.
func (confirmation) Literals() []string { return []string{"confirmed", "denied"} }

func (in *confirmationInput) answer() deployment.Answer {
	a := deployment.Answer{Confirmed: in.Confirmation == confirmed, Code: number(in.Code)}
	for _, d := range in.Details {
		if d != nil {
			a.Details = append(a.Details, *d)
		}
	}
	return a
}

func (a *API) postConfirmation(w http.ResponseWriter, r *http.Request) error {
	id, err := httpjson.ID(r, "actionId")
	if err != nil {
		return err
	}
	var in confirmationInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	if err := a.Deployment.Answer(r.Context(), deviceOf(r.Context()).id, deployment.ActionID(id), in.answer()); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}

// autoConfirmInput says who consents in advance, and why.
type autoConfirmInput struct {
	Initiator *string `json:"initiator"`
	Remark    *string `json:"remark"`
}

// noRemark stands for the remark of a device that sends no body at all.
const noRemark = "Initiated using the Device Direct Integration API without providing a remark."

func (a *API) activateAutoConfirm(w http.ResponseWriter, r *http.Request) error {
	var in autoConfirmInput
	given, err := httpjson.ReadOptional(w, r, &in, maxBody)
	if err != nil {
		return err
	}
	initiator, remark := text(in.Initiator), text(in.Remark)
	if !given {
		remark = noRemark
	}
	if err := a.Deployment.DeviceActivatesAutoConfirm(r.Context(), deviceOf(r.Context()).id, initiator, remark); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *API) deactivateAutoConfirm(w http.ResponseWriter, r *http.Request) error {
	if err := a.Deployment.DeviceDeactivatesAutoConfirm(r.Context(), deviceOf(r.Context()).id); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}
