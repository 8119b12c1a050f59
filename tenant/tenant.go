// Package tenant knows the tenants and their settings.
//
// A tenant is sealed from every other: its ID stands first in every key and in
// every store method, so that a query without it does not compile.
package tenant

import "strings"

// ID is the key of a tenant. Zero is nobody's and matches nothing.
type ID int64

// MaxName is the longest tenant name, in characters (spec update-domain 1.1).
const MaxName = 40

// Canonical returns the form in which a tenant's name is stored and compared.
func Canonical(name string) string { return strings.ToUpper(name) }
