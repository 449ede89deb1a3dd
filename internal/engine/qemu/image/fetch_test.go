package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Every kind of address that is not on the internet, by one of each.
func TestAddressesThatAreRefused(t *testing.T) {
	for kind, address := range map[string]string{
		"this network": "0.0.0.0", "this network's": "0.1.2.3", "private": "10.1.2.3", "private of 172": "172.31.0.1",
		"private of 192": "192.168.0.1", "shared": "100.64.0.1", "loopback": "127.0.0.1", "loopback's": "127.100.0.1",
		"link-local": "169.254.169.254", "protocols": "192.0.0.1", "documentation": "192.0.2.1", "documentation 2": "198.51.100.1",
		"documentation 3": "203.0.113.1", "relays": "192.88.99.1", "benchmarks": "198.18.0.1", "benchmarks' end": "198.19.255.255",
		"multicast": "224.0.0.1", "reserved": "240.0.0.1", "broadcast": "255.255.255.255",
		"IPv6 unspecified": "::", "IPv6 loopback": "::1", "compatible": "::7f00:1", "mapped loopback": "::ffff:127.0.0.1",
		"mapped": "::ffff:8.8.8.8", "translated": "::ffff:0:7f00:1", "NAT64": "64:ff9b::7f00:1", "local NAT64": "64:ff9b:1::7f00:1",
		"6to4": "2002:7f00:1::1", "Teredo": "2001::1", "ORCHID": "2001:20::1", "IPv6 documentation": "2001:db8::1",
		"IPv6 documentation 2": "3fff::1", "discard": "100::1", "unique local": "fd00::1", "IPv6 link-local": "fe80::1",
		"with a zone": "fe80::1%eth0", "site-local": "fec0::1", "IPv6 multicast": "ff02::1", "segments": "5f00::1",
		"unassigned": "4000::1", "unassigned 2": "9000::1", "unassigned 3": "c000::1",
	} {
		a := netip.MustParseAddr(address)
		if err := checkAddress(a, nil); err == nil || !strings.Contains(err.Error(), "--import-allow") {
			t.Errorf("%s: %s: %v", kind, address, err)
		}
		allow := netip.PrefixFrom(a.WithZone("").Unmap(), a.WithZone("").Unmap().BitLen())
		if err := checkAddress(a, []netip.Prefix{allow}); err != nil {
			t.Errorf("%s is allowed: %v", kind, err)
		}
	}
	for _, address := range []string{"8.8.8.8", "100.63.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1", "2a00:1450::1", "2001:4860:4860::8888"} {
		if err := checkAddress(netip.MustParseAddr(address), nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func serveImage(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestFetch(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nobody is asked there
	s := serveImage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/disk", http.StatusFound)
			return
		}
		fmt.Fprint(w, "what is on the disk")
	})
	var out bytes.Buffer
	var done, total int64
	err := Fetch(t.Context(), s.URL+"/moved", &out, FetchOptions{Allow: loopback, Progress: func(d, of int64) { done, total = d, of }})
	if err != nil || out.String() != "what is on the disk" || done != int64(out.Len()) || total != done {
		t.Errorf("%q, %v, %d of %d", out.String(), err, done, total)
	}
}

func TestFetchRefuses(t *testing.T) {
	var asked atomic.Int32
	inner := serveImage(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	port := inner.URL[strings.LastIndex(inner.URL, ":"):]
	other := "http://127.0.0.2" + port
	stuck := make(chan struct{})
	outer := serveImage(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/inside":
			http.Redirect(w, r, inner.URL, http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/large":
			w.Header().Set("Content-Length", "1000000")
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "x")
		case "/silent":
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		default:
			http.NotFound(w, r)
		}
	})
	t.Cleanup(func() { close(stuck) })
	// The outer server is allowed, and the inner one is not.
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Skipf("not applicable: %v", err)
	}
	third := &http.Server{Handler: outer.Config.Handler}
	go func() { _ = third.Serve(l) }()
	t.Cleanup(func() { _ = third.Close() })
	base := "http://" + l.Addr().String()
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32")}

	for name, test := range map[string]struct{ url, want string }{
		"loopback":      {inner.URL, "127.0.0.1 is not one on the internet, and is refused without --import-allow 127.0.0.1/32"},
		"another":       {other, "127.0.0.2 is not one on the internet"},
		"mapped":        {"http://[::ffff:127.0.0.1]" + port, "is not one on the internet"},
		"decimal":       {"http://2130706433" + port, ""},
		"name":          {"http://localhost" + port, "is not one on the internet"},
		"redirect":      {base + "/inside", "127.0.0.1 is not one on the internet"},
		"redirect file": {base + "/file", "cannot be fetched"},
		"round":         {base + "/round", "redirects more than 5 times"},
		"not found":     {base + "/none", "404 Not Found"},
		"large":         {base + "/large", "more than the 9.8 KiB that are allowed"},
		"endless":       {base + "/endless", "more than the 9.8 KiB that are allowed"},
		"cut":           {base + "/cut", "ended before all had come"},
		"silent":        {base + "/silent", "silent for 100ms"},
		"ftp":           {"ftp://example.com/x", "begins with https:// or http://"},
		"file":          {"file:///etc/passwd", "begins with https:// or http://"},
		"no host":       {"http:///x", "begins with https:// or http://"},
		"nothing":       {"http://", `"http://" cannot be fetched: use a URL that begins with https:// or http:// and names a host`},
		"user":          {"https://me:secret@example.com/x", "user name in it"},
		"nonsense":      {"http://a b", "is not a URL"},
	} {
		err := Fetch(t.Context(), test.url, io.Discard, FetchOptions{Allow: allow, MaxBytes: 10_000, silence: 100 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	if asked.Load() != 0 {
		t.Error("the server inside was asked")
	}
	err = Fetch(t.Context(), base+"/silent", io.Discard, FetchOptions{Allow: allow, Timeout: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "took more than the 50ms") {
		t.Errorf("time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Fetch(ctx, base+"/silent", io.Discard, FetchOptions{Allow: allow}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A name that leads to the internet when it is looked at first, and inside
// afterwards, leads nowhere.
func TestFetchOfNameThatChanges(t *testing.T) {
	var asked atomic.Int32
	inner := serveImage(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerLoopback(server)
		return client, nil
	}}
	err = Fetch(t.Context(), "http://rebound.example:"+port, io.Discard, FetchOptions{resolver: resolver})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1 is not one on the internet") || asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

// answerLoopback answers a question over a stream: every name is 127.0.0.1.
func answerLoopback(conn net.Conn) {
	defer conn.Close()
	size := make([]byte, 2)
	if _, err := io.ReadFull(conn, size); err != nil {
		return
	}
	question := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	end := 12 + bytes.IndexByte(question[12:], 0) + 5
	answer := append([]byte{}, question[:end]...)
	answer[2], answer[3] = 0x81, 0x80
	clear(answer[6:12])
	if question[end-3] == 1 { // an IPv4 address was asked for
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
	}
	_, _ = conn.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)) // who asked may be gone
}
