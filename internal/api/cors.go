package api

import (
	"net/http"
	"strings"
)

// Pages of any origin may call the API with a token that they hold, as the
// documents have it. The token is all that counts: no cookie is ever read, and
// Access-Control-Allow-Credentials, though documented, is not sent, so that a
// browser never adds what it keeps for this host to another page's request.

// exposed is what pages may read of an answer beside its body.
const exposed = "ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id"

// preflightAge is how long a browser may keep the answer to a preflight, in
// seconds: two hours, the most that Chromium keeps any. The routes do not
// change while the server runs.
const preflightAge = "7200"

// allowOrigin lets the page that asks read the answer.
func allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", exposed)
}

// options answers OPTIONS on any path, preflights among them. Browsers send
// those without the token, so none is asked for, and nothing is told but what
// the documents of the API tell everyone.
func (s *Server) options(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	methods := s.methods(r.URL.EscapedPath())
	if len(methods) > 0 {
		methods = append(methods, http.MethodOptions)
		h.Set("Allow", strings.Join(methods, ", "))
	} else {
		// The request itself may come, to be told what is wrong in words that
		// the page can read.
		methods = []string{r.Header.Get("Access-Control-Request-Method")}
	}
	if r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		allowRequest(h, r, methods)
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowRequest answers a preflight. Any header may be sent: client libraries
// add their own, and none of them opens anything.
func allowRequest(h http.Header, r *http.Request, methods []string) {
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if wanted := r.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		h.Set("Access-Control-Allow-Headers", wanted)
	}
	h.Set("Access-Control-Max-Age", preflightAge)
}
