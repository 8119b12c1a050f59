package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/tenant"
)

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want []string // networks
		err  bool
	}{
		{"this machine by default", nil, []string{"127.0.0.0/8", "::1/128"}, false},
		{"given ones in place of it", []string{"--trusted-proxies=10.0.0.0/8, 192.0.2.7"}, []string{"10.0.0.0/8", "192.0.2.7/32"}, false},
		{"nobody", []string{"--trusted-proxies=none"}, nil, false},
		{"nobody and somebody", []string{"--trusted-proxies=none,::1"}, nil, true},
		{"a name", []string{"--trusted-proxies=localhost"}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c commands
			parser, err := kong.New(&c, kong.Vars{"version": "test"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(append([]string{"serve"}, tt.args...)); err != nil {
				t.Fatal(err)
			}
			got, err := networks(c.Serve.TrustedProxies)
			if (err != nil) != tt.err {
				t.Fatalf("error %v, want one: %v", err, tt.err)
			}
			var want []netip.Prefix
			for _, p := range tt.want {
				want = append(want, netip.MustParsePrefix(p))
			}
			if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestArtifactLinks(t *testing.T) {
	t.Parallel()
	got, err := artifactLinks([]string{"download=https://cdn.example/{artifactSHA1}", "md5sum-http=https://cdn.example/{artifactSHA1}.md5"})
	if err != nil {
		t.Fatal(err)
	}
	var rels []string
	for _, l := range got {
		rels = append(rels, l.Rel)
	}
	if d := cmp.Diff([]string{"download-http", "download", "md5sum-http"}, rels); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if _, err := artifactLinks([]string{"download"}); err == nil {
		t.Error("a link without an address was taken")
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "otaria.yaml")
	if err := os.WriteFile(file, []byte("max-upload: 4096\nquotas:\n  targetsPerRolloutGroup: 200000\n  artifactStorage: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := tenant.DefaultQuotas()
	fromFile.ArtifactSize, fromFile.TargetsPerGroup, fromFile.ArtifactStorage = 4096, 200_000, 0
	fromFlags := tenant.DefaultQuotas()
	fromFlags.ArtifactSize, fromFlags.GroupsPerRollout = 7, -1
	for _, tt := range []struct {
		name string
		args []string
		want tenant.Quotas
	}{
		{"of the file", nil, fromFile},
		{"of the command line in their place", []string{"--quotas=groupsPerRollout=-1,artifactSize=7"}, fromFlags},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c commands
			parser, err := kong.New(&c, kong.Vars{"version": "test"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseWithFile(parser, &c, append([]string{"serve", "--config", file}, tt.args...)); err != nil {
				t.Fatal(err)
			}
			got, err := c.Serve.quotas()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
