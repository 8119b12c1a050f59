//go:build !linux

package store

func letOthersFirst() {}

func isMainThread() bool { return false }
