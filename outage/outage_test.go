package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/outage"
)

func TestAnOutageIsToldOnceAndItsEndOnce(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	handler := slog.NewTextHandler(&said, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	now := time.UnixMilli(1_700_000_000_000)
	o := outage.New(slog.New(handler), func() time.Time { return now }, "it is broken: mend it", "it works again", slog.String("what", "disk"))

	o.Worked() // nothing to tell
	full := errors.New("full")
	o.Failed(full)
	o.Failed(full)
	o.Worked() // too early: the next change may fail again
	now = now.Add(outage.Settle - time.Millisecond)
	o.Worked()
	if !o.Lasting() {
		t.Error("the outage ended too early")
	}
	o.Failed(full)
	now = now.Add(outage.Settle)
	o.Worked()
	o.Worked()
	if o.Lasting() {
		t.Error("the outage did not end")
	}
	o.Failed(full)

	broken := `level=ERROR msg="it is broken: mend it" what=disk error=full` + "\n"
	want := broken + `level=INFO msg="it works again" what=disk` + "\n" + broken
	if diff := cmp.Diff(want, said.String()); diff != "" {
		t.Error(diff)
	}
}
