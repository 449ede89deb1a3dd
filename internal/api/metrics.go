package api

import (
	"net"
	"net/http"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// Metrics tell about all accounts together. Who is on this machine may read
// them without a token.
var metricsRoutes = []route{
	{Method: http.MethodGet, Pattern: "/metrics", Open: true, handler: (*Server).showMetrics},
}

func (s *Server) showMetrics(c *call) (*reply, error) {
	if !isLocal(c.Request) {
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.Actor.Require(cloud.FullAccess); err != nil {
			return nil, err
		}
	}
	if s.metrics == nil {
		return nil, cloud.NotFound()
	}
	return ok(s.metrics), nil
}

// relayed are headers of requests that somebody else sent on: a proxy on this
// machine, for a client elsewhere, or a browser here, for a page from there.
var relayed = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via", "Origin"}

// isLocal reports whether a request comes from this machine by itself. The host
// must be one of this machine too: a page can make its own name lead here.
func isLocal(r *http.Request) bool {
	for _, name := range relayed {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return isLoopback(remoteHost(r)) && isLoopback(hostName(r.Host))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hostName is a host without its port.
func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}
