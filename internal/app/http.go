package app

import (
	"net"
	"net/http"
	"time"
)

// How long a client may take, and how much its headers may be. The time that a
// request waits for an operation is not the client's, and is not limited.
const (
	headerTime  = 10 * time.Second // for the handshake of TLS, and for the headers
	requestTime = 40 * time.Second // for the headers and the body
	answerTime  = 60 * time.Second
	idleTime    = 2 * time.Minute

	maxHeader = 64 << 10
)

// newHTTPServer makes a server that no slow client can keep busy.
func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           limitAnswers(h, answerTime),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
	}
}

// serveOn serves until the server is shut down, encrypted if there are
// certificates; HTTP/2 comes with that.
func serveOn(web *http.Server, listener net.Listener, certificates *certificates) error {
	if certificates == nil {
		return web.Serve(listener)
	}
	web.TLSConfig = certificates.config()
	return web.ServeTLS(listener, "", "")
}

// limitAnswers bounds how long an answer takes to be taken. http.Server's own
// WriteTimeout counts from the request on, so that it would cut off whoever
// waits for an operation.
func limitAnswers(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&timedWriter{ResponseWriter: w, limit: limit}, r)
	})
}

// timedWriter starts the time to take the answer when the answer starts.
type timedWriter struct {
	http.ResponseWriter
	limit   time.Duration
	started bool
}

func (w *timedWriter) start() {
	if !w.started {
		w.started = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.limit))
	}
}

// WriteHeader starts the answer.
func (w *timedWriter) WriteHeader(status int) {
	w.start()
	w.ResponseWriter.WriteHeader(status)
}

// Write starts the answer if WriteHeader has not.
func (w *timedWriter) Write(p []byte) (int, error) {
	w.start()
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
