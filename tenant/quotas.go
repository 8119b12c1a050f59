package tenant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Quotas bound what a tenant may have and one request may ask for (spec
// management-api 4.3). Zero or less means no limit.
type Quotas struct {
	EntriesPerAction    int // status reports
	MessagesPerEntry    int
	AttributesPerTarget int
	MetadataPerEntity   int // of a target, a distribution set or a software module
	ModulesPerSet       int
	ModuleTypesPerType  int // of distribution set types
	SetTypesPerType     int // of target types
	ArtifactsPerModule  int
	ArtifactSize        int64 // bytes
	ArtifactStorage     int64 // bytes per tenant
	GroupsPerRollout    int
	TargetsPerGroup     int // of a rollout
	ActionsPerTarget    int
	TargetsPerRequest   int // of an assignment
	TargetsPerAutoRule  int // matched by an auto-assignment when it is created
}

// DefaultQuotas are those of the contract.
func DefaultQuotas() Quotas {
	return Quotas{
		EntriesPerAction:    1000,
		MessagesPerEntry:    50,
		AttributesPerTarget: 100,
		MetadataPerEntity:   100,
		ModulesPerSet:       100,
		ModuleTypesPerType:  50,
		SetTypesPerType:     50,
		ArtifactsPerModule:  50,
		ArtifactSize:        1 << 30,
		ArtifactStorage:     20 << 30,
		GroupsPerRollout:    500,
		TargetsPerGroup:     20_000,
		ActionsPerTarget:    2000,
		TargetsPerRequest:   5000,
		TargetsPerAutoRule:  20_000,
	}
}

// Exceeds reports whether a number is beyond a quota.
func Exceeds[N int | int64](n, quota N) bool { return quota > 0 && n > quota }

// A QuotaName names a quota, in the configuration and in the API.
type QuotaName string

// ArtifactStorage is the one quota that a tenant as a whole uses up; the others
// bound one entity or one request.
const ArtifactStorage QuotaName = "artifactStorage"

// A Quota says what a quota bounds.
type Quota struct {
	Name  QuotaName
	Bytes bool   // not a number of entities
	About string // in a few words
	at    func(*Quotas) any
}

// QuotaList lists every quota, in the order of the contract.
func QuotaList() []Quota {
	return []Quota{
		{"statusReportsPerAction", false, "Reports that an action keeps.", func(q *Quotas) any { return &q.EntriesPerAction }},
		{"messagesPerStatusReport", false, "Messages of one report.", func(q *Quotas) any { return &q.MessagesPerEntry }},
		{"attributesPerTarget", false, "Attributes that a device says of itself.", func(q *Quotas) any { return &q.AttributesPerTarget }},
		{"metadataPerEntity", false, "Metadata of a target, a distribution set or a software module.", func(q *Quotas) any { return &q.MetadataPerEntity }},
		{"modulesPerDistributionSet", false, "Software modules of a distribution set.", func(q *Quotas) any { return &q.ModulesPerSet }},
		{"moduleTypesPerDistributionSetType", false, "Software module types of a distribution set type.", func(q *Quotas) any { return &q.ModuleTypesPerType }},
		{"distributionSetTypesPerTargetType", false, "Distribution set types of a target type.", func(q *Quotas) any { return &q.SetTypesPerType }},
		{"artifactsPerModule", false, "Artifacts of a software module.", func(q *Quotas) any { return &q.ArtifactsPerModule }},
		{"artifactSize", true, "Size of one artifact.", func(q *Quotas) any { return &q.ArtifactSize }},
		{ArtifactStorage, true, "Size of all artifacts together; equal content counts each time.", func(q *Quotas) any { return &q.ArtifactStorage }},
		{"groupsPerRollout", false, "Groups of a rollout.", func(q *Quotas) any { return &q.GroupsPerRollout }},
		{"targetsPerRolloutGroup", false, "Targets of a rollout's group.", func(q *Quotas) any { return &q.TargetsPerGroup }},
		{"actionsPerTarget", false, "Actions of a target, those that are done too.", func(q *Quotas) any { return &q.ActionsPerTarget }},
		{"targetsPerAssignment", false, "Targets that one request assigns to.", func(q *Quotas) any { return &q.TargetsPerRequest }},
		{"targetsPerAutoAssignment", false, "Targets that an auto-assignment matches when it is created.", func(q *Quotas) any { return &q.TargetsPerAutoRule }},
	}
}

// Limit returns the quota's limit among these; not positive: none.
func (q Quota) Limit(of Quotas) int64 {
	if n, ok := q.at(&of).(*int64); ok {
		return *n
	}
	return int64(*q.at(&of).(*int))
}

// With returns the quotas with other limits for some. A name that no quota has
// is an error, which suggests the nearest one.
func (q Quotas) With(limits map[QuotaName]int64) (Quotas, error) {
	list := QuotaList()
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		i := slices.IndexFunc(list, func(d Quota) bool { return d.Name == name })
		if i < 0 {
			return q, fmt.Errorf("unknown quota %q; did you mean %q?", name, nearestQuota(string(name)))
		}
		switch at := list[i].at(&q).(type) {
		case *int64:
			*at = limits[name]
		case *int:
			*at = int(limits[name])
		}
	}
	return q, nil
}

func nearestQuota(name string) QuotaName {
	plain := strings.NewReplacer("-", "", "_", "", ".", "")
	name = strings.ToLower(plain.Replace(name))
	edits := func(q Quota) int { return distance(name, strings.ToLower(string(q.Name))) }
	return slices.MinFunc(QuotaList(), func(a, b Quota) int { return edits(a) - edits(b) }).Name
}
