package mgmt_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/otaria/otaria/api/mgmt"
	"github.com/otaria/otaria/fault"
)

func TestEveryRouteNamesItsPermission(t *testing.T) {
	t.Parallel()
	for _, r := range mgmt.RouteFacts() {
		if len(r.Needs) == 0 && r.Path != "/rest/v1/userinfo" && r.Path != "/rest/v1/events" && !strings.HasPrefix(r.Path, "/rest/v1/system/configs") {
			t.Errorf("%s %s can be called by every operator", r.Method, r.Path)
		}
	}
}

func TestEveryKindOfFaultHasAFace(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		if !mgmt.HasReply(k) {
			t.Errorf("kind %d has no reply", k)
		}
	}
}

// An operator without permissions gets nowhere, whatever the route.
func TestNobodyWithoutPermissionGetsIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nobody := s.as(t, "nobody")
	id := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range mgmt.RouteFacts() {
		if r.Path == "/rest/v1/userinfo" {
			continue
		}
		body := ""
		if r.HasBody {
			body = "[]"
		}
		path := strings.TrimPrefix(id.ReplaceAllString(r.Path, "1"), "/rest/v1")
		headers := []string{}
		if strings.HasSuffix(r.Path, "/artifacts") && r.Method == http.MethodPost {
			headers = []string{"Content-Type", "multipart/form-data; boundary=b"}
		}
		if w := nobody.do(t, r.Method, path, body, headers...); w.Code < 400 || w.Code == http.StatusNotFound {
			t.Errorf("%s %s without any permission: %d %s", r.Method, path, w.Code, w.Body)
		}
	}
}
