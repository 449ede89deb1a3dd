package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// realConfig is a configuration like that of `cistern serve --engine qemu`.
func realConfig() Config {
	c := good()
	c.Storage = Storage{Data: "/var/lib/cistern"}
	c.Engine, c.Real = engineQEMU, Real{Network: networkUser, Accel: "auto"}
	return c
}

// Each mistake is told by the flag that it is in, with what would be right.
func TestEngineRefusals(t *testing.T) {
	routed := func(change func(*Config)) func(*Config) {
		return func(c *Config) { c.Network = networkRouted; change(c) }
	}
	for complaint, test := range map[string]struct {
		root   bool
		change func(*Config)
	}{
		"--engine vmware: use sim or qemu":                                                                                {false, func(c *Config) { c.Engine = "vmware" }},
		"--engine qemu keeps machines, which --ephemeral would forget; use --data FOLDER":                                 {false, func(c *Config) { c.Storage = Storage{Ephemeral: true} }},
		"--engine qemu keeps machines in a folder of this host, and their state has to be beside them; use --data FOLDER": {false, func(c *Config) { c.Storage = Storage{Database: "postgres://db"} }},
		"--catalog is for --engine sim":                                                                                   {false, func(c *Config) { c.Catalog = "file" }},
		"--sim-latency is for --engine sim":                                                                               {false, func(c *Config) { c.SimLatency = "real" }},
		"--region-alias is for --engine qemu":                                                                             {false, func(c *Config) { c.Engine, c.RegionAliases = engineSim, []string{"nyc3=local1"} }},
		"--import-allow is for --engine qemu":                                                                             {false, func(c *Config) { c.Engine, c.ImportAllow = engineSim, []string{"10.0.0.0/8"} }},
		"--public-pool is for --engine qemu":                                                                              {false, func(c *Config) { c.Engine, c.PublicPool = engineSim, "10.0.0.0/8" }},
		"--network is for --engine qemu":                                                                                  {false, func(c *Config) { c.Engine, c.Network = engineSim, networkRouted }},
		"--accel is for --engine qemu":                                                                                    {false, func(c *Config) { c.Engine, c.Accel = engineSim, "tcg" }},
		"--accel hvf: use auto, kvm or tcg":                                                                               {false, func(c *Config) { c.Accel = "hvf" }},
		"--disk-overcommit is for --engine qemu":                                                                          {false, func(c *Config) { c.Engine, c.DiskOvercommit = engineSim, "4" }},
		"--disk-overcommit 0.5: use a factor from 1":                                                                      {false, func(c *Config) { c.DiskOvercommit = "0.5" }},
		"--disk-overcommit NaN: use a factor from 1":                                                                      {false, func(c *Config) { c.DiskOvercommit = "NaN" }},
		"--disk-overcommit -1: use a factor from 1":                                                                       {false, func(c *Config) { c.DiskOvercommit = "-1" }},
		"--network bridged: use user or routed":                                                                           {false, func(c *Config) { c.Network = "bridged" }},
		"--network routed makes links and routes, which takes root; run cistern as root, or use --network user":           {false, routed(func(*Config) {})},
		"--public-pool 10.0.0.0/24: with --network user, addresses are this host's own; use a part of 127.0.0.0/8 no larger than a /16, such as 127.100.0.0/16":   {true, func(c *Config) { c.PublicPool = "10.0.0.0/24" }},
		"--reserved-pool 127.0.0.0/8: with --network user, addresses are this host's own; use a part of 127.0.0.0/8 no larger than a /16, such as 127.101.0.0/16": {true, func(c *Config) { c.ReservedPool = "127.0.0.0/8" }},
		"--uplink is for --network routed; use that as root, or leave --uplink out":                                                                               {true, func(c *Config) { c.Uplink = "eth0" }},
		"--uplink is for --network routed":                                                                     {true, func(c *Config) { c.Uplink = "eth0" }},
		"--public-pool: 10.0.0.1/24 has bits beyond its prefix":                                                {true, routed(func(c *Config) { c.PublicPool = "10.0.0.1/24" })},
		"use a range such as 198.19.0.0/16":                                                                    {true, routed(func(c *Config) { c.ReservedPool = "many" })},
		"--public-pool 198.19.1.0/24 and --reserved-pool 198.19.0.0/16 have addresses in common":               {true, routed(func(c *Config) { c.PublicPool = "198.19.1.0/24" })},
		"--ipv6-pool: 2001:db8::/96: a pool is between a /16 and a /64; use a prefix such as":                  {true, routed(func(c *Config) { c.IPv6Pool = "2001:db8::/96" })},
		`--region-alias "nyc3": use ALIAS=REGION, such as nyc3=local1`:                                         {false, func(c *Config) { c.RegionAliases = []string{"nyc3"} }},
		"--import-allow here: use a range of addresses such as 10.0.0.0/8":                                     {false, func(c *Config) { c.ImportAllow = []string{"here"} }},
		"--vm-user nobody: only root can run machines as somebody else":                                        {false, func(c *Config) { c.VMUser = "nobody" }},
		"--vm-user root: machines do not run as root":                                                          {true, func(c *Config) { c.VMUser = "root" }},
		"--vm-uids 1000-2000: only root can run machines as somebody else":                                     {false, func(c *Config) { c.VMUIDs = "1000-2000" }},
		"--vm-uids 1000: use FIRST-LAST, user IDs that nobody else has, such as 2100000000-2139999999, or off": {true, func(c *Config) { c.VMUIDs = "1000" }},
		"--vm-uids 0-1000: use FIRST-LAST":                                                                     {true, func(c *Config) { c.VMUIDs = "0-1000" }},
		"--vm-uids 2000-1000: use FIRST-LAST":                                                                  {true, func(c *Config) { c.VMUIDs = "2000-1000" }},
		"--vm-uids 1000-4294967295: use FIRST-LAST":                                                            {true, func(c *Config) { c.VMUIDs = "1000-4294967295" }},
		"--vm-uids is for --engine qemu":                                                                       {false, func(c *Config) { c.Engine, c.VMUIDs = engineSim, "off" }},
		"--vm-user: there is no user no-such-user; make one with: useradd":                                     {true, func(c *Config) { c.VMUser = "no-such-user" }},
	} {
		c := realConfig()
		test.change(&c)
		if _, err := c.checkEngine(test.root); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%v, want one with %q", err, complaint)
		}
	}
}

func TestEngineSettings(t *testing.T) {
	c := realConfig()
	c.RegionAliases, c.ImportAllow = []string{"nyc3=local1", "ams3=local1"}, []string{"10.0.0.7", "192.168.1.0/24"}
	r, err := c.checkEngine(false)
	if err != nil || r.vmUser != nil || r.public.String() != "127.100.0.0/16" || r.reserved.String() != "127.101.0.0/16" ||
		strings.Join(r.aliases, " ") != "nyc3 ams3" || len(r.importAllow) != 2 || r.importAllow[0].String() != "10.0.0.7/32" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r.addresses.Droplets.Network() != "127.100.0.0/16" || r.addresses.IPv6.Any() {
		t.Errorf("the addresses are %+v", r.addresses)
	}
	c = realConfig()
	c.Network, c.PublicPool, c.ReservedPool, c.IPv6Pool = networkRouted, "203.0.113.0/28", "203.0.113.16/28", "2001:db8:1::/48"
	r, err = c.checkEngine(true)
	if err != nil || r.addresses.Droplets.Size() != 13 || !r.addresses.IPv6.Any() || r.vmUser == nil || r.vmUser.uid == 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	for text, want := range map[string]vmUIDs{"1000-1999": {1000, 1000}, "off": {}, "": {2100000000, 40000000}} {
		if text == "" && !host.HasUIDs(2100000000, 2139999999) {
			want = vmUIDs{}
		}
		if uids, err := findVMUIDs(text, true); err != nil || uids != want {
			t.Errorf("--vm-uids %q: %+v, %v", text, uids, err)
		}
	}
	if (settings{real: r}).umask() != 0o066 || (settings{}).umask() != 0o077 {
		t.Error("the umask is another")
	}
}

// A data folder stays the engine's that it was used with.
func TestFoldersAreOfOneEngine(t *testing.T) {
	folder := t.TempDir()
	if err := claim(folder, engineQEMU); err != nil {
		t.Fatal(err)
	}
	if err := claim(folder, engineQEMU); err != nil {
		t.Errorf("the second start: %v", err)
	}
	want := "--data " + folder + " has the machines of the engine qemu; start with --engine qemu, or use another folder for sim"
	if err := claim(folder, engineSim); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	before := t.TempDir() // as a version without other engines has left it
	if err := os.WriteFile(filepath.Join(before, databaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(before, engineQEMU); err == nil || !strings.Contains(err.Error(), "has the machines of the engine sim") {
		t.Errorf("got %v", err)
	}
	if err := claim(before, engineSim); err != nil {
		t.Error(err)
	}
}

// Disks cannot be carried as rows, so real machines stay where they are.
func TestRealMachinesAreNotCarried(t *testing.T) {
	storage := sqlite(t)
	started(t, storage)
	if err := os.WriteFile(filepath.Join(storage.Data, engineFile), []byte("qemu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	want := " is for simulated machines: those of " + storage.Data + " are real (engine qemu)"
	if err := ExportState(t.Context(), storage, 0, &b); err == nil || !strings.Contains(err.Error(), "state export"+want) || b.Len() > 0 {
		t.Errorf("export: %v, %d bytes", err, b.Len())
	}
	state := strings.NewReader(`{"cistern_state": 1, "at": "2026-01-01T00:00:00Z", "rows": {}}`)
	if _, err := ImportState(t.Context(), storage, 0, state); err == nil || !strings.Contains(err.Error(), "state import"+want) {
		t.Errorf("import: %v", err)
	}
}

// The folder that is served where none is named is looked at as well.
func TestMachinesUserReachesTheDefaultFolder(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", home)
	c := realConfig()
	c.Storage = Storage{}
	want := "who cannot go through "
	if _, err := c.checkAs(true); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(home, "cistern")) {
		t.Errorf("got %v, want one with %q", err, want)
	}
	s, err := c.checkAs(false)
	if err != nil || s.Data != filepath.Join(home, "cistern") {
		t.Errorf("the folder is %q: %v", s.Data, err)
	}
}

// Who runs the machines has to get to them.
func TestMachinesUserReachesTheFolder(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	u := &vmUser{"nobody", 65534, 65534}
	if err := u.reaches(data); err == nil || !strings.Contains(err.Error(), "machines run as nobody, who cannot go through "+folder+" to --data "+data+"; open it with: chmod o+x "+folder) {
		t.Errorf("got %v", err)
	}
	if err := (*vmUser)(nil).reaches(data); err != nil {
		t.Errorf("machines of one's own: %v", err)
	}
}
