package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// session is what a script has going: its server and the last answer.
type session struct {
	server *server
	last   answer
	// coming is the answer to a request that was sent with "&".
	coming chan answer
}

type sessionKey struct{}

// end leaves no server behind when a script has failed.
func (s *session) end() {
	if s.server != nil {
		s.server.kill()
		s.server = nil
	}
}

// answer is what a request came back with.
type answer struct {
	status string // as "202 Accepted"
	body   []byte
	err    error
}

func (a answer) ok() bool { return strings.HasPrefix(a.status, "2") }

// client follows no redirects: the API has none.
var client = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// request sends one request as curl would.
func request(method, url, token, body string, header http.Header) answer {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{status: res.Status, body: data, err: err}
}

// What differs from run to run and matters to nobody who reads a script.
var masks = []struct {
	pattern *regexp.Regexp
	shown   string
}{
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`), `"<time>"`},
	{regexp.MustCompile(`"request_id": "[0-9a-f-]{36}"`), `"request_id": "<request>"`},
}

// text is the status and the body, indented, with times hidden.
func (a answer) text() string {
	var out bytes.Buffer
	fmt.Fprintln(&out, a.status)
	if len(a.body) > 0 {
		if err := json.Indent(&out, bytes.TrimSpace(a.body), "", "  "); err != nil {
			out.Write(a.body)
		}
		out.WriteByte('\n')
	}
	text := out.String()
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.shown)
	}
	return text
}

// field finds a value in the body by a path such as links.actions.0.id.
func (a answer) field(path string) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", false
	}
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			inner, ok := v[part]
			if !ok {
				return "", false
			}
			value = inner
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return "", false
			}
			value = v[i]
		default:
			return "", false
		}
	}
	return fmt.Sprint(value), value != nil
}
