package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// call is one request on its way: who asks, and what.
type call struct {
	*http.Request
	Actor cloud.Actor

	server *Server
	header http.Header // of the answer
	action int64       // that it began; 0 for none
}

func (c *call) authenticate() error {
	scheme, secret, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return cloud.Errorf(cloud.CodeUnauthorized, "Unable to authenticate you.")
	}
	actor, err := c.server.plane.Authenticate(c.Context(), secret)
	c.Actor = actor
	return err
}

// check refuses what no handler could use: a body that is too large, whether
// it would be read or not, and text that the store could not keep.
func (c *call) check() error {
	if c.ContentLength > maxBody {
		return errTooLarge()
	}
	if err := c.measure(); err != nil {
		return err
	}
	if !plainText(c.URL.Path) {
		return errNotText()
	}
	for key, values := range c.URL.Query() {
		for _, v := range append(values, key) {
			if !plainText(v) {
				return errNotText()
			}
		}
	}
	return nil
}

// measure reads a body of unknown length, to refuse one that is too large
// before anything is done for the request. It is rare and bounded.
func (c *call) measure() error {
	if c.ContentLength >= 0 {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.Body, maxBody))
	if err != nil {
		return readError(err)
	}
	c.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// param returns a part of the path, decoded.
func (c *call) param(name string) string {
	raw := chi.URLParam(c.Request, name)
	if c.URL.RawPath == "" {
		return raw // chi has routed by the decoded path
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	return decoded
}

// number returns a part of the path that is a numeric ID. Anything else names
// nothing that exists.
func (c *call) number(name string) (int64, error) {
	id, ok := cloud.ParseID(c.param(name))
	if !ok {
		return 0, cloud.NotFound()
	}
	return id, nil
}

// uuid returns a part of the path that is a UUID, in lower case.
func (c *call) uuid(name string) (string, error) {
	id := c.identifier(name)
	if !cloud.IsUUID(id) {
		return "", cloud.NotFound()
	}
	return id, nil
}

// identifier returns a part of the path that is an ID of any form; a UUID is in
// lower case.
func (c *call) identifier(name string) string { return cloud.LowerUUID(c.param(name)) }

// query returns a parameter of the query.
func (c *call) query(name string) string { return c.URL.Query().Get(name) }

// truth reads a boolean of the query as clients write it, "True" included.
func (c *call) truth(name string) bool {
	switch strings.ToLower(c.query(name)) {
	case "true", "1":
		return true
	}
	return false
}

// decode reads the request's body, which may be missing or null, into v. What
// v has no field for is ignored.
func (c *call) decode(v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.Body, maxBody))
	if err != nil {
		return readError(err)
	}
	text := bytes.TrimSpace(body)
	if len(text) == 0 {
		return nil
	}
	if !utf8.Valid(body) || hasNUL(body) {
		return errNotText()
	}
	if text[0] != '{' && !bytes.Equal(text, []byte("null")) {
		return cloud.Errorf(cloud.CodeBadRequest, "error parsing request body: it is not a JSON object")
	}
	return decodeError(body, json.Unmarshal(body, v))
}

// readError says why a body could not be read.
func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return cloud.Errorf(cloud.CodeTimeout, "The request body did not arrive in time.")
	}
	return cloud.Errorf(cloud.CodeBadRequest, "the request body could not be read")
}

func errTooLarge() error {
	return cloud.Errorf(cloud.CodeTooLarge, "The request body is larger than %d bytes.", maxBody)
}

// decodeError says what was wrong with a body, and where.
func decodeError(body []byte, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*cloud.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return cloud.Invalid("%s must be %s, not %s", fieldName(e.Field), kindName(e.Type.String()), clip(e.Value))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return cloud.Errorf(cloud.CodeBadRequest, "error parsing request body: %s: %s", position(body, e.Offset), e.Error())
	}
	return cloud.Errorf(cloud.CodeBadRequest, "error parsing request body")
}

// position says where the byte before an offset is, as editors count.
func position(body []byte, offset int64) string {
	before := body[:max(0, min(int(offset), len(body))-1)]
	line := bytes.Count(before, []byte("\n"))
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line+1, column+1)
}

func fieldName(field string) string {
	if field == "" {
		return "the request body"
	}
	return field
}

// kindName says in JSON's words what a Go type takes.
func kindName(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "int"):
		return "a whole number"
	case goType == "string":
		return "a string"
	case goType == "bool" || goType == "api.boolean":
		return "true or false"
	case goType == "api.integer":
		return "a whole number"
	case goType == "api.identifier":
		return "a number or a string"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	default:
		return "an object"
	}
}

// hasNUL reports whether JSON text has a NUL, as it is or escaped.
func hasNUL(body []byte) bool {
	if bytes.IndexByte(body, 0) >= 0 {
		return true
	}
	escaped := []byte(`\u0000`)
	for at := 0; ; {
		i := bytes.Index(body[at:], escaped)
		if i < 0 {
			return false
		}
		at += i
		backslashes := 0
		for at-backslashes > 0 && body[at-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 { // else the backslash itself is what is escaped
			return true
		}
		at += len(escaped)
	}
}

// baseURL is where the client reaches this server.
func (c *call) baseURL() string {
	if c.server.publicURL != "" {
		return c.server.publicURL
	}
	scheme, host := "http", c.Host
	if c.TLS != nil {
		scheme = "https"
	}
	if forwarded := c.forwarded("Proto"); forwarded == "http" || forwarded == "https" {
		scheme = forwarded
	}
	if forwarded := c.forwarded("Host"); forwarded != "" {
		host = forwarded
	}
	return fmt.Sprintf("%s://%s", scheme, host)
}

// forwarded is what the proxy nearest to the client says in a header.
func (c *call) forwarded(what string) string {
	first, _, _ := strings.Cut(c.Header.Get("X-Forwarded-"+what), ",")
	return strings.TrimSpace(first)
}
