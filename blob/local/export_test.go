package local

// Unavailable is unavailable, to test what it says without breaking a disk.
func Unavailable(cause error) error { return unavailable(cause) }
