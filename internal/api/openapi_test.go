package api_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/cistern-cloud/cistern/internal/api"
)

// ownDocument is the description that the server gives of itself. Here it is
// stricter: an answer has no field that the description lacks.
var ownDocument = sync.OnceValues(func() (*contract, error) {
	res, err := http.Get(shared("sqlite").URL + "/v2/openapi.json")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	no := false
	for name, component := range doc.Components.Schemas {
		if name == "ErrorBody" { // that of tags has more
			continue
		}
		if component.Value.AdditionalProperties.Schema == nil && component.Value.Type.Is("object") {
			component.Value.AdditionalProperties.Has = &no
		}
	}
	router, err := legacy.NewRouter(doc)
	return &contract{doc, router}, err
})

func TestOpenAPIIsValid(t *testing.T) {
	own, err := ownDocument()
	if err != nil {
		t.Fatal(err)
	}
	if err := own.doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range api.Routes() {
		if r.Unbuilt || r.Open {
			continue
		}
		if item := own.doc.Paths.Value(r.Pattern); item == nil || item.GetOperation(r.Method) == nil {
			t.Errorf("%s %s is not described; add it to described.go", r.Method, r.Pattern)
		}
	}
}

// The page needs nothing from elsewhere.
func TestDocs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		res, err := http.Get(s.URL + "/docs")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		page, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatal(res.Status, res.Header, err)
		}
		for _, far := range []string{"http://", "https://", "src=", "@import"} {
			if strings.Contains(string(page), far) {
				t.Errorf("the page has %q", far)
			}
		}
	})
}

// openWords are enumerations of the contract that are open here.
var openWords = []string{".region", ".regions[]", ".distribution", ".hour", "?region"}

// comparison looks for what the contract has and our own description lacks.
type comparison struct {
	t         *testing.T
	operation string
	seen      map[[2]*openapi3.Schema]bool
}

// Whatever the contract has of an operation that is built, our own description
// has: the operation, its success, required fields, and the words of fields.
func TestOpenAPIHasWhatTheContractHas(t *testing.T) {
	theirs := wantContract(t)
	ours, err := ownDocument()
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]*openapi3.Operation{}
	for path, item := range ours.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			own[unnamed(method, path)] = operation
		}
	}
	unbuilt := map[string]bool{}
	for _, r := range api.Routes() {
		unbuilt[unnamed(r.Method, r.Pattern)] = r.Unbuilt
	}
	for path, item := range theirs.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			name := unnamed(method, path)
			if unbuilt[name] {
				continue
			}
			if own[name] == nil {
				t.Errorf("%s is missing", name)
				continue
			}
			c := &comparison{t, name, map[[2]*openapi3.Schema]bool{}}
			c.operations(item, operation, own[name])
		}
	}
}

func (c *comparison) operations(item *openapi3.PathItem, theirs, ours *openapi3.Operation) {
	c.t.Helper()
	for _, p := range append(slices.Clone(item.Parameters), theirs.Parameters...) {
		if p.Value.In == openapi3.ParameterInPath {
			continue
		}
		own := ours.Parameters.GetByInAndName(p.Value.In, p.Value.Name)
		switch {
		case own == nil && strings.Contains(p.Value.Name, "page") && strings.Contains(c.operation, "/v2/volumes/{}/actions"):
			// The contract has pages for an action by itself, too.
		case own == nil:
			c.t.Errorf("%s: no parameter %s", c.operation, p.Value.Name)
		case p.Value.Required && !own.Required:
			c.t.Errorf("%s: the parameter %s is not required", c.operation, p.Value.Name)
		default:
			c.words("?"+p.Value.Name, p.Value.Schema.Value, own.Schema.Value)
		}
	}
	if theirs.RequestBody != nil {
		if ours.RequestBody == nil {
			c.t.Errorf("%s takes a body", c.operation)
		} else {
			c.bodies("request", theirs.RequestBody.Value.Content, ours.RequestBody.Value.Content)
		}
	}
	for status, response := range theirs.Responses.Map() {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		own := ours.Responses.Value(status)
		if own == nil {
			c.t.Errorf("%s: no answer %s", c.operation, status)
			continue
		}
		c.bodies("answer", response.Value.Content, own.Value.Content)
	}
}

func (c *comparison) bodies(where string, theirs, ours openapi3.Content) {
	c.t.Helper()
	media := theirs.Get("application/json")
	if media == nil {
		return
	}
	own := ours.Get("application/json")
	if own == nil {
		c.t.Errorf("%s: the %s has no body", c.operation, where)
		return
	}
	c.schemas(where, media.Schema.Value, own.Schema.Value, true)
}

// schemas compares two schemas. Where the contract has variants, each field of
// one has to be there, but need not be required.
func (c *comparison) schemas(where string, theirs, ours *openapi3.Schema, required bool) {
	c.t.Helper()
	if theirs == nil || ours == nil || c.seen[[2]*openapi3.Schema{theirs, ours}] {
		return
	}
	c.seen[[2]*openapi3.Schema{theirs, ours}] = true
	for len(ours.AllOf) == 1 {
		ours = ours.AllOf[0].Value
	}
	c.words(where, theirs, ours)
	for _, part := range theirs.AllOf {
		c.schemas(where, part.Value, ours, required)
	}
	for _, variant := range slices.Concat(theirs.OneOf, theirs.AnyOf) {
		c.schemas(where, variant.Value, ours, false)
	}
	for _, name := range slices.Sorted(maps.Keys(theirs.Properties)) {
		must := slices.Contains(theirs.Required, name)
		own := ours.Properties[name]
		switch {
		case own == nil && must:
			c.t.Errorf("%s: %s.%s is missing", c.operation, where, name)
		case own == nil:
		default:
			if must && required && !slices.Contains(ours.Required, name) && !c.optional(where+"."+name) {
				c.t.Errorf("%s: %s.%s is not required", c.operation, where, name)
			}
			c.schemas(where+"."+name, theirs.Properties[name].Value, own.Value, required)
		}
	}
	if theirs.Items != nil && ours.Items != nil {
		c.schemas(where+"[]", theirs.Items.Value, ours.Items.Value, required)
	}
	if theirs.AdditionalProperties.Schema != nil && ours.AdditionalProperties.Schema != nil {
		c.schemas(where+"{}", theirs.AdditionalProperties.Schema.Value, ours.AdditionalProperties.Schema.Value, required)
	}
}

// optional reports whether a field that the contract requires is left out of
// some answers on purpose.
func (c *comparison) optional(where string) bool {
	for _, suffix := range []string{"droplet.image", "droplets[].image", "account.droplet_limit", "account.floating_ip_limit"} {
		if strings.HasSuffix(where, suffix) { // for tokens without the scope
			return true
		}
	}
	return false
}

// words compares enumerations.
func (c *comparison) words(where string, theirs, ours *openapi3.Schema) {
	c.t.Helper()
	for _, open := range openWords {
		if strings.HasSuffix(where, open) {
			return
		}
	}
	for _, word := range theirs.Enum {
		if !slices.Contains(ours.Enum, word) {
			c.t.Errorf("%s: %s may be %v", c.operation, where, word)
		}
	}
}
