package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/otaria/otaria/server"
)

// constant is as long as the answer to a poll that brings one link.
const constant = `{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"configData":{"href":"http://127.0.0.1:8080/DEFAULT/controller/v1/dev-0000001/configData"}}}`

// serveCeiling answers every request with the constant, without looking at it,
// and says where it listens as the server does.
func serveCeiling(ctx context.Context, stdout io.Writer) error {
	contentType, length := []string{"application/hal+json"}, []string{strconv.Itoa(len(constant))}
	s := server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = contentType, length
		_, _ = io.WriteString(w, constant)
	}), slog.New(slog.DiscardHandler))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(stdout, "ceiling is ready at http://%s, of constant height\n", listener.Addr())
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // nothing is lost
	defer stop()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
