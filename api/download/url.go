package download

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// A Link is one address under which devices find an artifact (device-apis
// A.12), or its MD5SUM.
type Link struct {
	Rel      string // of the link in device documents
	Template string // an address with placeholders, see Expand
	MD5Sum   bool   // of the MD5SUM: the same address, with the suffix
}

// DefaultLinks are the links that every client knows. Their names say http
// whatever the scheme is, because that is what clients look for.
func DefaultLinks() []Link {
	const own = "{protocolRequest}://{hostnameRequest}:{portRequest}/{tenant}/controller/v1/{controllerId}/softwaremodules/{softwareModuleId}/artifacts/{artifactFileName}"
	return []Link{
		{Rel: "download-http", Template: own},
		{Rel: "md5sum-http", Template: own, MD5Sum: true},
	}
}

// ParseLink reads REL=TEMPLATE, as an operator writes a link to a mirror. The
// error says what is wrong with it.
func ParseLink(text string) (Link, error) {
	rel, template, ok := strings.Cut(text, "=")
	rel, template = strings.TrimSpace(rel), strings.TrimSpace(template)
	if !ok || rel == "" || template == "" {
		return Link{}, fmt.Errorf("%q is not of the form REL=ADDRESS, such as download=https://cdn.example.com/{artifactSHA1}", text)
	}
	if name, unknown := unknownPlaceholder(template); unknown {
		return Link{}, fmt.Errorf("the address %q has the placeholder {%s}, which stands for nothing; there are %s", template, name, strings.Join(placeholders(), ", "))
	}
	u, err := url.Parse(Link{Template: template}.Expand(&Place{Scheme: "https", Host: "host", Tenant: "t", ControllerID: "c", Filename: "f", SHA1: "s"}))
	if err != nil || u.Host == "" {
		return Link{}, fmt.Errorf("the address %q is no absolute URL, such as https://cdn.example.com/{artifactSHA1}", template)
	}
	return Link{Rel: rel, Template: template}, nil
}

// A Place is what the placeholders of a Link stand for.
type Place struct {
	Scheme       string // of the request
	Host         string // of the request, with its port unless that is the scheme's own
	Tenant       string // canonical
	ControllerID string
	Module       int64
	Filename     string
	SHA1         string
}

// Expand puts the values of a place into the template, each escaped as one
// segment of a path. A port vanishes together with its colon when it is the
// scheme's own.
func (l Link) Expand(p *Place) string {
	host, port, err := net.SplitHostPort(p.Host)
	if err != nil {
		host, port = p.Host, ""
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	colonPort := ""
	if port != "" {
		colonPort = ":" + port
	}
	address := strings.NewReplacer(
		"{protocolRequest}", p.Scheme,
		"{hostnameRequest}", host,
		":{portRequest}", colonPort,
		"{portRequest}", port,
		"{tenant}", Escape(p.Tenant),
		"{controllerId}", Escape(p.ControllerID),
		"{softwareModuleId}", fmt.Sprint(p.Module),
		"{artifactFileName}", Escape(p.Filename),
		"{artifactSHA1}", p.SHA1,
	).Replace(l.Template)
	if l.MD5Sum {
		address += ".MD5SUM"
	}
	return address
}

func placeholders() []string {
	return []string{"{protocolRequest}", "{hostnameRequest}", "{portRequest}", "{tenant}", "{controllerId}", "{softwareModuleId}", "{artifactFileName}", "{artifactSHA1}"}
}

func unknownPlaceholder(template string) (string, bool) {
	for _, known := range placeholders() {
		template = strings.ReplaceAll(template, known, "")
	}
	_, rest, ok := strings.Cut(template, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name, ok
}

// Escape escapes a text as one segment of a path: everything but letters,
// digits and -._~ (device-apis A.1). A blank becomes %20, never a plus sign,
// which would be one.
func Escape(s string) string {
	const hex = "0123456789ABCDEF"
	clean := true
	for i := range len(s) {
		clean = clean && unreserved(s[i])
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
