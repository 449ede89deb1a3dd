package cloud

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Code says what kind of failure an Error is. The text is the `id` of the
// API's error body.
type Code string

// The codes of the API (behaviours of the DigitalOcean v2 API, error body).
const (
	CodeBadRequest       Code = "bad_request"
	CodeUnauthorized     Code = "unauthorized"
	CodeForbidden        Code = "forbidden"
	CodeNotFound         Code = "not_found"
	CodeMethodNotAllowed Code = "method_not_allowed"
	CodeConflict         Code = "conflict"
	// CodePrecondition is the live API's own id of a 412.
	CodePrecondition    Code = "unknown"
	CodeTimeout         Code = "request_timeout"
	CodeTooLarge        Code = "request_entity_too_large"
	CodeInvalid         Code = "unprocessable_entity"
	CodeTooManyRequests Code = "too_many_requests"
	CodeInternal        Code = "server_error"
	CodeNotImplemented  Code = "not_implemented"
	CodeUnavailable     Code = "service_unavailable"
)

// Error is a failure that is the caller's to read. Everything else that goes
// wrong is shown as a plain server error and logged.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error of the given code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// maxRepeated is how much of a request's text a message repeats.
const maxRepeated = 300

// Invalid reports a request that is understood but cannot be done (422). What
// it repeats of the request is kept short.
func Invalid(format string, args ...any) *Error {
	short := make([]any, len(args))
	for i, arg := range args {
		if text, is := arg.(string); is {
			arg = Clip(text, maxRepeated)
		}
		short[i] = arg
	}
	return Errorf(CodeInvalid, format, short...)
}

// Clip cuts a text after so many bytes, between characters, and shows that.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}

// Conflict reports a request that the present state forbids (409).
func Conflict(format string, args ...any) *Error { return Errorf(CodeConflict, format, args...) }

// Forbidden reports a request outside the token's scopes or the account's
// quota (403).
func Forbidden(format string, args ...any) *Error { return Errorf(CodeForbidden, format, args...) }

// NotFound reports a thing that does not exist for this account. The text is
// the live API's, which Terraform's provider matches.
func NotFound() *Error {
	return Errorf(CodeNotFound, "The resource you were accessing could not be found.")
}

// CodeOf returns the code of err, or "" when it is not an Error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// IsNotFound reports whether err says that something does not exist.
func IsNotFound(err error) bool { return CodeOf(err) == CodeNotFound }
