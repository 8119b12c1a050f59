package identity

import "slices"

// A Permission is the right to do one kind of thing in the caller's tenant
// (spec update-domain 7.1).
type Permission string

// The permissions.
const (
	CreateTarget              Permission = "CREATE_TARGET"
	ReadTarget                Permission = "READ_TARGET"
	UpdateTarget              Permission = "UPDATE_TARGET"
	DeleteTarget              Permission = "DELETE_TARGET"
	ReadTargetSecurityToken   Permission = "READ_TARGET_SECURITY_TOKEN"
	CreateTargetType          Permission = "CREATE_TARGET_TYPE"
	ReadTargetType            Permission = "READ_TARGET_TYPE"
	UpdateTargetType          Permission = "UPDATE_TARGET_TYPE"
	DeleteTargetType          Permission = "DELETE_TARGET_TYPE"
	CreateSoftwareModule      Permission = "CREATE_SOFTWARE_MODULE"
	ReadSoftwareModule        Permission = "READ_SOFTWARE_MODULE"
	UpdateSoftwareModule      Permission = "UPDATE_SOFTWARE_MODULE"
	DeleteSoftwareModule      Permission = "DELETE_SOFTWARE_MODULE"
	ReadArtifact              Permission = "READ_SOFTWARE_MODULE_ARTIFACT"
	CreateSoftwareModuleType  Permission = "CREATE_SOFTWARE_MODULE_TYPE"
	ReadSoftwareModuleType    Permission = "READ_SOFTWARE_MODULE_TYPE"
	UpdateSoftwareModuleType  Permission = "UPDATE_SOFTWARE_MODULE_TYPE"
	DeleteSoftwareModuleType  Permission = "DELETE_SOFTWARE_MODULE_TYPE"
	CreateDistributionSet     Permission = "CREATE_DISTRIBUTION_SET"
	ReadDistributionSet       Permission = "READ_DISTRIBUTION_SET"
	UpdateDistributionSet     Permission = "UPDATE_DISTRIBUTION_SET"
	DeleteDistributionSet     Permission = "DELETE_DISTRIBUTION_SET"
	CreateDistributionSetType Permission = "CREATE_DISTRIBUTION_SET_TYPE"
	ReadDistributionSetType   Permission = "READ_DISTRIBUTION_SET_TYPE"
	UpdateDistributionSetType Permission = "UPDATE_DISTRIBUTION_SET_TYPE"
	DeleteDistributionSetType Permission = "DELETE_DISTRIBUTION_SET_TYPE"
	CreateRollout             Permission = "CREATE_ROLLOUT"
	ReadRollout               Permission = "READ_ROLLOUT"
	UpdateRollout             Permission = "UPDATE_ROLLOUT"
	DeleteRollout             Permission = "DELETE_ROLLOUT"
	HandleRollout             Permission = "HANDLE_ROLLOUT"
	ApproveRollout            Permission = "APPROVE_ROLLOUT"
	CreateAutoAssignment      Permission = "CREATE_AUTO_ASSIGNMENT"
	ReadAutoAssignment        Permission = "READ_AUTO_ASSIGNMENT"
	UpdateAutoAssignment      Permission = "UPDATE_AUTO_ASSIGNMENT"
	DeleteAutoAssignment      Permission = "DELETE_AUTO_ASSIGNMENT"
	HandleAutoAssignment      Permission = "HANDLE_AUTO_ASSIGNMENT"
	ApproveAutoAssignment     Permission = "APPROVE_AUTO_ASSIGNMENT"
	CreateConfiguration       Permission = "CREATE_TENANT_CONFIGURATION"
	ReadConfiguration         Permission = "READ_TENANT_CONFIGURATION"
	UpdateConfiguration       Permission = "UPDATE_TENANT_CONFIGURATION"
	DeleteConfiguration       Permission = "DELETE_TENANT_CONFIGURATION"
	TenantConfiguration       Permission = "TENANT_CONFIGURATION"
	ReadGatewaySecurityToken  Permission = "READ_GATEWAY_SECURITY_TOKEN"
)

// Roles, and the permission names of earlier releases: each stands for the
// authorities that implied lists.
const (
	RoleTargetAdmin     = "ROLE_TARGET_ADMIN"
	RoleRepositoryAdmin = "ROLE_REPOSITORY_ADMIN"
	RoleRolloutAdmin    = "ROLE_ROLLOUT_ADMIN"
	RoleTenantAdmin     = "ROLE_TENANT_ADMIN"
)

// implied says what an authority grants besides itself (update-domain 7.2, and
// 7.5 for the older names).
func implied(authority string) []string {
	switch authority {
	case "CREATE_TARGET", "DELETE_TARGET":
		return []string{"READ_TARGET_TYPE"}
	case "READ_TARGET":
		return []string{"READ_TARGET_TYPE", "READ_AUTO_ASSIGNMENT"}
	case "UPDATE_TARGET":
		return []string{"READ_TARGET_TYPE", "CREATE_AUTO_ASSIGNMENT", "UPDATE_AUTO_ASSIGNMENT", "DELETE_AUTO_ASSIGNMENT"}
	case "CREATE_SOFTWARE_MODULE", "READ_SOFTWARE_MODULE", "UPDATE_SOFTWARE_MODULE", "DELETE_SOFTWARE_MODULE":
		return []string{"READ_SOFTWARE_MODULE_TYPE"}
	case "CREATE_DISTRIBUTION_SET", "READ_DISTRIBUTION_SET", "UPDATE_DISTRIBUTION_SET", "DELETE_DISTRIBUTION_SET":
		return []string{"READ_DISTRIBUTION_SET_TYPE"}
	case "TENANT_CONFIGURATION":
		return append(crud("TENANT_CONFIGURATION"), "READ_GATEWAY_SECURITY_TOKEN")
	case RoleTargetAdmin:
		return slices.Concat(crud("TARGET"), crud("TARGET_TYPE"), []string{"READ_TARGET_SECURITY_TOKEN", "APPROVE_AUTO_ASSIGNMENT", "HANDLE_AUTO_ASSIGNMENT"})
	case RoleRepositoryAdmin:
		return slices.Concat(crud("SOFTWARE_MODULE"), crud("SOFTWARE_MODULE_TYPE"), crud("DISTRIBUTION_SET"), crud("DISTRIBUTION_SET_TYPE"), []string{"READ_SOFTWARE_MODULE_ARTIFACT"})
	case RoleRolloutAdmin, "ROLLOUT_MANAGEMENT":
		return append(crud("ROLLOUT"), "HANDLE_ROLLOUT", "APPROVE_ROLLOUT")
	case RoleTenantAdmin:
		return []string{RoleTargetAdmin, RoleRepositoryAdmin, RoleRolloutAdmin, "TENANT_CONFIGURATION"}
	case "READ_REPOSITORY", "CREATE_REPOSITORY", "UPDATE_REPOSITORY", "DELETE_REPOSITORY":
		verb := authority[:len(authority)-len("REPOSITORY")]
		return []string{verb + "SOFTWARE_MODULE", verb + "SOFTWARE_MODULE_TYPE", verb + "DISTRIBUTION_SET", verb + "DISTRIBUTION_SET_TYPE"}
	case "DOWNLOAD_REPOSITORY_ARTIFACT":
		return []string{"READ_SOFTWARE_MODULE_ARTIFACT"}
	case "READ_TARGETS", "CREATE_TARGETS", "UPDATE_TARGETS", "DELETE_TARGETS":
		return []string{authority[:len(authority)-1]}
	}
	return nil
}

func crud(entity string) []string {
	return []string{"CREATE_" + entity, "READ_" + entity, "UPDATE_" + entity, "DELETE_" + entity}
}

// Permissions is a set of permissions, with everything that they imply.
type Permissions map[Permission]bool

// Expand returns what the granted authorities (permissions and roles) allow.
func Expand(authorities []string) Permissions {
	set := Permissions{}
	var add func(string)
	add = func(a string) {
		if set[Permission(a)] {
			return
		}
		set[Permission(a)] = true
		for _, b := range implied(a) {
			add(b)
		}
	}
	for _, a := range authorities {
		add(a)
	}
	return set
}

// Missing returns the first of the needed permissions that is not in the set,
// or "".
func (p Permissions) Missing(needed ...Permission) Permission {
	for _, n := range needed {
		if !p[n] {
			return n
		}
	}
	return ""
}
