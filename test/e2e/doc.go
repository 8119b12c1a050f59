// Package e2e holds tests that run the built server with device clients made
// by others. They need the build tag e2e and the programs that make test
// installs: swupdate and openssl.
package e2e
