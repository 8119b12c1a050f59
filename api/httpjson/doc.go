// Package httpjson is the HTTP layer that the management API and the device
// API share: it reads requests and writes answers the way the compatible
// contracts want them, so that the two edges hold handlers and tables only.
//
// A request travels from the outside in:
//
//	Forwarding   who asks and under which address, as far as trusted proxies say so
//	Hygiene      refuses paths that two parsers could read in two ways
//	…            authentication, of the edge
//	NewMux       404, 405, 415, 406, then the Route's handler; its error goes to Options.OnError
//	Read         body to struct: charsets, strict syntax, lenient binding; JSON and CBOR
//	Write        struct to body: JSON, HAL or CBOR, with length and ETag
//
// # How Write knows the type
//
// The mux negotiates before it calls the handler and leaves the outcome in the
// Content-Type of the answer's header. Write and Send take it from there. So
// there is nothing in the request's context, and no ResponseWriter is wrapped:
// a handler that streams a file keeps sendfile and only has to set its own
// Content-Type. A handler that answers without a body uses Empty or NoContent,
// which take the type away again.
//
// # Reading
//
// A body is first checked as a whole (syntax, nesting, length of numbers), then
// only the parts that the destination has a field for are looked at: what is
// unknown costs no memory. CBOR is turned into JSON text on the way in, and
// goes the same way from there. Rules of binding stand at Read.
//
// Every error of a reader is a fault.Unreadable (or fault.TooLarge) whose
// message names the place: `status.result.finished: "maybe" is none of success,
// failure, none`.
package httpjson
