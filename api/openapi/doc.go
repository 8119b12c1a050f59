// Package openapi makes the OpenAPI 3.1 documents of the APIs from the tables of
// routes that serve the requests, so that the two cannot drift: a route that is
// added is documented, a field of a wire type that is renamed is renamed here.
//
// An edge describes itself as an API, with one Operation for each of its routes.
// Bodies are given as values of their wire types; New reflects them into JSON
// Schema 2020-12 by the rules that httpjson.Read and httpjson.Write follow:
//
//   - a member is named by its json tag, those of embedded structs lie flat
//   - of an answer, every member is there unless it is omitempty or omitzero; a
//     pointer that is not may be null
//   - of a request, only members tagged bind:"required", which the reader wants,
//     or doc:"required", which a rule of the domain wants, must be there; other
//     pointers may be null unless tagged bind; the leniency of the reader (texts for
//     numbers, positions for literals, one for a list of one) is not promised
//   - httpjson.Links, httpjson.Value and httpjson.Enum are what they are on the
//     wire; a text tagged enum:"a,b" is one of these; no number is unsigned, and int64 says so by its format
//
// A schema is named after its Go type, without Body at the end: setBody is Set,
// listBody[setBody] is SetList. Names are part of what clients generate code
// from, so New refuses two types of one name.
package openapi
