package tenant_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otaria/otaria/tenant"
)

// Every quota has a name by which its limit is set and read.
func TestEveryQuotaHasAName(t *testing.T) {
	t.Parallel()
	limits := map[tenant.QuotaName]int64{}
	for i, q := range tenant.QuotaList() {
		limits[q.Name] = int64(i + 1)
	}
	got, err := tenant.DefaultQuotas().With(limits)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(got)
	fields := map[int64]string{}
	for i := range v.NumField() {
		fields[v.Field(i).Int()] = v.Type().Field(i).Name
	}
	for i, q := range tenant.QuotaList() {
		if n := q.Limit(got); n != int64(i+1) || fields[n] == "" {
			t.Errorf("%s is %d, want %d", q.Name, n, i+1)
		}
	}
	if len(fields) != len(limits) || v.NumField() != len(limits) {
		t.Errorf("%d fields, %d names", v.NumField(), len(limits))
	}
}

func TestQuotasWith(t *testing.T) {
	t.Parallel()
	for name, want := range map[tenant.QuotaName]string{
		"targetsPerRolloutGroups":   "targetsPerRolloutGroup",
		"targets-per-rollout-group": "targetsPerRolloutGroup",
		"ARTIFACT_STORAGE":          "artifactStorage",
		"":                          "artifactSize",
	} {
		got, err := tenant.DefaultQuotas().With(map[tenant.QuotaName]int64{name: 1})
		if err == nil || !strings.Contains(err.Error(), `did you mean "`+want+`"`) {
			t.Errorf("%q: %v, want %s suggested", name, err, want)
		}
		if d := cmp.Diff(tenant.DefaultQuotas(), got); d != "" {
			t.Errorf("%q changed something: %s", name, d)
		}
	}
}
