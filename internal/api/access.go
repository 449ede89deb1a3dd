package api

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Access is for people who want onto their own machines. Whoever has the console
// can read a new root password there, so it takes the scope that resetting it
// takes.
var accessRoutes = []route{
	get(accessPath+"/access", (*Server).getAccess, "droplet:read"),
	get(accessPath+"/console", (*Server).joinConsole, "droplet:admin"),
	get(accessPath+"/screenshot", (*Server).getScreenshot, "droplet:admin"),
}

const accessPath = "/_cistern/droplets/{droplet_id}"

type accessBody struct {
	Access wireAccess `json:"access"`
}

type wireAccess struct {
	// Address and Port are null while no ssh leads to the Droplet.
	Address *string `json:"address"`
	Port    *int    `json:"port"`
	User    string  `json:"user"`
	// Password is null when there is none to tell, or not to this token.
	Password *string `json:"password"`
	// Console and Screenshot say that there is one now.
	Console    bool `json:"console"`
	Screenshot bool `json:"screenshot"`
}

func (s *Server) getAccess(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	// The password is told once: not to a HEAD, which would lose it, nor to who
	// wants nothing but the address.
	secret := c.Method == http.MethodGet && (c.query("password") == "" || c.truth("password"))
	a, err := s.plane.Access(c.Context(), c.Actor, id, secret)
	if err != nil {
		return nil, err
	}
	w := wireAccess{User: a.User, Console: a.On, Screenshot: a.On}
	if a.Address != "" {
		w.Address, w.Port = &a.Address, &a.Port
	}
	if a.Password != "" {
		w.Password = &a.Password
		s.auditTold(c, accessPath+"/access")
	}
	c.header.Set("Cache-Control", "no-store")
	return ok(accessBody{w}), nil
}

// auditTold records that somebody was let in: reading is not recorded otherwise.
func (s *Server) auditTold(c *call, pattern string) {
	if err := s.plane.RecordAudit(c.Context(), c.auditEntry(route{Pattern: pattern})); err != nil {
		s.log.Error("record an access in the audit trail", "request_id", c.header.Get(requestID), "error", err)
	}
}

func (s *Server) getScreenshot(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	png, err := s.plane.Screenshot(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	return ok(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(png)
	})), nil
}

// consoleProtocol is what a connection becomes that joins a console: bytes as
// they are, in both directions.
const consoleProtocol = "cistern-console"

func (s *Server) joinConsole(c *call) (*reply, error) {
	id, err := c.number("droplet_id")
	if err != nil {
		return nil, err
	}
	if _, err := s.plane.Droplet(c.Context(), c.Actor, id); err != nil { // before its request is judged
		return nil, err
	}
	if c.Method != http.MethodGet || c.ProtoMajor != 1 || !asksFor(c.Header, "Connection", "upgrade") || !asksFor(c.Header, "Upgrade", consoleProtocol) {
		c.header.Set("Upgrade", consoleProtocol)
		return nil, cloud.Errorf(cloud.CodeBadRequest,
			"a console takes a connection of its own: send a GET over HTTP/1.1 with the headers Connection: Upgrade and Upgrade: %s", consoleProtocol)
	}
	console, err := s.plane.Console(c.Context(), c.Actor, id)
	if err != nil {
		return nil, err
	}
	s.auditTold(c, accessPath+"/console")
	return ok(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer console.Close()
		conn, rest, err := upgrade(w)
		if err != nil {
			s.log.Error("take over the connection for a console", "request_id", c.header.Get(requestID), "error", err)
			return
		}
		defer conn.Close()
		join(console, conn, rest, r.Context().Done(), s.stopping)
	})), nil
}

// asksFor reports whether a header lists a word.
func asksFor(h http.Header, name, word string) bool {
	for _, value := range h.Values(name) {
		for listed := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(listed), word) {
				return true
			}
		}
	}
	return false
}

// upgrade takes over the connection of a request. What the client has sent on it
// already is read from rest.
func upgrade(w http.ResponseWriter) (conn net.Conn, rest io.Reader, err error) {
	note101(w)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// Nothing bounds how long somebody looks at a console.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, nil, err
	}
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+consoleProtocol+
		"\r\n"+requestID+": "+w.Header().Get(requestID)+"\r\n\r\n")
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, buffered.Reader, nil
}

// join copies in both directions until one side ends or somebody says so.
func join(console io.ReadWriteCloser, client net.Conn, fromClient io.Reader, ends ...<-chan struct{}) {
	var once sync.Once
	over := make(chan struct{})
	end := func() { once.Do(func() { close(over) }) }
	var copies sync.WaitGroup
	copies.Go(func() { defer end(); _, _ = io.Copy(client, console) })
	copies.Go(func() { defer end(); _, _ = io.Copy(console, fromClient) })
	for _, other := range ends {
		go func() {
			select {
			case <-other:
				end()
			case <-over:
			}
		}()
	}
	<-over
	console.Close()
	client.Close()
	copies.Wait()
}
