package cli

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// unit is a file of systemd's: its sections, and what is set in them.
type unit map[string]map[string][]string

var unitFiles = []string{"cistern.service", "cistern-qemu.service"}

// deployed is one of deploy's files.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readUnit reads one of deploy's units. It fails the test on lines that are none of
// such a file's.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	u := unit{}
	var section map[string][]string
	for line := range strings.Lines(deployed(t, name)) {
		line = strings.TrimSpace(line)
		key, value, set := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']' && u[line] == nil:
			section = map[string][]string{}
			u[line] = section
		case set && section != nil:
			section[key] = append(section[key], value)
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	return u
}

// one is what is set once in a section.
func (u unit) one(t *testing.T, section, key string) string {
	t.Helper()
	if values := u[section][key]; len(values) == 1 {
		return values[0]
	}
	t.Fatalf("%s: %s is set to %q, want one value", section, key, u[section][key])
	return ""
}

// serves expects that a unit's command is one of this program's.
func (u unit) serves(t *testing.T) {
	t.Helper()
	words := strings.Fields(u.one(t, "[Service]", "ExecStart"))
	if len(words) < 2 || words[0] != "/usr/local/bin/cistern" || words[1] != "serve" {
		t.Fatalf("it starts %q", words)
	}
	if _, err := flagsOf(t, words[1:]...); err != nil {
		t.Error(err)
	}
}

// variables are those of serve's flags.
func variables(t *testing.T) (names []string) {
	t.Helper()
	flags, err := flagsOf(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, environment(f.Name)) })
	return names
}

// The units start this program with flags that it has. Machines outlive the
// server's process, which is all that systemd ends.
func TestUnits(t *testing.T) {
	for _, name := range unitFiles {
		t.Run(name, func(t *testing.T) {
			u := readUnit(t, name)
			if got := slices.Sorted(maps.Keys(u)); !slices.Equal(got, []string{"[Install]", "[Service]", "[Unit]"}) {
				t.Errorf("its sections are %s", got)
			}
			u.serves(t)
			if got := u.one(t, "[Service]", "KillMode"); got != "process" {
				t.Errorf("a stop ends more than the server: KillMode=%s", got)
			}
			if got := u.one(t, "[Service]", "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
				t.Errorf("a reload is %q", got)
			}
		})
	}
	real := readUnit(t, "cistern-qemu.service")
	if got := real.one(t, "[Service]", "ExecStart"); !strings.Contains(got, "--engine qemu --data /var/lib/"+real.one(t, "[Service]", "StateDirectory")) {
		t.Errorf("the unit of real machines starts %q", got)
	}
	if got := real.one(t, "[Unit]", "Conflicts"); got != "cistern.service" {
		t.Errorf("it may run beside %q", got)
	}
}

// Variables that the units and their README name are those of flags.
func TestUnitsNameVariables(t *testing.T) {
	known := append(variables(t), "CISTERN_DATABASE", "CISTERN_EPHEMERAL")
	for _, name := range append(unitFiles, "README.md", "Containerfile") {
		for _, variable := range regexp.MustCompile(`\bCISTERN_[A-Z0-9_]+`).FindAllString(deployed(t, name), -1) {
			if !slices.Contains(known, variable) {
				t.Errorf("%s: no flag of serve's is %s", name, variable)
			}
		}
	}
}

// What systemd thinks of the units, where it is there to be asked.
func TestUnitsPleaseSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("not applicable: systemd is not installed")
	}
	self, err := os.Executable() // which is there to be started, as the binary is not
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range unitFiles {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(strings.Replace(deployed(t, name), "/usr/local/bin/cistern", self, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
