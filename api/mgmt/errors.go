package mgmt

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/fault"
)

// errorBody is what clients get to read (management-api 1.10). Clients compare
// exceptionClass and errorCode; message is for people.
type errorBody struct {
	ExceptionClass string     `json:"exceptionClass,omitempty"`
	ErrorCode      string     `json:"errorCode,omitempty"`
	Message        string     `json:"message,omitempty"`
	Info           *errorInfo `json:"info,omitempty"`
}

type errorInfo struct {
	Type     string `json:"type"`
	EntityID any    `json:"entityId"`
}

// A reply is how one kind of fault looks to a management client.
type reply struct {
	status int
	code   string // errorCode without its prefix; empty and without class: an empty body
	class  string // exceptionClass
}

const (
	codePrefix = "hawkbit.server.error."
	repository = "org.eclipse.hawkbit.repository.exception."
	artifact   = "org.eclipse.hawkbit.artifact.exception."
	resource   = "org.eclipse.hawkbit.mgmt.rest.resource.exception."
)

// replies says how each kind of fault looks to a management client (1.10,
// 1.11). A test walks all kinds, so that a new one cannot be forgotten here.
func replies() map[fault.Kind]reply {
	return map[fault.Kind]reply{
		fault.Internal:           {http.StatusInternalServerError, "", ""},
		fault.Unreadable:         {http.StatusBadRequest, "rest.body.notReadable", "org.eclipse.hawkbit.rest.exception.MessageNotReadableException"},
		fault.Invalid:            {http.StatusBadRequest, "repo.constraintViolation", "jakarta.validation.ConstraintViolationException"},
		fault.Rejected:           {http.StatusBadRequest, "repo.constraintViolation", "jakarta.validation.ValidationException"},
		fault.SortSyntax:         {http.StatusBadRequest, "rest.param.sortParamSyntax", resource + "SortParameterSyntaxErrorException"},
		fault.SortField:          {http.StatusBadRequest, "rest.param.invalidField", resource + "SortParameterUnsupportedFieldException"},
		fault.SortDirection:      {http.StatusBadRequest, "rest.param.invalidDirection", resource + "SortParameterUnsupportedDirectionException"},
		fault.QuerySyntax:        {http.StatusBadRequest, "rest.param.rsqlParamSyntax", repository + "RSQLParameterSyntaxException"},
		fault.QueryField:         {http.StatusBadRequest, "rest.param.rsqlInvalidField", repository + "RSQLParameterUnsupportedFieldException"},
		fault.ConfigKey:          {http.StatusBadRequest, "configKeyInvalid", repository + "InvalidTenantConfigurationKeyException"},
		fault.ConfigValue:        {http.StatusBadRequest, "configValueInvalid", repository + "TenantConfigurationValidatorException"},
		fault.AttributesInvalid:  {http.StatusBadRequest, "repo.invalidTargetAttributes", repository + "InvalidTargetAttributeException"},
		fault.MaintenanceWindow:  {http.StatusBadRequest, "maintenanceScheduleInvalid", repository + "InvalidMaintenanceScheduleException"},
		fault.HashMD5:            {http.StatusBadRequest, "artifact.uploadFailed.checksum.md5.match", repository + "InvalidMd5HashException"},
		fault.HashSHA1:           {http.StatusBadRequest, "artifact.uploadFailed.checksum.sha1.match", repository + "InvalidSha1HashException"},
		fault.HashSHA256:         {http.StatusBadRequest, "artifact.uploadFailed.checksum.sha256.match", repository + "InvalidSha256HashException"},
		fault.UploadMalformed:    {http.StatusBadRequest, "artifact.uploadFailed", "org.eclipse.hawkbit.rest.exception.MultiPartFileUploadException"},
		fault.EncryptionMissing:  {http.StatusBadRequest, "artifact.encryptionNotSupported", artifact + "ArtifactEncryptionUnsupportedException"},
		fault.KeyOrNameMissing:   {http.StatusBadRequest, "target.type.keyOrNameRequired", repository + "TargetTypeKeyOrNameRequiredException"},
		fault.IntegrityViolation: {http.StatusBadRequest, "", "org.springframework.dao.DataIntegrityViolationException"},
		fault.NotFound:           {http.StatusNotFound, "repo.entityNotFound", repository + "EntityNotFoundException"},
		fault.Deleted:            {http.StatusNotFound, "deleted", repository + "DeletedException"},
		fault.Exists:             {http.StatusConflict, "repo.entityAlreadyExists", repository + "EntityAlreadyExistsException"},
		fault.Locked:             {http.StatusLocked, "locked", repository + "LockedException"},
		fault.ReadOnly:           {http.StatusForbidden, "entityReadOnly", repository + "EntityReadOnlyException"},
		fault.Gone:               {http.StatusGone, "", ""},
		fault.NotThere:           {http.StatusNotFound, "", ""},
		fault.ForeignAction:      {http.StatusNotFound, "", ""},
		fault.BinaryGone:         {http.StatusGone, "artifact.binaryDeleted", artifact + "ArtifactBinaryNoLongerExistsException"},
		fault.BinaryMissing:      {http.StatusInternalServerError, "artifact.loadFailed", artifact + "ArtifactBinaryNotFoundException"},
		fault.InUse:              {http.StatusConflict, "target.type.used", repository + "TargetTypeInUseException"},
		fault.SetInvalid:         {http.StatusBadRequest, "distributionset.invalid", repository + "InvalidDistributionSetException"},
		fault.SetIncomplete:      {http.StatusBadRequest, "distributionset.incomplete", repository + "IncompleteDistributionSetException"},
		fault.ModuleUnsuited:     {http.StatusBadRequest, "distributionset.modules.unsupported", repository + "UnsupportedSoftwareModuleForThisDistributionSetException"},
		fault.ModuleNotInType:    {http.StatusNotFound, "repo.entityNotFound", repository + "SoftwareModuleTypeNotInDistributionSetTypeException"},
		fault.ModuleUnassigned:   {http.StatusNotFound, "repo.entityNotFound", repository + "SoftwareModuleNotAssignedToTargetException"},
		fault.TypeIncompatible:   {http.StatusBadRequest, "target.type.incompatible", repository + "IncompatibleTargetTypeException"},
		fault.Forbidden:          {http.StatusForbidden, "insufficientPermission", repository + "InsufficientPermissionException"},
		fault.NotCancelable:      {http.StatusMethodNotAllowed, "action.notCancelable", repository + "CancelActionNotAllowedException"},
		fault.NotForceQuitable:   {http.StatusMethodNotAllowed, "action.notForceQuitable", repository + "ForceQuitActionNotAllowedException"},
		fault.NotDeletable:       {http.StatusMethodNotAllowed, "action.notDeletable", repository + "DeleteActionNotAllowedException"},
		fault.ConflictingOrders:  {http.StatusBadRequest, "multiAssignmentNotEnabled", repository + "MultiAssignmentException"},
		fault.AutoConfirmActive:  {http.StatusConflict, "repo.autoConfAlreadyActive", repository + "AutoConfirmationAlreadyActiveException"},
		fault.AutoAssignType:     {http.StatusBadRequest, "repo.invalidAutoAssignActionType", repository + "InvalidAutoAssignActionTypeException"},
		fault.AutoAssignState:    {http.StatusConflict, "auto.assignment.illegalState", repository + "AutoAssignmentIllegalStateException"},
		fault.RolloutState:       {http.StatusBadRequest, "rollout.illegalState", repository + "RolloutIllegalStateException"},
		fault.ConcurrentChange:   {http.StatusConflict, "repo.concurrentModification", repository + "ConcurrentModificationException"},
		fault.PreconditionFailed: {http.StatusPreconditionFailed, "", ""},
		fault.Quota:              {http.StatusTooManyRequests, "quota.tooManyEntries", repository + "AssignmentQuotaExceededException"},
		fault.QuotaFileSize:      {http.StatusTooManyRequests, "quota.fileSizeExceeded", artifact + "FileSizeQuotaExceededException"},
		fault.QuotaStorage:       {http.StatusTooManyRequests, "quota.storageExceeded", artifact + "StorageQuotaExceededException"},
		fault.TenantUnknown:      {http.StatusBadRequest, "repo.tenantNotExists", repository + "TenantNotExistException"},
		fault.Unavailable:        {http.StatusServiceUnavailable, "repo.genericError", repository + "GenericServerException"},
		fault.Unauthenticated:    {http.StatusUnauthorized, "", ""},
		fault.TooLarge:           {http.StatusRequestEntityTooLarge, "rest.body.notReadable", "org.eclipse.hawkbit.rest.exception.MessageNotReadableException"},
	}
}

// retryAfter is what a client is told to wait, in seconds, when the database
// cannot be used.
const retryAfter = "5"

// fail answers a request that ended in err.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	rep := replies()[kind]
	switch {
	case r.Context().Err() != nil && kind == fault.Internal:
		return // the client is gone
	case kind == fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Basic realm="hawkBit", charset="UTF-8"`)
		httpjson.WriteFramework(w, r, rep.status)
		return
	case kind == fault.Internal:
		a.Log.ErrorContext(r.Context(), "management request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
		httpjson.WriteFramework(w, r, rep.status)
		return
	case kind == fault.Unavailable:
		w.Header().Set("Retry-After", retryAfter)
	case kind == fault.BinaryMissing:
		a.Log.ErrorContext(r.Context(), "an artifact's bytes are missing from the blob store; restore them from a backup", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if rep.code == "" && rep.class == "" {
		httpjson.Empty(w, rep.status)
		return
	}
	body := errorBody{ExceptionClass: rep.class}
	if rep.code != "" {
		body.ErrorCode = codePrefix + rep.code
	}
	var f *fault.Error
	if errors.As(err, &f) {
		body.Message = f.Message
		if f.Entity != nil {
			body.Info = &errorInfo{f.Entity.Type, f.Entity.ID}
		}
	}
	if err := httpjson.WriteError(w, r, rep.status, body); err != nil {
		a.Log.ErrorContext(r.Context(), "error body could not be encoded", slog.Any("error", err))
	}
}
