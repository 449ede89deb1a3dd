package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// client sends requests with one token. Whatever it receives is checked against
// the contract on the way.
type client struct {
	t     *testing.T
	s     *server
	token string
	http  *http.Client
}

func newClient(t *testing.T, s *server, token string) *client {
	return &client{t, s, token, &http.Client{Transport: &watch{t: t}, CheckRedirect: noRedirect, Timeout: longest}}
}

// longest is how long a test waits for anything.
const longest = time.Minute

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// request makes a request. The body is nothing, text as it is, a stream, or
// what becomes JSON; headers are names and values in turn.
func (c *client) request(method, path string, body any, headers ...string) *http.Request {
	c.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	case io.Reader: // of a length that is not told
		reader = body
	default:
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	if !strings.HasPrefix(path, "http") {
		path = c.s.URL + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

func (c *client) do(method, path string, body any, headers ...string) *answer {
	c.t.Helper()
	res, err := c.http.Do(c.request(method, path, body, headers...))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &answer{t: c.t, request: method + " " + path, status: res.StatusCode, header: res.Header, body: text}
}

func (c *client) get(path string) *answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, nil)
}

func (c *client) post(path string, body any) *answer {
	c.t.Helper()
	return c.do(http.MethodPost, path, body)
}

func (c *client) put(path string, body any) *answer {
	c.t.Helper()
	return c.do(http.MethodPut, path, body)
}

func (c *client) patch(path string, body any) *answer {
	c.t.Helper()
	return c.do(http.MethodPatch, path, body)
}

func (c *client) del(path string) *answer {
	c.t.Helper()
	return c.do(http.MethodDelete, path, nil)
}

// answer is what came back.
type answer struct {
	t       *testing.T
	request string
	status  int
	header  http.Header
	body    []byte
	values  any // of the body, once they were asked for
}

// is ends the test unless the answer has the status.
func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: got %d %s, want %d", a.request, a.status, a.body, status)
	}
	return a
}

// empty checks an answer that has no body but a content type all the same.
func (a *answer) empty(status int) {
	a.t.Helper()
	a.is(status)
	if len(a.body) != 0 {
		a.t.Errorf("%s: got the body %s, want none", a.request, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		a.t.Errorf("%s: got the content type %q", a.request, got)
	}
}

// refused checks an error: its status, its id and its message to the letter.
func (a *answer) refused(status int, id cloud.Code, message string) {
	a.t.Helper()
	var e struct{ ID, Message string }
	if err := json.Unmarshal(a.body, &e); err != nil {
		a.t.Errorf("%s: got %d %s, want an error %d", a.request, a.status, a.body, status)
		return
	}
	if a.status != status || e.ID != string(id) || e.Message != message {
		a.t.Errorf("%s:\ngot  %d %s %q\nwant %d %s %q", a.request, a.status, e.ID, e.Message, status, id, message)
	}
}

const notFoundText = "The resource you were accessing could not be found."

func (a *answer) notFound() {
	a.t.Helper()
	a.refused(http.StatusNotFound, cloud.CodeNotFound, notFoundText)
}

func (a *answer) forbidden() {
	a.t.Helper()
	a.refused(http.StatusForbidden, cloud.CodeForbidden, "You are not authorized to perform this operation")
}

func (a *answer) invalid(message string) {
	a.t.Helper()
	a.refused(http.StatusUnprocessableEntity, cloud.CodeInvalid, message)
}

func (a *answer) pending() {
	a.t.Helper()
	a.invalid("Droplet already has a pending event.")
}

// decoded is the body as plain values, which nobody changes.
func (a *answer) decoded() any {
	a.t.Helper()
	if a.values == nil {
		a.values = decode(a.t, a.body)
	}
	return a.values
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, text)
	}
	return v
}

// shows compares a part of the body with JSON in which the string "*" stands
// for anything but null. The path "" is the whole body.
func (a *answer) shows(path, want string) {
	a.t.Helper()
	wanted, got := decode(a.t, []byte(want)), a.at(path)
	if diff := cmp.Diff(fill(wanted, got), got); diff != "" {
		a.t.Errorf("%s: %s (-want +got)\n%s", a.request, path, diff)
	}
}

// fill puts what there is in the place of every "*".
func fill(want, got any) any {
	switch want := want.(type) {
	case string:
		if want == "*" && got != nil {
			return got
		}
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			for key, v := range want {
				want[key] = fill(v, got[key])
			}
		}
	case []any:
		if got, ok := got.([]any); ok && len(got) == len(want) {
			for i := range want {
				want[i] = fill(want[i], got[i])
			}
		}
	}
	return want
}

// at finds a part of the body by its keys and indexes, such as
// "droplets.0.name". What is not there ends the test.
func (a *answer) at(path string) any {
	a.t.Helper()
	v, ok := a.find(path)
	if !ok {
		a.t.Fatalf("%s: no %s in %s", a.request, path, a.body)
	}
	return v
}

func (a *answer) find(path string) (any, bool) {
	a.t.Helper()
	v := a.decoded()
	for word := range strings.SplitSeq(path, ".") {
		if word == "" {
			continue
		}
		var ok bool
		if v, ok = part(v, word); !ok {
			return nil, false
		}
	}
	return v, true
}

func part(v any, word string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		inner, ok := v[word]
		return inner, ok
	case []any:
		if i, err := strconv.Atoi(word); err == nil && i < len(v) {
			return v[i], true
		}
	}
	return nil, false
}

func (a *answer) has(path string) bool {
	a.t.Helper()
	_, ok := a.find(path)
	return ok
}

func (a *answer) text(path string) string {
	a.t.Helper()
	return fmt.Sprint(a.at(path))
}

func (a *answer) number(path string) int64 {
	a.t.Helper()
	n, err := strconv.ParseInt(a.text(path), 10, 64)
	if err != nil {
		a.t.Fatalf("%s: %s: %v", a.request, path, err)
	}
	return n
}

// texts lists one field of every item of a list.
func (a *answer) texts(list, field string) []string {
	a.t.Helper()
	items, ok := a.at(list).([]any)
	if !ok {
		a.t.Fatalf("%s: %s is no list: %s", a.request, list, a.body)
	}
	out := []string{}
	for _, item := range items {
		v, _ := part(item, field)
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// failing is the client for requests that the engine is made to fail.
func (a *account) failing() *account {
	c := *a.client
	c.http = &http.Client{Transport: &watch{t: a.t, failing: true}, CheckRedirect: noRedirect}
	return &account{&c, a.id}
}
