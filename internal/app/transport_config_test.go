package app

import (
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/api"
)

func TestTransportConfig(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		err    string // the error's beginning; "" is none
	}{
		{"another machine, unencrypted", Config{Listen: "0.0.0.0:7480"}, "--listen 0.0.0.0:7480: tokens would cross"},
		{"all addresses, unencrypted", Config{Listen: ":7480"}, "--listen :7480: tokens would cross"},
		{"an unknown --tls", Config{TLS: "on"}, "--tls on: use auto"},
		{"both kinds of TLS", Config{TLS: "auto", TLSKey: "k"}, "use either --tls auto, or"},
		{"no key", Config{TLSCert: "c"}, "--tls-cert needs --tls-key"},
		{"no certificate", Config{TLSKey: "k", Listen: "0.0.0.0:1"}, "--tls-key needs --tls-cert"},
		{"an unknown limit", Config{RateLimit: "many"}, "--rate-limit many: use off, or requests per hour"},
		{"an unknown limit, ephemeral", Config{RateLimit: "0", Storage: Storage{Ephemeral: true}}, "--rate-limit 0: use off"},
		{"another machine, behind a proxy", Config{Listen: "0.0.0.0:7480", InsecureHTTP: true}, ""},
		{"another machine, encrypted", Config{Listen: "0.0.0.0:7480", TLS: "auto"}, ""},
		{"another machine, with a certificate", Config{Listen: ":7480", TLSCert: "c", TLSKey: "k"}, ""},
	}
	for _, test := range tests {
		_, err := complete(test.config).check()
		if (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("%s: %v, want %q", test.name, err, test.err)
		}
	}
}

// complete fills in what the flags have as defaults.
func complete(c Config) Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	c.Engine, c.SimLatency, c.LogFormat, c.LogLevel = "sim", "0", "text", "info"
	return c
}

func TestRateLimitConfig(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		want   api.RateLimit
	}{
		{"by default", Config{}, api.DefaultRateLimit},
		{"off", Config{RateLimit: "off"}, api.RateLimit{}},
		{"set", Config{RateLimit: "10/h,5/m"}, api.RateLimit{Hour: 10, Minute: 5}},
		{"ephemeral", Config{Storage: Storage{Ephemeral: true}}, api.RateLimit{}},
		{"ephemeral and set", Config{Storage: Storage{Ephemeral: true}, RateLimit: "5000/h,250/m"}, api.DefaultRateLimit},
	}
	for _, test := range tests {
		if s, err := complete(test.config).check(); err != nil || s.limit != test.want {
			t.Errorf("%s: %v, %v; want %v", test.name, s.limit, err, test.want)
		}
	}
}
