package download_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/api/download"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	place := download.Place{Scheme: "https", Host: "ota.example:8443", Tenant: "DEFAULT", ControllerID: "d ?#{x}ü", Module: 7, Filename: "a b+c~.bin", SHA1: "ab12"}
	for _, tt := range []struct {
		name, template, host, want string
	}{
		{"segments are escaped", "http://h/{tenant}/{controllerId}/{softwareModuleId}/{artifactFileName}", "h", "http://h/DEFAULT/d%20%3F%23%7Bx%7D%C3%BC/7/a%20b%2Bc~.bin"},
		{"by content", "https://cdn.example/{artifactSHA1}", "h", "https://cdn.example/ab12"},
		{"port", "{protocolRequest}://{hostnameRequest}:{portRequest}/x", "ota.example:8443", "https://ota.example:8443/x"},
		{"no port", "{protocolRequest}://{hostnameRequest}:{portRequest}/x", "ota.example", "https://ota.example/x"},
		{"IPv6", "{protocolRequest}://{hostnameRequest}:{portRequest}/x", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443/x"},
		{"IPv6 without port", "{protocolRequest}://{hostnameRequest}:{portRequest}/x", "[2001:db8::1]", "https://[2001:db8::1]/x"},
		{"other port", "http://{hostnameRequest}:9000/x", "ota.example:8443", "http://ota.example:9000/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := place
			p.Host = tt.host
			if got := (download.Link{Template: tt.template}).Expand(&p); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDefaultLinks(t *testing.T) {
	t.Parallel()
	var got []string
	for _, l := range download.DefaultLinks() {
		got = append(got, l.Rel+" "+l.Expand(&download.Place{Scheme: "http", Host: "h:8080", Tenant: "T", ControllerID: "c", Module: 1, Filename: "f"}))
	}
	const file = "http://h:8080/T/controller/v1/c/softwaremodules/1/artifacts/f"
	if d := cmp.Diff([]string{"download-http " + file, "md5sum-http " + file + ".MD5SUM"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestParseLink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want download.Link
		err  string
	}{
		{"download=https://cdn.example/{artifactSHA1}?x=1", download.Link{Rel: "download", Template: "https://cdn.example/{artifactSHA1}?x=1"}, ""},
		{"https://cdn.example/x", download.Link{}, "REL=ADDRESS"},
		{"download=", download.Link{}, "REL=ADDRESS"},
		{"download=https://cdn.example/{sha1}", download.Link{}, "{sha1}, which stands for nothing"},
		{"download=/files/{artifactSHA1}", download.Link{}, "no absolute URL"},
		{"download=https://cdn.example:port/", download.Link{}, "no absolute URL"},
	} {
		got, err := download.ParseLink(tt.text)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v; want %+v, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}
