package cli

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// longestPatience is how long a command waits at most until a server takes a
// request. DigitalOcean's and our limits give something back each minute.
const longestPatience = 2 * time.Minute

// patient sends a request again that was one too many, when the server says
// when. Such a request has done nothing, so any can be sent again.
type patient struct{ next http.RoundTripper }

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	next := p.next
	if next == nil {
		next = http.DefaultTransport
	}
	for waited := time.Duration(0); ; {
		response, err := next.RoundTrip(r)
		if err != nil || response.StatusCode != http.StatusTooManyRequests {
			return response, err
		}
		pause, told := pauseOf(response)
		waited += pause
		again := bodyAgain(r)
		if !told || again == nil || waited > longestPatience {
			return response, nil
		}
		_, _ = io.Copy(io.Discard, response.Body) // only so that the connection can be used again
		response.Body.Close()
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(pause):
		}
		r = again
	}
}

// pauseOf is how long a server asks to wait, and whether it does.
func pauseOf(response *http.Response) (time.Duration, bool) {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	return time.Duration(max(seconds, 1)) * time.Second, err == nil
}

// bodyAgain is a request with its body from the start, or nil without a way.
func bodyAgain(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	if r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	again := r.Clone(r.Context())
	again.Body = body
	return again
}
