package ddi

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
)

// errorBody is what devices get to read (device-apis A.1).
type errorBody struct {
	ErrorCode      string     `json:"errorCode,omitempty"`
	ExceptionClass string     `json:"exceptionClass,omitempty"`
	Info           *errorInfo `json:"info,omitempty"`
	Message        string     `json:"message,omitempty"`
}

type errorInfo struct {
	EntityID any    `json:"entityId"`
	Type     string `json:"type"`
}

// A reply is how one kind of fault looks to a device. Without code and class
// the body is empty.
type reply struct {
	status      int
	code, class string
}

const (
	codePrefix = "hawkbit.server.error."
	repository = "org.eclipse.hawkbit.repository.exception."
	unreadable = "org.eclipse.hawkbit.rest.exception.MessageNotReadableException"
)

// replies says how each kind of fault that a device can meet looks to it. A
// kind that is not listed is a fault of ours.
func replies() map[fault.Kind]reply {
	return map[fault.Kind]reply{
		fault.Unreadable:         {http.StatusBadRequest, "rest.body.notReadable", unreadable},
		fault.TooLarge:           {http.StatusRequestEntityTooLarge, "rest.body.notReadable", unreadable},
		fault.Invalid:            {http.StatusBadRequest, "repo.constraintViolation", "jakarta.validation.ConstraintViolationException"},
		fault.IntegrityViolation: {http.StatusBadRequest, "repo.constraintViolation", "jakarta.validation.ConstraintViolationException"},
		fault.AttributesInvalid:  {http.StatusBadRequest, "repo.invalidTargetAttributes", repository + "InvalidTargetAttributeException"},
		fault.SetIncomplete:      {http.StatusBadRequest, "distributionset.incomplete", repository + "IncompleteDistributionSetException"},
		fault.SetInvalid:         {http.StatusBadRequest, "distributionset.invalid", repository + "InvalidDistributionSetException"},
		fault.TypeIncompatible:   {http.StatusBadRequest, "target.type.incompatible", repository + "IncompatibleTargetTypeException"},
		fault.Unauthenticated:    {http.StatusUnauthorized, "", ""},
		fault.Forbidden:          {http.StatusForbidden, "insufficientPermission", repository + "InsufficientPermissionException"},
		fault.NotFound:           {http.StatusNotFound, "repo.entityNotFound", repository + "EntityNotFoundException"},
		fault.ForeignAction:      {http.StatusNotFound, "repo.entityNotFound", repository + "EntityNotFoundException"},
		fault.ModuleUnassigned:   {http.StatusNotFound, "repo.entityNotFound", repository + "SoftwareModuleNotAssignedToTargetException"},
		fault.Deleted:            {http.StatusNotFound, "deleted", repository + "DeletedException"},
		fault.NotThere:           {http.StatusNotFound, "", ""},
		fault.NotCancelable:      {http.StatusMethodNotAllowed, "action.notCancelable", repository + "CancelActionNotAllowedException"},
		fault.AutoConfirmActive:  {http.StatusConflict, "repo.autoConfAlreadyActive", repository + "AutoConfirmationAlreadyActiveException"},
		fault.ConcurrentChange:   {http.StatusConflict, "repo.concurrentModification", repository + "ConcurrentModificationException"},
		fault.Exists:             {http.StatusConflict, "repo.concurrentModification", repository + "ConcurrentModificationException"},
		fault.Gone:               {http.StatusGone, "", ""},
		fault.BinaryGone:         {http.StatusGone, "artifact.binaryDeleted", "org.eclipse.hawkbit.artifact.exception.ArtifactBinaryNoLongerExistsException"},
		fault.BinaryMissing:      {http.StatusGone, "artifact.binaryDeleted", "org.eclipse.hawkbit.artifact.exception.ArtifactBinaryNotFoundException"},
		fault.PreconditionFailed: {http.StatusPreconditionFailed, "", ""},
		fault.Quota:              {http.StatusTooManyRequests, "quota.tooManyEntries", repository + "AssignmentQuotaExceededException"},
		fault.Unavailable:        {http.StatusServiceUnavailable, "", ""},
	}
}

// fail answers a request that ended in err. An unavailable database tells the
// device when to come back.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	rep, ok := replies()[kind]
	if !ok {
		if r.Context().Err() == nil {
			a.Log.ErrorContext(r.Context(), "device request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		httpjson.WriteFramework(w, r, http.StatusInternalServerError)
		return
	}
	if kind == fault.Unavailable {
		w.Header().Set("Retry-After", "30")
	}
	if rep.code == "" {
		httpjson.Empty(w, rep.status)
		return
	}
	body := errorBody{ErrorCode: codePrefix + rep.code, ExceptionClass: rep.class}
	var f *fault.Error
	if errors.As(err, &f) {
		body.Message = f.Message
		if f.Entity != nil {
			body.Info = &errorInfo{f.Entity.ID, f.Entity.Type}
		}
	}
	if err := httpjson.WriteError(w, r, rep.status, body); err != nil {
		a.Log.ErrorContext(r.Context(), "error body could not be encoded", slog.Any("error", err))
	}
}
