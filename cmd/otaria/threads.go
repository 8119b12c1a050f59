package main

// moreThreads is how many more goroutines than there are processors may compute at
// the same time where the database is SQLite.
//
// SQLite computes within this process, for tens of milliseconds without a break: a
// step of background work, a filter over a million targets. Go lets a goroutine
// compute for 10 ms before another one has its turn, and for longer when the system
// gives the processor to another program meanwhile: all that waits behind it, waits.
// The system's own scheduler lets a thread go first that has waited. With two to
// spare, polls are answered while a change and a filter compute.
const moreThreads = 2

// threads is how many goroutines may compute at the same time on so many processors.
// Whoever sets GOMAXPROCS has said it.
func threads(processors int, databaseURL, gomaxprocs string) int {
	if databaseURL != "" || gomaxprocs != "" {
		return processors
	}
	return processors + moreThreads
}
