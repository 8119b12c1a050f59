// Package simulator plays devices, from one to a million and more, against any
// server that speaks the device API (DDI) of hawkBit. It knows that API alone:
// a device polls, sends its attributes when asked, answers a request for
// consent, follows a deployment from the first report to the last, downloads
// and checks what it is told to install, and confirms a cancellation.
//
// A device costs about a hundred bytes and no goroutine: an agenda (a timer
// wheel) says whose turn it is, and a few workers, each with a connection of
// its own that it keeps alive, play one visit after the other. What a device
// does is decided by the seed alone, so that a run can be repeated.
//
// A [Report] counts the requests by kind, how long they took, what went wrong,
// and what became of the updates.
package simulator
