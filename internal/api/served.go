package api

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Served is one request that was answered, for those who count.
type Served struct {
	// Method and Route come from a closed set each, so that they can be labels.
	// The route is the pattern, and empty for a path that there is not.
	Method, Route string
	Status        int
	Duration      time.Duration
}

// recorder remembers what was asked and answered.
type recorder struct {
	http.ResponseWriter
	start  time.Time
	status int
	bytes  int64

	call    *call // nil for what never got to a route
	pattern string
}

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write counts what is answered.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// note tells the recorder, whatever was put around it, which route a request
// has come to.
func note(w http.ResponseWriter, c *call, rt route) {
	for {
		switch inner := w.(type) {
		case *recorder:
			inner.call, inner.pattern = c, rt.Pattern
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return
		}
	}
}

// note101 tells the recorder of an answer that is written past it.
func note101(w http.ResponseWriter) {
	for {
		switch inner := w.(type) {
		case *recorder:
			inner.status = http.StatusSwitchingProtocols
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return
		}
	}
}

// tell logs a request and counts it.
func (s *Server) tell(w *recorder, r *http.Request, id string) {
	took := time.Since(w.start)
	if s.served != nil {
		s.served(Served{knownMethod(r.Method), w.pattern, w.status, took})
	}
	level := levelOf(w.status)
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", id), slog.String("method", r.Method), slog.String("route", w.pattern),
		slog.String("path", shortPath(r)), slog.Int("status", w.status), slog.Duration("duration", took),
		slog.Int64("bytes", w.bytes), slog.String("remote", remoteHost(r)),
	}
	if c := w.call; c != nil && c.Actor.Account != 0 {
		attrs = append(attrs, slog.Int64("account", c.Actor.Account), slog.Int64("token", c.Actor.Token))
		if c.action != 0 {
			attrs = append(attrs, slog.Int64("action", c.action))
		}
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// levelOf is how much a request matters to who runs the server: what was done
// to who debugs, what a client did wrong a little, what the server did more.
func levelOf(status int) slog.Level {
	switch {
	case status == http.StatusNotImplemented:
		return slog.LevelInfo // the client asked for what there is not
	case status >= 500:
		return slog.LevelWarn // a bug has a line of its own, with what went wrong
	case status >= 400:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// knownMethod is a request's method. Clients may send any word.
func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// maxRecorded is how much is kept of a text that a client chose.
const maxRecorded = 500

// shortPath is a request's path without its query, where secrets may be.
func shortPath(r *http.Request) string { return shortText(r.URL.Path) }

// shortText is text as it can be kept and shown on one line.
func shortText(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return unicode.ReplacementChar
		}
		return c
	}, text)
	if len(text) <= maxRecorded {
		return text
	}
	return strings.ToValidUTF8(text[:maxRecorded], "") // the cut may go through a character
}

// remoteHost is the address that a request came from, without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
