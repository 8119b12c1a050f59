package httpjson_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/otaria/otaria/api/httpjson"
)

// A colour is an enum of a body.
type colour string

func (colour) Literals() []string { return []string{"red", "green"} }

// An API is a table of routes and a table of errors.
func Example() {
	type tag struct {
		Name   string         `json:"name" bind:"required"`
		Colour *colour        `json:"colour"`
		Links  httpjson.Links `json:"_links,omitempty"`
	}
	create := func(w http.ResponseWriter, r *http.Request) error {
		var in tag
		if err := httpjson.Read(w, r, &in, 1<<20); err != nil {
			return err
		}
		in.Links = httpjson.Links{{Rel: "self", Href: httpjson.BaseURL(r) + "/tags/1"}}
		return httpjson.Write(w, r, http.StatusCreated, in)
	}
	mux := httpjson.NewMux([]httpjson.Route{
		{
			Method: "POST", Path: "/tags", Produces: []string{httpjson.HAL, httpjson.JSON},
			Consumes: []string{httpjson.JSON, httpjson.HAL}, Handle: create,
		},
	}, httpjson.Options{
		OnError: func(w http.ResponseWriter, r *http.Request, err error) {
			_ = httpjson.WriteError(w, r, http.StatusBadRequest, map[string]string{"message": err.Error()})
		},
	})
	for _, body := range []string{`{"name":5.50,"colour":" green ","more":[]}`, `{"name":"x","colour":"blue"}`} {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8080/tags", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
		fmt.Println(w.Body)
	}
	// Output:
	// 201 application/hal+json
	// {"name":"5.50","colour":"green","_links":{"self":{"href":"http://localhost:8080/tags/1"}}}
	// 400 application/json
	// {"message":"colour: \"blue\" is none of red, green"}
}
