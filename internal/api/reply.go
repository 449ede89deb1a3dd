package api

import (
	"errors"
	"net/http"
	"sync"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// reply is an answer: a status, and a body unless it is nil.
type reply struct {
	status int
	body   any
}

func ok(body any) *reply       { return &reply{http.StatusOK, body} }
func created(body any) *reply  { return &reply{http.StatusCreated, body} }
func accepted(body any) *reply { return &reply{http.StatusAccepted, body} }
func noContent() *reply        { return &reply{status: http.StatusNoContent} }

// statuses maps what the control plane calls a failure to HTTP. It is the only
// place that does.
var statuses = map[cloud.Code]int{
	cloud.CodeBadRequest:       http.StatusBadRequest,
	cloud.CodeUnauthorized:     http.StatusUnauthorized,
	cloud.CodeForbidden:        http.StatusForbidden,
	cloud.CodeNotFound:         http.StatusNotFound,
	cloud.CodeMethodNotAllowed: http.StatusMethodNotAllowed,
	cloud.CodeConflict:         http.StatusConflict,
	cloud.CodePrecondition:     http.StatusPreconditionFailed,
	cloud.CodeTimeout:          http.StatusRequestTimeout,
	cloud.CodeTooLarge:         http.StatusRequestEntityTooLarge,
	cloud.CodeInvalid:          http.StatusUnprocessableEntity,
	cloud.CodeTooManyRequests:  http.StatusTooManyRequests,
	cloud.CodeInternal:         http.StatusInternalServerError,
	cloud.CodeNotImplemented:   http.StatusNotImplemented,
	cloud.CodeUnavailable:      http.StatusServiceUnavailable,
}

// errorBody is the API's error, the same for all.
type errorBody struct {
	ID        string `json:"id"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

// rootCauseError is an error that the API reports in another shape, as its
// service behind for tags does. Ours has the common fields too.
type rootCauseError struct {
	common *cloud.Error
	cause  string
}

func (e *rootCauseError) Error() string { return e.common.Error() }
func (e *rootCauseError) Unwrap() error { return e.common }

func (e *rootCauseError) body(common errorBody) any {
	return struct {
		errorBody
		Cause      string    `json:"error"`
		Messages   *struct{} `json:"messages"` // always null
		RootCauses []string  `json:"root_causes"`
	}{common, e.cause, nil, []string{"rpc error: code = InvalidArgument desc = " + e.cause}}
}

// writeError answers with an error. What is not the caller's to read is logged
// and shown as a plain server error.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	id := w.Header().Get(requestID)
	e, known := errors.AsType[*cloud.Error](err)
	if wrong, is := errors.AsType[*methodError](err); is {
		w.Header().Set("Allow", wrong.allow)
		e, known = cloud.Errorf(cloud.CodeMethodNotAllowed, "%s", wrong.Error()), true
	}
	if !known {
		s.log.Error("request failed", "request_id", id, "error", err)
		e = cloud.Errorf(cloud.CodeInternal, "Unexpected server-side error")
	}
	if e.Code == cloud.CodeUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if e.Code == cloud.CodeUnavailable {
		s.log.Warn("unavailable", "request_id", id, "error", err) // with what the caller is not told
	}
	if e.Code == cloud.CodeConflict {
		// Some clients repeat a 409 by themselves; the answer would be the same.
		w.Header().Set("X-Should-Retry", "false")
	}
	body := errorBody{string(e.Code), e.Message, id}
	if root, is := errors.AsType[*rootCauseError](err); is {
		s.write(w, r, &reply{statuses[e.Code], root.body(body)})
		return
	}
	s.write(w, r, &reply{statuses[e.Code], body})
}

// write encodes a reply. The content type is set without a body too: clients
// look at it.
func (s *Server) write(w http.ResponseWriter, r *http.Request, answer *reply) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if answer.body == nil {
		if answer.status != http.StatusNoContent {
			w.Header().Set("Content-Length", "0")
		}
		w.WriteHeader(answer.status)
		return
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	body, err := encodeBody((*buf)[:0], answer.body)
	*buf = body
	if err != nil {
		s.log.Error("encode the answer", "request_id", w.Header().Get(requestID), "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	send(w, r, answer.status, body)
}

// buffers are what answers are encoded in; a list of 200 Droplets fills half a
// megabyte.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func encodeBody(buf []byte, body any) ([]byte, error) {
	if a, ok := body.(appender); ok {
		return a.appendTo(buf), nil
	}
	data, err := encode(body)
	return append(buf, data...), err
}
