package api

import (
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	_ "embed"
)

// The API describes itself, from the route table and the types that it reads
// and writes, so that what it says is what it does.
var openAPIRoutes = []route{
	{Method: http.MethodGet, Pattern: "/v2/openapi.json", Open: true, handler: (*Server).openAPI},
	{Method: http.MethodGet, Pattern: "/docs", Open: true, handler: (*Server).docs},
}

//go:embed docs.html
var docsPage []byte

// docs is a page that shows the document, without anything from elsewhere.
func (s *Server) docs(*call) (*reply, error) {
	return ok(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		_, _ = w.Write(docsPage)
	})), nil
}

func (s *Server) openAPI(c *call) (*reply, error) {
	whole := maps.Clone(s.document())
	whole["servers"] = []schema{{"url": c.baseURL()}}
	return ok(whole), nil
}

// document is the whole description but for where the server is.
func document() schema {
	all, paths, seen := schemas{}, map[string]schema{}, map[string]bool{}
	for _, rt := range routes() {
		d, ok := describe(rt)
		if !ok || rt.Unbuilt || rt.Open {
			continue
		}
		if paths[rt.Pattern] == nil {
			paths[rt.Pattern] = schema{}
		}
		paths[rt.Pattern][strings.ToLower(rt.Method)] = all.operation(rt, d, seen)
	}
	all.of(errorBody{})
	return schema{
		"openapi": "3.0.3",
		"info": schema{
			"title": "Cistern", "version": "2.0",
			"description": "The DigitalOcean v2 API of this server. Every request needs a token with the scopes that are listed with it.",
			"license":     schema{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"paths": paths,
		"components": schema{
			"schemas":         all,
			"securitySchemes": schema{"bearer_auth": schema{"type": "http", "scheme": "bearer"}},
		},
	}
}

func (all schemas) operation(rt route, d description, seen map[string]bool) schema {
	id := operationID(rt, seen)
	op := schema{
		"operationId": id, "summary": sentence(id), "tags": []string{family(rt.Pattern)},
		"parameters": parameters(rt, d), "responses": all.responses(rt, d),
		"security": []schema{{"bearer_auth": rt.Scopes}},
	}
	if d.takes != nil {
		body := all.request(d)
		op["requestBody"] = schema{"content": schema{"application/json": schema{"schema": body}}, "required": body["required"] != nil}
	}
	return op
}

// request is the schema of a body. Only some of its fields must be given.
func (all schemas) request(d description) schema {
	t := reflect.TypeOf(d.takes)
	properties, _ := all.fields(t, component(t.Name()))
	return objectOf(properties, strings.Fields(d.requires))
}

func (all schemas) responses(rt route, d description) schema {
	failure := func(text string) schema {
		return schema{"description": text, "content": schema{"application/json": schema{"schema": all.of(errorBody{})}}}
	}
	success := schema{"description": http.StatusText(d.status)}
	if d.gives != nil {
		success["content"] = schema{"application/json": schema{"schema": all.of(d.gives)}}
	}
	responses := schema{
		strconv.Itoa(d.status): success,
		"401":                  failure("The token is missing, unknown or too old."),
		"403":                  failure("The token lacks a scope."),
		"429":                  failure("The token has made too many requests."),
		"default":              failure("Another error."),
	}
	if strings.Contains(rt.Pattern, "{") {
		responses["404"] = failure("There is no such thing in the token's account.")
	}
	if d.takes != nil {
		responses["422"] = failure("The body asks for what cannot be.")
	}
	return responses
}

var inPath = regexp.MustCompile(`\{([^}]*)\}`)

func parameters(rt route, d description) []schema {
	all := []schema{}
	for _, name := range inPath.FindAllStringSubmatch(rt.Pattern, -1) {
		all = append(all, schema{"name": name[1], "in": "path", "required": true, "schema": schema{"type": pathType(name[1])}})
	}
	for _, query := range d.query {
		query, must := strings.CutSuffix(query, "!")
		name, choice, limited := strings.Cut(query, "=")
		s := schema{"type": "string"}
		switch {
		case limited:
			s["enum"] = strings.Split(choice, "|")
		case name == "page":
			s = schema{"type": "integer", "minimum": 1, "default": 1}
		case name == "per_page":
			s = schema{"type": "integer", "minimum": 1, "maximum": maxPerPage, "default": defaultPerPage}
		case name == "private":
			s = schema{"type": "boolean"}
		}
		all = append(all, schema{"name": name, "in": "query", "required": must, "schema": s})
	}
	for _, name := range d.header {
		all = append(all, schema{"name": name, "in": "header", "required": true, "schema": schema{"type": "boolean"}})
	}
	return all
}

// pathType is the type of an ID: a few are numbers.
func pathType(name string) string {
	if name == "droplet_id" || name == "action_id" || name == "fault_id" {
		return "integer"
	}
	return "string"
}

// family is the first word of a path, which groups what belongs together.
func family(pattern string) string {
	parts := strings.Split(strings.TrimPrefix(strings.TrimPrefix(pattern, "/v2"), "/"), "/")
	if len(parts) > 1 && parts[0] == "account" {
		return "keys"
	}
	return parts[0]
}

// operationID is the name of the route's handler. Where one serves several
// routes, the others have their families with it.
func operationID(rt route, seen map[string]bool) string {
	full := runtime.FuncForPC(reflect.ValueOf(rt.handler).Pointer()).Name()
	id := full[strings.LastIndexByte(full, '.')+1:]
	if seen[id] {
		id += "In" + strings.ToUpper(rt.Method[:1]) + strings.ToLower(rt.Method[1:])
		for word := range strings.FieldsFuncSeq(family(rt.Pattern), func(r rune) bool { return r == '_' || r == '-' }) {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	for base, n := id, 2; seen[id]; n++ {
		id = base + strconv.Itoa(n)
	}
	seen[id] = true
	return id
}

// sentence turns a name such as listSSHKeys into words.
func sentence(id string) string {
	var b strings.Builder
	letters := []rune(id)
	for i, r := range letters {
		begins := i > 0 && unicode.IsUpper(r) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]) && unicode.IsUpper(letters[i-1]))
		if begins {
			b.WriteByte(' ')
		}
		if i == 0 {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
