package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// contract is the API's own description, which every answer must fit. It is
// not part of the repository.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

// contractPath is the file that CISTERN_CONTRACT names, by default one beside
// the repository.
func contractPath() (path string, given bool) {
	if path := os.Getenv("CISTERN_CONTRACT"); path != "" {
		if !filepath.IsAbs(path) { // from the repository's root, as in a shell
			path = filepath.Join("../..", path)
		}
		return path, true
	}
	return filepath.Join("../..", "../shared/reference/openapi-compute.json"), false
}

// theContract is the contract, or nil where its file is missing. A file that
// was named and is not there is an error.
var theContract = sync.OnceValues(func() (*contract, error) {
	path, given := contractPath()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) && !given {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("CISTERN_CONTRACT: %w", err)
	}
	return readContract(text)
})

func readContract(text []byte) (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // whichever host
	relax(doc)
	router, err := legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
	if err != nil {
		return nil, err
	}
	defineFormats()
	return &contract{doc, router}, nil
}

// relax lets a Droplet's next_backup_window be null, as the contract's own
// examples have it: the validator does not see that a part of its allOf says so.
func relax(doc *openapi3.T) {
	droplet := doc.Components.Schemas["droplet"].Value
	window := *droplet.Properties["next_backup_window"].Value
	window.Nullable = true
	for i, ref := range window.AllOf {
		part := *ref.Value
		part.Nullable = true
		window.AllOf[i] = &openapi3.SchemaRef{Value: &part}
	}
	droplet.Properties["next_backup_window"] = &openapi3.SchemaRef{Value: &window}
}

// defineFormats makes the validator check formats that it knows by name only.
func defineFormats() {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`))
	openapi3.DefineIPv4Format()
	openapi3.DefineIPv6Format()
	openapi3.DefineStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
		u, err := url.Parse(text)
		if err == nil && (u.Scheme == "" || u.Host == "") {
			err = fmt.Errorf("%q has no host", text)
		}
		return err
	}))
}

// wantContract skips a test that is about the contract where there is none.
func wantContract(t *testing.T) *contract {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		path, _ := contractPath()
		t.Skipf("NO CONTRACT: answers are not checked against the API's description, since %s is missing; name it with CISTERN_CONTRACT", path)
	}
	return c
}

// TestContractIsThere says loudly when the contract is not checked.
func TestContractIsThere(t *testing.T) {
	c := wantContract(t)
	if n := len(operations(c.doc)); n != 107 {
		t.Errorf("the contract has %d operations, want 107", n)
	}
}

// watch is the transport of every client: it checks each answer by itself.
type watch struct {
	t *testing.T
	// failing says that the test makes the engine fail, so that a 500 is right.
	failing bool
}

// RoundTrip checks what comes back.
func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	noteGodo(req)
	for _, problem := range w.check(req, res, body) {
		w.t.Errorf("%s %s: %s\n%d %s", req.Method, req.URL, problem, res.StatusCode, body)
	}
	return res, nil
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (w *watch) check(req *http.Request, res *http.Response, body []byte) (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	id := res.Header.Get("X-Request-Id")
	if !uuid.MatchString(id) {
		problem("x-request-id is %q", id)
	}
	picture := strings.HasSuffix(req.URL.Path, "/screenshot") && res.StatusCode == http.StatusOK
	if got := res.Header.Get("Content-Type"); got != "application/json; charset=utf-8" && (!picture || got != "image/png") {
		problem("the content type is %q", got)
	}
	if (res.StatusCode == http.StatusConflict) != (res.Header.Get("X-Should-Retry") == "false") {
		problem("x-should-retry: false belongs to 409 and to nothing else")
	}
	if res.StatusCode == http.StatusInternalServerError && !w.failing {
		problem("nothing that a client sends is a server error")
	}
	if res.StatusCode >= 400 && req.Method != http.MethodHead {
		var e struct {
			ID        string `json:"id"`
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || e.Message == "" || e.RequestID != id {
			problem("not an error body of request %s: %v", id, err)
		}
	}
	c, err := theContract()
	if err != nil {
		problem("%v", err)
	}
	if c != nil {
		found := c.check(req, res, body)
		if len(found) == 0 {
			c.noteCovered(w.t, req, res.StatusCode)
		}
		problems = append(problems, found...)
	}
	return append(problems, fitsOwn(req, res, body)...)
}

// fitsOwn compares an answer with what the server says of itself.
func fitsOwn(req *http.Request, res *http.Response, body []byte) (problems []string) {
	if res.StatusCode == http.StatusNotImplemented {
		return nil
	}
	own, err := ownDocument()
	if err != nil {
		return []string{err.Error()}
	}
	for _, problem := range own.check(req, res, body) {
		if strings.Contains(problem, "breaks") {
			problems = append(problems, problem+" (the server's own)")
		}
	}
	return problems
}

// cleaned is a request as the contract knows its path.
func cleaned(req *http.Request) *http.Request {
	path := req.URL.Path
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	path = strings.TrimSuffix(path, "/")
	return &http.Request{Method: req.Method, Header: req.Header, URL: &url.URL{Path: path}}
}

// check compares an answer with the contract. What the contract does not have
// may only be refused.
func (c *contract) check(req *http.Request, res *http.Response, body []byte) []string {
	if !strings.HasPrefix(cleaned(req).URL.Path, "/v2/") || req.Method == http.MethodHead {
		return nil
	}
	route, params, err := c.router.FindRoute(cleaned(req))
	if err != nil {
		if res.StatusCode < 400 && !goesBeyond(req.Method, cleaned(req).URL.Path) {
			return []string{"answered, though the contract does not have it"}
		}
		return nil
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 res.StatusCode,
		Header:                 res.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{MultiError: true},
	})
	var problems []string
	for _, failure := range failures(err) {
		if !deviates(req.Method+" "+route.Path, failure) {
			problems = append(problems, "breaks the contract: "+failure)
		}
	}
	return problems
}
