package tenant

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
