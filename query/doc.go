// Package query reads what a client asks of a list: which entities (the query
// language of the q parameter), in which order, and which page of them.
//
// It turns text into values and knows no SQL. A domain package declares with
// Fields what its entities can be asked about; Parse reads a query into a tree
// of And, Or and Comparison and has then checked everything that can be checked
// without the data: syntax, fields, operators, numbers, names of enums. Package
// store turns the tree into a condition.
//
// The language is RSQL as the management contract knows it (spec
// management-api 3): the text is lower-cased as a whole, so a query is never
// sensitive to case, and *, null and the empty text have the meanings that the
// comments on Op tell.
//
// Errors are *fault.Error values of the kinds QuerySyntax, QueryField,
// Unreadable (a word where a number belongs), SortSyntax, SortField and
// SortDirection. Their messages say where the fault is, what would have been
// right and, for a misspelt name, which one is near.
package query
