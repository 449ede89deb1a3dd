package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory, so that their deadlines
// follow the test's own time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// connect serves one connection with a handler in a bubble, and calls the test
// with the client's end.
func connect(t *testing.T, h http.HandlerFunc, test func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		web := newHTTPServer(h)
		go func() { _ = web.Serve(listener) }()
		client, server := net.Pipe()
		listener <- server
		test(t, client)
		client.Close()
		close(listener)
		web.Close()
		time.Sleep(time.Second) // after an error the server lingers
	})
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// closedAfter reads until the server hangs up and checks when that was.
func closedAfter(t *testing.T, conn net.Conn, want time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, conn)
	if took := time.Since(start); err != nil || took < want || took > want+time.Second {
		t.Errorf("hung up after %s (%v), want %s", took, err, want)
	}
}

func TestSlowHeaders(t *testing.T) {
	connect(t, nil, func(t *testing.T, conn net.Conn) {
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\nX-")
		closedAfter(t, conn, headerTime)
	})
}

func TestLargeHeaders(t *testing.T) {
	connect(t, nil, func(t *testing.T, conn net.Conn) {
		go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
		if r := answer(t, conn); r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", r.StatusCode)
		}
	})
}

func TestSlowBody(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, err := io.ReadAll(r.Body)
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != requestTime {
			t.Errorf("the body ended after %s with %v", took, err)
		}
		w.WriteHeader(http.StatusRequestTimeout)
	}
	connect(t, read, func(t *testing.T, conn net.Conn) {
		send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
		if r := answer(t, conn); r.StatusCode != http.StatusRequestTimeout {
			t.Errorf("status %d, want 408", r.StatusCode)
		}
		closedAfter(t, conn, 0)
	})
}

// Nobody reads this body, and it does not come.
func TestSlowBodyUnread(t *testing.T) {
	connect(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, conn net.Conn) {
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
		closedAfter(t, conn, requestTime)
	})
}

// The time that a request waits for an operation is not limited: neither its
// context ends nor its answer is cut off.
func TestLongWait(t *testing.T) {
	wait := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error(context.Cause(r.Context()))
		case <-time.After(time.Hour):
		}
		fmt.Fprint(w, "done")
	}
	for name, request := range map[string]string{
		"with a body":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"with chunks":    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"without a body": "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			connect(t, wait, func(t *testing.T, conn net.Conn) {
				for range 2 { // nor is the next on the same connection
					send(t, conn, request)
					r := answer(t, conn)
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != "done" {
						t.Errorf("%q, %v", body, err)
					}
				}
			})
		})
	}
}

func TestAnswerNotTaken(t *testing.T) {
	write := func(w http.ResponseWriter, _ *http.Request) {
		start := time.Now()
		_, err := w.Write(make([]byte, 1<<20))
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != answerTime {
			t.Errorf("the answer ended after %s with %v", took, err)
		}
	}
	connect(t, write, func(t *testing.T, conn net.Conn) {
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(answerTime + time.Second)
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
	})
}

func TestIdle(t *testing.T) {
	connect(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, conn net.Conn) {
		send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		closedAfter(t, conn, idleTime)
	})
}
