package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a configuration like that of `cistern serve` without flags.
func good() Config {
	return Config{
		Storage: Storage{Ephemeral: true}, Listen: "127.0.0.1:0", Engine: "sim", RateLimit: "off", SimLatency: "0",
		LogFormat: "text", LogLevel: "info",
	}
}

func TestConfigCheck(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:7480", "127.1.2.3:80", "[::1]:7480", "localhost:7480"} {
		c := good()
		c.Listen = listen
		if _, err := c.check(); err != nil {
			t.Errorf("--listen %s: %v", listen, err)
		}
	}
	c := good()
	c.Listen, c.InsecureHTTP, c.PublicURL = ":7480", true, "https://cloud.example.com/"
	c.Token, c.SimLatency, c.LogLevel, c.LogFormat = "dop_v1_test", "real", "WARN", "json"
	if _, err := c.check(); err != nil {
		t.Error(err)
	}
}

// Each mistake is told by the flag that it is in.
func TestConfigCheckRefuses(t *testing.T) {
	for complaint, change := range map[string]func(*Config){
		"--listen 0.0.0.0:7480: tokens would":     func(c *Config) { c.Listen = "0.0.0.0:7480" },
		"--listen :7480: tokens would":            func(c *Config) { c.Listen = ":7480" },
		"--listen [::]:7480: tokens would":        func(c *Config) { c.Listen = "[::]:7480" },
		"--listen cloud.local:7480: tokens would": func(c *Config) { c.Listen = "cloud.local:7480" },
		"--listen 127.0.0.1: use HOST:PORT":       func(c *Config) { c.Listen = "127.0.0.1" },
		"--listen : use HOST:PORT":                func(c *Config) { c.Listen = "" },
		"--engine qemu":                           func(c *Config) { c.Engine = "qemu" },
		"--rate-limit 5000":                       func(c *Config) { c.RateLimit = "5000" },
		"--token: a token has at least":           func(c *Config) { c.Token = "secret" },
		"--public-url cloud.example.com":          func(c *Config) { c.PublicURL = "cloud.example.com" },
		"--public-url ftp://cloud":                func(c *Config) { c.PublicURL = "ftp://cloud" },
		"--public-url https://cloud/?a=b":         func(c *Config) { c.PublicURL = "https://cloud/?a=b" },
		"--public-url https:///":                  func(c *Config) { c.PublicURL = "https:///" },
		"--sim-latency: ":                         func(c *Config) { c.SimLatency = "-1s" },
		"--log-format yaml":                       func(c *Config) { c.LogFormat = "yaml" },
		"--log-level all":                         func(c *Config) { c.LogLevel = "all" },
		"--catalog: open no-such-file":            func(c *Config) { c.Catalog = "no-such-file" },
		"use one of --data, --ephemeral":          func(c *Config) { c.Data = "here" },
		"--database takes a URL":                  func(c *Config) { c.Storage = Storage{Database: "cistern"} },
	} {
		c := good()
		change(&c)
		if _, err := c.check(); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%v, want one with %q", err, complaint)
		}
	}
}

// Where the state is when nobody says so follows the XDG rules.
func TestDefaultData(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	for state, want := range map[string]string{
		"":               "/home/ann/.local/state/cistern",
		"relative/state": "/home/ann/.local/state/cistern",
		"/srv/state":     "/srv/state/cistern",
	} {
		t.Setenv("XDG_STATE_HOME", state)
		if got := DefaultData(); got != want {
			t.Errorf("XDG_STATE_HOME=%q: %s, want %s", state, got, want)
		}
		if s, err := (Storage{}).check(); err != nil || s.Data != want {
			t.Errorf("storage is %+v, %v", s, err)
		}
	}
}

// A relative folder becomes absolute, as its token's path is pasted into shells
// that are elsewhere.
func TestRelativeData(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := (Storage{Data: "here"}).check(); err != nil || s.Data != filepath.Join(here, "here") {
		t.Errorf("--data here is %s, %v", s.Data, err)
	}
}

// Nobody reads a password in a log.
func TestStorageStringHidesPasswords(t *testing.T) {
	s := Storage{Database: "postgres://ann:hunter2@db.example.com/cistern"}
	if text := s.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "ann:xxxxx@db.example.com/cistern") {
		t.Errorf("the storage is called %q", text)
	}
}

func TestReadCatalog(t *testing.T) {
	c := good()
	if catalog, err := c.readCatalog(); err != nil || len(catalog.Regions) == 0 {
		t.Errorf("the built-in catalogue: %v", err)
	}
	c.Catalog = filepath.Join(t.TempDir(), "catalog.json")
	if err := os.WriteFile(c.Catalog, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.readCatalog(); err == nil || !strings.Contains(err.Error(), "--catalog "+c.Catalog+": not a catalogue") {
		t.Errorf("a list in place of a catalogue: %v", err)
	}
}
