package openapi

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/otaria/otaria/api/httpjson"
)

// Handler serves a document to everybody, GET and HEAD alone, with an ETag. The
// document is made by the first who asks, so that a start does not wait for it.
func Handler(api func() API, log *slog.Logger) http.Handler {
	document := sync.OnceValues(func() ([]byte, error) { return New(api()) })
	mux := httpjson.NewMux([]httpjson.Route{{
		Method: http.MethodGet, Path: "/", Produces: []string{httpjson.JSON},
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			text, err := document()
			if err != nil {
				return err
			}
			httpjson.Send(w, r, http.StatusOK, text)
			return nil
		},
	}}, httpjson.Options{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		log.ErrorContext(r.Context(), "the OpenAPI document cannot be made", slog.String("path", r.URL.Path), slog.Any("error", err))
		httpjson.WriteFramework(w, r, http.StatusInternalServerError)
	}})
	return httpjson.SecurityHeaders(mux)
}
