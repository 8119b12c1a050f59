// Command bench measures the server as devices see it and prints what it found
// as the tables of docs/benchmarks.md. `make bench` runs it.
//
// Every server is a process of its own, otactl simulate plays the devices, and
// next to the servers stands the ceiling: the same HTTP server with the same
// limits, answering a constant document. They are measured in turn, round by
// round, so that what else the machine does meets all of them; medians count.
// Ratios of one run can be compared between machines; rates cannot.
package main
