// Package app joins the parts into a program: it reads the configuration,
// opens the store, starts the engine, the operations and the server, and stops
// them in order.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/sim"
)

// Storage says where the state is kept: a data folder with a SQLite file, a
// PostgreSQL database, or nowhere.
type Storage struct {
	Data      string
	Ephemeral bool
	Database  string
}

// Config is the configuration of `cistern serve`. The names of its flags are in
// the errors.
type Config struct {
	Storage
	Listen       string
	InsecureHTTP bool
	// TLS is "auto" for a certificate that the server makes; TLSCert and TLSKey
	// are the files of one that there is. All empty is plain HTTP.
	TLS     string
	TLSCert string
	TLSKey  string
	Engine  string
	Real
	Token     string
	PublicURL string
	// Seed is a file of cistern state export that an ephemeral server starts with.
	Seed string
	// Limits are the first account's, where they are set at each start.
	Limits Limits
	// ReadyFile is where to write how to reach the server once it is ready.
	ReadyFile string
	Catalog   string
	// RateLimit empty is the documented one, or off where nothing is kept.
	RateLimit   string
	KeepActions string
	SimLatency  string
	LogFormat   string
	LogLevel    string
	// Embedded is for a server in somebody else's process: it leaves the
	// process's signals and file modes alone.
	Embedded bool
}

// DefaultData is the data folder when none is named:
// $XDG_STATE_HOME/cistern, which is ~/.local/state/cistern.
func DefaultData() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "cistern")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "cistern-data"
	}
	return filepath.Join(home, ".local", "state", "cistern")
}

// check refuses storage that is named twice and fills in the default.
func (s Storage) check() (Storage, error) {
	named := 0
	for _, is := range []bool{s.Data != "", s.Ephemeral, s.Database != ""} {
		if is {
			named++
		}
	}
	if named > 1 {
		return s, errors.New("use one of --data, --ephemeral and --database")
	}
	if s.Database != "" {
		u, err := url.Parse(s.Database)
		if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
			return s, errors.New("--database takes a URL such as postgres://user@host/name")
		}
	}
	if named == 0 {
		s.Data = DefaultData()
	}
	if s.Data != "" { // what is printed of it is pasted elsewhere
		data, err := filepath.Abs(s.Data)
		if err != nil {
			return s, fmt.Errorf("--data %s: %w", s.Data, err)
		}
		s.Data = data
	}
	return s, nil
}

// String names the storage for people, without a password.
func (s Storage) String() string {
	switch {
	case s.Ephemeral:
		return "nothing kept"
	case s.Database != "":
		if u, err := url.Parse(s.Database); err == nil {
			return "database " + u.Redacted()
		}
		return "database"
	default:
		return "data in " + s.Data
	}
}

// settings is a Config that was read and found good.
type settings struct {
	Config
	catalog cloud.Catalog
	real    realSettings
	latency sim.Latency
	limit   api.RateLimit
	keep    time.Duration // of actions and destroys; 0 is for ever
	level   slog.Level
}

func (c Config) check() (s settings, err error) { return c.checkAs(host.Root()) }

// checkAs is check where the server is root, or is not.
func (c Config) checkAs(root bool) (s settings, err error) {
	if c.Storage, err = c.Storage.check(); err != nil { // with which the rest is checked: the default folder is one too
		return s, err
	}
	s.Config = c
	if err := c.checkTLS(); err != nil {
		return s, err
	}
	if err := c.checkListen(); err != nil {
		return s, err
	}
	if s.real, err = c.checkEngine(root); err != nil {
		return s, err
	}
	if s.limit, err = c.rateLimit(); err != nil {
		return s, err
	}
	if c.Seed != "" && !c.Ephemeral {
		return s, errors.New("--seed is for --ephemeral, as others keep what they have; use cistern state import")
	}
	if c.Token != "" {
		if err := cloud.CheckSecret(c.Token); err != nil {
			return s, fmt.Errorf("--token: %w", err)
		}
	}
	if err := c.checkPublicURL(); err != nil {
		return s, err
	}
	if s.keep, err = parseKeep(c.KeepActions); err != nil {
		return s, fmt.Errorf("--keep-actions %s: %w", c.KeepActions, err)
	}
	if s.latency, err = sim.ParseLatency(c.SimLatency); err != nil {
		return s, fmt.Errorf("--sim-latency: %w", err)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return s, fmt.Errorf("--log-format %s: use text or json", c.LogFormat)
	}
	if err := s.level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return s, fmt.Errorf("--log-level %s: use debug, info, warn or error", c.LogLevel)
	}
	s.catalog, err = c.readCatalog()
	return s, err
}

// rateLimit reads --rate-limit. An ephemeral server is for tests, which make
// requests as fast as they can, so that one limits only if it is told to.
func (c Config) rateLimit() (api.RateLimit, error) {
	if c.RateLimit == "" && c.Ephemeral {
		return api.RateLimit{}, nil
	}
	if c.RateLimit == "" {
		return api.DefaultRateLimit, nil
	}
	limit, err := api.ParseRateLimit(c.RateLimit)
	if err != nil {
		return limit, fmt.Errorf("--rate-limit %s: %w", c.RateLimit, err)
	}
	return limit, nil
}

// hasTLS reports whether connections are encrypted.
func (c Config) hasTLS() bool { return c.TLS != "" || c.TLSCert != "" }

func (c Config) checkTLS() error {
	switch {
	case c.TLS != "" && c.TLS != "auto":
		return fmt.Errorf("--tls %s: use auto, or --tls-cert and --tls-key", c.TLS)
	case c.TLS != "" && (c.TLSCert != "" || c.TLSKey != ""):
		return errors.New("use either --tls auto, or --tls-cert and --tls-key")
	case c.TLSCert != "" && c.TLSKey == "":
		return errors.New("--tls-cert needs --tls-key with the certificate's private key")
	case c.TLSCert == "" && c.TLSKey != "":
		return errors.New("--tls-key needs --tls-cert with the certificate")
	}
	return nil
}

// checkListen keeps tokens off the network: without encryption only this
// machine may listen in.
func (c Config) checkListen() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: use HOST:PORT, such as 127.0.0.1:7480", c.Listen)
	}
	ip := net.ParseIP(host)
	if c.hasTLS() || c.InsecureHTTP || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s: tokens would cross the network unencrypted; use --tls auto or --tls-cert and --tls-key, listen on 127.0.0.1, or add --insecure-http where something else encrypts", c.Listen)
}

func (c Config) checkPublicURL() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("--public-url %s: use a URL with a host and no path, such as https://cloud.example.com; clients cannot follow a path", c.PublicURL)
	}
	return nil
}

func (c Config) readCatalog() (cloud.Catalog, error) {
	if c.Catalog == "" {
		return cloud.DefaultCatalog(), nil
	}
	data, err := os.ReadFile(c.Catalog)
	if err != nil {
		return cloud.Catalog{}, fmt.Errorf("--catalog: %w", err)
	}
	catalog, err := cloud.ParseCatalog(data)
	if err != nil {
		return catalog, fmt.Errorf("--catalog %s: %w", c.Catalog, err)
	}
	return catalog, nil
}
