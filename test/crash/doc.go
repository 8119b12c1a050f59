// Package crash holds tests that take the built server away from under its
// clients, and the disk and the database away from under the server: nothing
// that was acknowledged may be lost, and nothing may be left half done.
//
// They run with go test. OTARIA_CRASH_FOR (such as 10m) says how long the server
// is killed again and again on each database, instead of some seconds.
package crash
