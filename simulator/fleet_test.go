package simulator_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/otaria/otaria/simulator"
)

func TestFleetSurvivesWriting(t *testing.T) {
	t.Parallel()
	const text = "a\nb secret\nc with blank inside\n"
	f, err := simulator.ReadFleet(strings.NewReader(text+"\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if id, token := f.Device(2); string(id) != "c" || string(token) != "with blank inside" {
		t.Errorf("device 2 is %q with token %q", id, token)
	}
	if id, token := f.Device(0); string(id) != "a" || string(token) != "" {
		t.Errorf("device 0 is %q with token %q", id, token)
	}
	var b bytes.Buffer
	if _, err := f.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != text {
		t.Errorf("written %q, want %q", b.String(), text)
	}
}

func TestFleetRefuses(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"sim", "sim-%s", "sim-%d-%d", "sim %d", ""} {
		if _, err := simulator.NewFleet(pattern, 0, 2); err == nil {
			t.Errorf("the pattern %q is taken", pattern)
		}
	}
	for _, text := range []string{" token\n", "a\tb\n"} {
		if _, err := simulator.ReadFleet(strings.NewReader(text), 0); err == nil {
			t.Errorf("the line %q is taken", text)
		}
	}
}
