//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// signer signs images with openssl, as a release pipeline does.
type signer struct{ key, cert string }

func newSigner(t *testing.T, name string) signer {
	t.Helper()
	dir := t.TempDir()
	s := signer{key: filepath.Join(dir, "key.pem"), cert: filepath.Join(dir, "cert.pem")}
	run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", s.key, "-out", s.cert, "-subj", "/CN="+name, "-days", "2",
		"-addext", "keyUsage=digitalSignature", "-addext", "extendedKeyUsage=emailProtection")
	return s
}

// image is a .swu that installs one file.
type image struct {
	app    []byte
	path   string // where the device puts it
	signer signer
	tamper bool // change the file after its hash was signed
}

func (i image) build(t *testing.T) []byte {
	t.Helper()
	description := fmt.Appendf(nil, `software = {
  version = "1.0.0";
  hardware-compatibility: [ "1.0" ];
  files: ({ filename = "app.bin"; path = %q; sha256 = "%x"; });
}
`, i.path, sha256.Sum256(i.app))

	dir := t.TempDir()
	in, out := filepath.Join(dir, "sw-description"), filepath.Join(dir, "sw-description.sig")
	if err := os.WriteFile(in, description, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "openssl", "cms", "-sign", "-binary", "-nosmimecap", "-md", "sha256", "-outform", "DER",
		"-in", in, "-out", out, "-signer", i.signer.cert, "-inkey", i.signer.key)
	signature, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}

	app := bytes.Clone(i.app)
	if i.tamper {
		app[len(app)/2] ^= 1
	}
	var b bytes.Buffer
	cpio(&b, "sw-description", description)
	cpio(&b, "sw-description.sig", signature)
	cpio(&b, "app.bin", app)
	cpio(&b, "TRAILER!!!", nil)
	return b.Bytes()
}

// cpio appends a file to an archive in cpio's "crc" format.
func cpio(b *bytes.Buffer, name string, data []byte) {
	var sum uint32
	for _, c := range data {
		sum += uint32(c)
	}
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	fmt.Fprintf(b, "070702%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		0, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, sum, name)
	pad()
	b.Write(data)
	pad()
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}
