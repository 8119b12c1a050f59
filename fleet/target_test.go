package fleet_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/fleet"
)

// TestHost: the part of an address that names the device, as far as there is
// one (management-api 2.2).
func TestHost(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://10.0.0.9:8080/base?x=1": "10.0.0.9",
		"https://device.example.org":    "device.example.org",
		"http://[2001:db8::1]:8080/":    "[2001:db8::1]",
		"http://user@host:1/":           "host",
		"coap://host?q#f":               "host",
		"http://host#f":                 "host",
		"amqp://vhost/exchange":         "",
		"AMQP://vhost/exchange":         "",
		"10.0.0.9":                      "",
		"10.0.0.9:80":                   "",
		"http://bad host/":              "",
		"http://[::1":                   "",
		"http://":                       "",
		"://host":                       "",
		"***":                           "",
		"":                              "",
	} {
		got := (&fleet.Target{Address: &address}).Host()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", address, d)
		}
	}
	if got := (&fleet.Target{}).Host(); got != "" {
		t.Errorf("no address has the host %q", got)
	}
}
