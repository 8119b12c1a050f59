package rollout

// AutoAssignmentStatusNames are the states of an auto-assignment as the
// management API spells them, by number.
func AutoAssignmentStatusNames() []string {
	return []string{"waiting_for_approval", "approval_denied", "ready", "paused", "running"}
}
