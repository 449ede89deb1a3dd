package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
)

const (
	unparsedText = "error parsing request body"
	notTextText  = "the request has a NUL character or text that is not UTF-8"
)

// What stands for a request's body is checked in the same way for every route
// that reads one.
func TestBodiesRefused(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		id         cloud.Code
		message    string
	}{
		{"a list", `[]`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"a list of objects", `[{"name":"web"}]`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"a string", `"web"`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"a number", `1`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"a boolean", `true`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"cut off", `{"name":"web"`, 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 13: unexpected end of JSON input"},
		{"two objects", `{} {}`, 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 4: invalid character '{' after top-level value"},
		{"null and more", `null null`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"a form", `name=web`, 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"single quotes", `{'name':'web'}`, 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 2: invalid character '\\'' looking for beginning of object key string"},
		{"a line break in a string", "{\"name\":\"we\nb\"}", 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 12: invalid character '\\n' in string literal"},
		{"a missing comma", "\n{\"name\": \"grüße\",\n \"b\": 1 \"c\": 2}", 400, cloud.CodeBadRequest, unparsedText + ": line 3, column 9: invalid character '\"' after object key:value pair"},
		{"a byte order mark", "\ufeff{}", 400, cloud.CodeBadRequest, unparsedText + ": it is not a JSON object"},
		{"nested too deep", `{"name":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 10008: invalid character '[' exceeded max depth"},
		{"nested too deep where nobody looks", `{"x":` + strings.Repeat(`{"x":`, 50_000) + `1` + strings.Repeat("}", 50_001), 400, cloud.CodeBadRequest, unparsedText + ": line 1, column 50001: invalid character '{' exceeded max depth"},
		{"NUL as it is", "{\"name\":\"a\x00b\"}", 400, cloud.CodeBadRequest, notTextText},
		{"NUL between", "{\x00}", 400, cloud.CodeBadRequest, notTextText},
		{"NUL escaped", `{"name":"a\u0000b"}`, 400, cloud.CodeBadRequest, notTextText},
		{"NUL escaped after a backslash", `{"name":"a\\\u0000b"}`, 400, cloud.CodeBadRequest, notTextText},
		{"NUL in a key", `{"na\u0000me":"a"}`, 400, cloud.CodeBadRequest, notTextText},
		{"not UTF-8", "{\"name\":\"a\xffb\"}", 400, cloud.CodeBadRequest, notTextText},
		{"half a character", "{\"name\":\"\xc3\"}", 400, cloud.CodeBadRequest, notTextText},
		{"a surrogate in UTF-8", "{\"name\":\"\xed\xa0\x80\"}", 400, cloud.CodeBadRequest, notTextText},
		{
			"too large", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`,
			413, cloud.CodeTooLarge, "The request body is larger than 1048576 bytes.",
		},
		{
			"too large with nothing in it", strings.Repeat(" ", 1<<20+1),
			413, cloud.CodeTooLarge, "The request body is larger than 1048576 bytes.",
		},
	}
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, r := range api.Routes() {
			if api.RequestBodies[r.Method+" "+r.Pattern] == nil {
				continue
			}
			path := a.path(r)
			t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
				for _, test := range tests {
					t.Run(test.name, func(t *testing.T) {
						a.within(t).do(r.Method, path, test.body).refused(test.status, test.id, test.message)
					})
				}
			})
		}
	})
}

// A body too large is refused also where nobody would read it.
func TestLargeBodiesRefused(t *testing.T) {
	large := strings.Repeat(" ", 1<<20+1)
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		path := parameter.ReplaceAllString(r.Pattern, "1")
		s.newAccount(t).do(r.Method, path, large).
			refused(http.StatusRequestEntityTooLarge, cloud.CodeTooLarge, "The request body is larger than 1048576 bytes.")
	})
}

// Nor does it help not to say how large it is.
func TestLargeBodiesOfUnknownLengthRefused(t *testing.T) {
	large := strings.Repeat(" ", 1<<20+1)
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		path := parameter.ReplaceAllString(r.Pattern, "1")
		s.newAccount(t).do(r.Method, path, io.MultiReader(strings.NewReader(large))).
			refused(http.StatusRequestEntityTooLarge, cloud.CodeTooLarge, "The request body is larger than 1048576 bytes.")
	})
	each(t, func(t *testing.T, s *server) { // a small one is none the worse for it
		a := s.newAccount(t)
		body := fmt.Sprintf(`{"name":"a","public_key":%q}`, publicKey())
		a.do("POST", "/v2/account/keys", io.MultiReader(strings.NewReader(body))).is(http.StatusCreated)
		a.do("GET", "/v2/account", io.MultiReader(strings.NewReader(body))).is(http.StatusOK)
	})
}

// A refusal repeats only the beginning of what was sent.
func TestRefusalsAreShort(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, body := range []map[string]any{
			{"size_gigabytes": long}, {"size_gigabytes": 1, "name": "data", "region": long}, {"name": "data", "tags": []string{long}}, {"tags": long},
		} {
			answer := a.post("/v2/volumes", body).is(http.StatusUnprocessableEntity)
			if message := answer.text("message"); len(message) > 700 || !utf8.ValidString(message) {
				t.Errorf("%d bytes: %s", len(message), message)
			}
		}
	})
}

// What has a UUID is found in whatever case that is written, and an ID is
// written in one way.
func TestIDsAsTheyAreWritten(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		volume := a.volume("data")
		snapshot := a.volumeSnapshot(volume, "copy")
		upper := strings.ToUpper(snapshot)
		for _, path := range []string{"/v2/volumes/" + strings.ToUpper(volume), "/v2/volumes/snapshots/" + upper, "/v2/snapshots/" + upper} {
			a.get(path).is(http.StatusOK)
		}
		vpc := a.vpc("inner")
		a.post("/v2/volumes", map[string]any{"name": "again", "region": "nyc3", "size_gigabytes": 10, "snapshot_id": upper}).is(http.StatusCreated)
		d := a.droplet("web", "volumes", []string{strings.ToUpper(volume)}, "vpc_uuid", strings.ToUpper(vpc))
		a.get(fmt.Sprintf("/v2/droplets/%d", d)).is(http.StatusOK)
		for _, path := range []string{"/v2/droplets/0%d", "/v2/droplets/+%d", "/v2/actions/00%d"} {
			a.get(fmt.Sprintf(path, d)).refused(http.StatusNotFound, cloud.CodeNotFound, cloud.NotFound().Message)
		}
		a.do("DELETE", "/v2/snapshots/"+upper, nil).is(http.StatusNoContent)
	})
}

// What is not there is told before what is wrong with the body.
func TestMissingComesBeforeMistakes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		missing := "/v2/volumes/" + cloud.NewUUID() + "/snapshots"
		for _, answer := range []*answer{
			a.put("/v2/account/keys/7", map[string]any{"name": ""}), a.post(missing, map[string]any{"name": ""}),
			a.post(missing, map[string]any{"name": "copy", "tags": []string{"a b"}}),
		} {
			answer.refused(http.StatusNotFound, cloud.CodeNotFound, cloud.NotFound().Message)
		}
	})
}

// Who is refused for want of a token is told how to give one (RFC 9110).
func TestUnauthorizedSaysHow(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, token := range []string{"", "nonsense"} {
			answer := newClient(t, s, token).get("/v2/account").is(http.StatusUnauthorized)
			if how := answer.header.Get("WWW-Authenticate"); how != "Bearer" {
				t.Errorf("WWW-Authenticate is %q", how)
			}
		}
	})
}

// Bodies that look odd and are none the worse for it.
func TestBodiesAccepted(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for name, body := range map[string]string{
			"an escaped backslash before u0000": `{"name":"a\\u0000b","public_key":%q}`,
			"unknown fields":                    `{"x":{"y":[1,2.5,null]},"name":"a","public_key":%q,"id":5}`,
			"spaces around":                     "\n\t {\"name\":\"a\",\"public_key\":%q} \r\n",
			"a key twice":                       `{"name":"b","name":"a","public_key":%q}`,
			"a lone surrogate":                  `{"name":"a\ud800","public_key":%q}`,
			"many characters":                   `{"name":"grüße 💧 \u00e9","public_key":%q}`,
		} {
			t.Run(name, func(t *testing.T) {
				a.within(t).post("/v2/account/keys", fmt.Sprintf(body, publicKey())).is(http.StatusCreated)
			})
		}
		full := fmt.Sprintf(`{"name":"a","public_key":%q,"x":""}`, publicKey())
		full = strings.Replace(full, `"x":""`, `"x":"`+strings.Repeat("y", 1<<20-len(full))+`"`, 1)
		a.post("/v2/account/keys", full).is(http.StatusCreated) // exactly as large as may be
	})
}

// A string keeps its backslash where the JSON escaped that, not a NUL.
func TestEscapedBackslashIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		body := fmt.Sprintf(`{"name":"a\\u0000b","public_key":%q}`, publicKey())
		if got := a.post("/v2/account/keys", body).is(http.StatusCreated).text("ssh_key.name"); got != `a\u0000b` {
			t.Errorf("got %q", got)
		}
	})
}

// DOBOTO sends null with every GET and DELETE, and says that it is JSON.
func TestNullBodies(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		if r.Method != http.MethodGet && r.Method != http.MethodDelete {
			return
		}
		if examples[r.Method+" "+r.Pattern].body != nil {
			return // its body says what to delete
		}
		if r.Method == http.MethodDelete && r.Pattern == "/v2/volumes" {
			return // its query does
		}
		if strings.HasPrefix(r.Pattern, "/_cistern/droplets/") {
			return // it needs real machines
		}
		a := s.accountFor(t, r)
		headers := append([]string{"Content-Type", "application/json"}, examples[r.Method+" "+r.Pattern].header...)
		res := a.do(r.Method, a.path(r), "null", headers...)
		if res.status >= 400 && !strings.HasSuffix(r.Pattern, "/status") {
			t.Errorf("got %d %s", res.status, res.body)
		}
	})
}

// A path or a query that no database could keep is refused, too.
func TestPathsAndQueriesRefused(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		for _, path := range []string{
			"/v2/images/%00", "/v2/images/a%00b", "/v2/images/%ff", "/v2/images/%c3", "/v2/account/keys/%00",
			"/v2/droplets?name=%00", "/v2/droplets?name=%ff", "/v2/droplets?tag_name=a%00", "/v2/droplets?%00=1",
			"/v2/volumes?name=%ed%a0%80", "/v2/volumes?region=%00", "/v2/snapshots?region=%ff", "/v2/nothing?x=%00",
			"/v2/images?tag_name=%ff&tag_name=a",
		} {
			a.get(path).refused(http.StatusBadRequest, cloud.CodeBadRequest, notTextText)
		}
	})
}

// Slashes more than one count as one, and a last one does not count, without
// any redirect.
func TestSlashes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		droplet := a.droplet("web")
		for _, path := range []string{
			"/v2//droplets", "//v2///droplets", "/v2/droplets/", "/v2//droplets//",
			fmt.Sprintf("/v2//droplets/%d", droplet), fmt.Sprintf("/v2//droplets//%d/", droplet),
			fmt.Sprintf("/v2/droplets/%d//actions/", droplet), "//healthz",
		} {
			a.get(path).is(http.StatusOK)
		}
		a.post("/v2//droplets", dropletBody("other")).is(http.StatusAccepted)
		a.post("/v2//account/keys/", map[string]any{"name": "k", "public_key": publicKey()}).is(http.StatusCreated)
		a.del(fmt.Sprintf("/v2//droplets//%d", droplet)).empty(http.StatusNoContent)
	})
}

// Whoever has a token is told what there is not; others are not even told that.
func TestUnknownPaths(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a, nobody := s.newAccount(t), newClient(t, s, "")
		for _, path := range []string{
			"/", "/v2", "/v1/droplets", "/v2/nothing", "/v2/droplets/1/nothing", "/v2/droplets/1/actions/1/more",
			"/droplets", "/V2/droplets", "/v2/Droplets", "/_sim", "/healthz/x", "/v2/regions/nyc3/a%2Fb", "/%2e%2e/v2/account",
		} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "NONSENSE"} {
				a.do(method, path, nil).notFound()
				nobody.do(method, path, nil).refused(http.StatusUnauthorized, cloud.CodeUnauthorized, unauthorizedText)
			}
		}
	})
}

// A method that a path does not have is answered with those that it has.
func TestWrongMethods(t *testing.T) {
	allowed := map[string][]string{}
	for _, r := range api.Routes() {
		allowed[r.Pattern] = append(allowed[r.Pattern], r.Method)
		if r.Method == http.MethodGet {
			allowed[r.Pattern] = append(allowed[r.Pattern], http.MethodHead)
		}
	}
	each(t, func(t *testing.T, s *server) {
		a, nobody := s.newAccount(t), newClient(t, s, "")
		for pattern, want := range allowed {
			path := parameter.ReplaceAllString(pattern, "1")
			// A few paths fit a second pattern, such as /v2/droplets/{id} for /v2/droplets/actions.
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE", "HEAD"} {
				if slices.Contains(want, method) {
					continue
				}
				got := a.do(method, path, nil)
				if got.status != http.StatusMethodNotAllowed {
					if !fitsAnother(pattern, method) {
						t.Errorf("%s %s: got %d %s", method, path, got.status, got.body)
					}
					continue
				}
				checkAllow(t, got, pattern, want)
				nobody.do(method, path, nil).is(http.StatusUnauthorized)
			}
		}
	})
}

// fitsAnother reports whether a method that a pattern lacks is that of another
// pattern, which its path fits too.
func fitsAnother(pattern, method string) bool {
	if strings.Contains(pattern, "{") && strings.HasSuffix(pattern, "}") {
		return false
	}
	return slices.ContainsFunc(api.Routes(), func(r api.Route) bool {
		return (r.Method == method || r.Method == http.MethodGet && method == http.MethodHead) &&
			strings.Count(r.Pattern, "/") == strings.Count(pattern, "/") && strings.HasSuffix(r.Pattern, "}")
	})
}

func checkAllow(t *testing.T, got *answer, pattern string, want []string) {
	t.Helper()
	listed := strings.Split(got.header.Get("Allow"), ", ")
	for _, method := range want {
		if !slices.Contains(listed, method) {
			t.Errorf("%s: Allow is %q, without %s", got.request, got.header.Get("Allow"), method)
		}
	}
	for _, method := range listed {
		if !slices.Contains(want, method) && !fitsAnother(pattern, method) {
			t.Errorf("%s: Allow is %q, with %s", got.request, got.header.Get("Allow"), method)
		}
	}
}

func TestWrongMethodText(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		got := a.put("/v2/droplets/1", map[string]any{})
		got.refused(http.StatusMethodNotAllowed, cloud.CodeMethodNotAllowed,
			"The method PUT is not allowed here; allowed: GET, HEAD, DELETE.")
		if allow := got.header.Get("Allow"); allow != "GET, HEAD, DELETE" {
			t.Errorf("Allow is %q", allow)
		}
	})
}

// HEAD is GET without the body.
func TestHead(t *testing.T) {
	eachBuilt(t, func(t *testing.T, s *server, r api.Route) {
		if r.Method != http.MethodGet {
			return
		}
		a := s.newAccount(t)
		path := a.path(r)
		get, head := a.get(path), a.do(http.MethodHead, path, nil)
		if head.status != get.status || len(head.body) != 0 {
			t.Errorf("got %d %s, want %d and no body", head.status, head.body, get.status)
		}
		if get.status == http.StatusOK && head.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
			t.Errorf("got the length %s, want %d", head.header.Get("Content-Length"), len(get.body))
		}
	})
}

// Every answer has an ID of its own, also those that come from before the
// routes.
func TestRequestIDs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		seen := map[string]bool{}
		for _, path := range []string{"/v2/account", "/v2/account", "/v2/nothing", "/healthz", "/v2/images/%00", "/v2/droplets/1"} {
			id := a.get(path).header.Get("X-Request-Id")
			if seen[id] {
				t.Errorf("the ID %s came twice", id)
			}
			seen[id] = true
		}
	})
}

// Anybody may ask whether the server answers.
func TestHealth(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		newClient(t, s, "").get("/healthz").is(http.StatusOK).shows("", `{"status":"ok"}`)
	})
}

// A destroy is answered with a length of 0, so that clients that keep the
// connection do not wait for a body.
func TestEmptyAnswersSayTheirLength(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.newAccount(t)
		path := dropletPath(a.droplet("web"), "/destroy_with_associated_resources/selective")
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "DELETE %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, a.token)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusAccepted || res.Header.Get("Content-Length") != "0" {
			t.Errorf("got %d with the length %q", res.StatusCode, res.Header.Get("Content-Length"))
		}
	})
}
