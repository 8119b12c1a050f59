package ddi

import (
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/fleet"
)

// attributesInput is what a device says of itself (device-apis A.9). Members
// that old clients add (id, time, status) are ignored.
type attributesInput struct {
	Mode *attributeMode     `json:"mode"`
	Data map[string]*string `json:"data" bind:"required"`
}

type attributeMode int

// Literals implements httpjson.Enum, in the order of fleet.AttributeMode.
func (attributeMode) Literals() []string { return []string{"merge", "replace", "remove"} }

func (in *attributesInput) update() (fleet.AttributeUpdate, error) {
	if len(in.Data) == 0 {
		return fleet.AttributeUpdate{}, fault.New(fault.Unreadable, "data: must hold at least one attribute")
	}
	u := fleet.AttributeUpdate{Values: in.Data}
	if in.Mode != nil {
		u.Mode = fleet.AttributeMode(*in.Mode)
	}
	return u, nil
}

func (a *API) putAttributes(w http.ResponseWriter, r *http.Request) error {
	var in attributesInput
	if err := httpjson.Read(w, r, &in, maxBody); err != nil {
		return err
	}
	u, err := in.update()
	if err != nil {
		return err
	}
	if err := a.Fleet.UpdateAttributes(r.Context(), deviceOf(r.Context()).id, u); err != nil {
		return err
	}
	httpjson.Empty(w, http.StatusOK)
	return nil
}
