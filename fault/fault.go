// Package fault holds the kinds of error that the whole program shares.
//
// The domain says what went wrong by a Kind and words the message for the
// person who reads it; each edge (management API, device API) has one table
// that says how a kind looks on its wire. An error without a Kind is Internal:
// it is logged once, where it ends, and never shown.
package fault

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Kind says what sort of thing went wrong, in words of the domain.
type Kind int

// The kinds. The text behind a kind says when it is used; what it looks like
// to a client stands in the tables of api/mgmt and api/ddi.
const (
	Internal Kind = iota // a fault of ours, or one nobody foresaw

	// What was sent.
	Unreadable         // not well formed: bad JSON, a word where a number belongs, an unknown enum value
	Invalid            // a rule about a value is broken: length, format, required
	Rejected           // a rule about the request as a whole is broken (hawkBit's ValidationException)
	SortSyntax         // the sort parameter is not field:direction
	SortField          // the sort parameter names an unknown field
	SortDirection      // the sort parameter's direction is neither ASC nor DESC
	QuerySyntax        // the query does not parse, or an operator does not fit its field
	QueryField         // the query names an unknown field, sub-field or enum value
	ConfigKey          // no such configuration key
	ConfigValue        // a configuration value that its key cannot take
	AttributesInvalid  // an attribute of a target has a key or value that is not allowed
	MaintenanceWindow  // a maintenance schedule is not readable or has no window left
	HashMD5            // the uploaded bytes have another MD5 than the client said
	HashSHA1           // likewise SHA-1
	HashSHA256         // likewise SHA-256
	UploadMalformed    // a multipart form that cannot be read
	EncryptionMissing  // an encrypted module was asked for, nothing here encrypts
	KeyOrNameMissing   // a target type without key and name
	IntegrityViolation // a value that the database refuses and that no rule names

	// What it is about.
	NotFound         // no such entity
	Deleted          // the entity is soft-deleted
	Exists           // the natural key is taken
	Locked           // the entity is locked against this change
	ReadOnly         // the entity cannot change any more
	Gone             // the action is closed: the device learns to stop
	NotThere         // the resource stands for a state that the action is not in
	ForeignAction    // the action is another target's
	BinaryGone       // the bytes of an artifact were removed with its module
	BinaryMissing    // the bytes of an artifact should be in the blob store and are not
	InUse            // a target type that targets still have
	SetInvalid       // the distribution set was invalidated
	SetIncomplete    // the distribution set lacks modules
	ModuleUnsuited   // the module's type is not part of the set's type
	ModuleNotInType  // the module type is not in this list of the set type
	ModuleUnassigned // the module is not part of anything this target was told to install
	TypeIncompatible // the set's type does not fit the target's type

	// What may be done now.
	Forbidden          // the caller lacks a permission
	NotCancelable      // the action cannot be canceled in its state
	NotForceQuitable   // the action cannot be force quit in its state
	NotDeletable       // the action's status is not among those that may be deleted
	ConflictingOrders  // one request wants two things of one target
	AutoConfirmActive  // auto-confirmation is on already
	AutoAssignType     // an auto-assignment cannot have this action type
	AutoAssignState    // an auto-assignment is not in the state that the call needs
	RolloutState       // a rollout is not in the state that the call needs
	ConcurrentChange   // a race was lost; the same call may work when repeated
	PreconditionFailed // an If-Match does not match
	Quota              // too many of something
	QuotaFileSize      // an artifact is too large
	QuotaStorage       // the tenant's artifact storage is full
	TenantUnknown      // no such tenant
	Unavailable        // the database or the disk cannot be used right now; a later try may work
	Unauthenticated    // nobody we know
	TooLarge           // the body is larger than this route reads
	kindCount          // keep last
)

// Kinds returns every kind, so that tables over them can be tested for holes.
func Kinds() []Kind {
	all := make([]Kind, kindCount)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Entity names what an error is about, for clients that read the body's info.
type Entity struct {
	Type string // "Target", "DistributionSet", …, as the management contract spells it
	ID   any    // string, int64, or a list of them where several are missing
}

// Error is an error with a kind. Message is written for the person who asked.
type Error struct {
	Kind    Kind
	Message string
	Entity  *Entity // nil unless the contract wants the entity in the body
	Err     error   // the cause, for the log; never shown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the kind with a message made as by fmt.Sprintf.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the kind that keeps err as its cause.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// Missing says that no entity of the type has this id.
func Missing(entity string, id any) *Error {
	return &Error{
		Kind:    NotFound,
		Message: fmt.Sprintf("There is no %s with the identifier %v.", entity, id),
		Entity:  &Entity{Type: entity, ID: id},
	}
}

// MissingAll says that no entities of the type have these ids; their list
// stands in the body as text, also when there is one.
func MissingAll(entity string, ids ...int64) *Error {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	return &Error{
		Kind:    NotFound,
		Message: fmt.Sprintf("There are no %ss with the identifiers %s.", entity, strings.Join(list, ", ")),
		Entity:  &Entity{Type: entity, ID: list},
	}
}

// SoftDeleted says that the entity is there for the record only.
func SoftDeleted(entity string, id any) *Error {
	return New(Deleted, "The %s with the identifier %v is deleted and kept for the record only.", entity, id)
}

// KindOf returns the kind of the first *Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err has the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message returns what err says to the person who asked, or nothing if it has
// no kind.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal {
		return e.Message
	}
	return ""
}
