package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoctorRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--engine incus":                "--engine incus: use sim or qemu",
		"--engine qemu --network x":     "--network x: use user or routed",
		"--engine qemu --accel fast":    "--accel fast: use auto, kvm or tcg",
		"-o yaml":                       "--output yaml: use text or json",
		"--format Colour":               `there is no column "Colour"; use State,Check,Found,Fix`,
		"qemu":                          "takes flags only",
		"--engine qemu --database p://": "unknown flag: --database",
	} {
		status, out, errs := run(t, append([]string{"doctor"}, strings.Fields(args)...)...)
		if status != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q, %q", args, status, out, errs)
		}
	}
}

// Doctor takes of serve's flags those that the host can be unfit for, by the same
// names and variables.
func TestDoctorTakesTheFlagsOfServe(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("CISTERN_NETWORK", "routed")
	t.Setenv("CISTERN_UPLINK", "up9")
	data := filepath.Join(t.TempDir(), "data")
	status, out, _ := run(t, "doctor", "--engine", "qemu", "--data", data, "--accel", "tcg", "--public-pool", "10.250.1.0/24", "--reserved-pool", "10.250.2.0/24", "--ipv6-pool", "2001:db8:1::/48")
	if status != 1 || !strings.Contains(out, "--uplink up9: there is no such interface") {
		t.Errorf("%d, %s", status, out)
	}
	for args, want := range map[string]string{
		"--public-pool x": "--public-pool: ",
		"--public-pool 10.250.1.0/24 --reserved-pool 10.250.0.0/16": "--public-pool 10.250.1.0/24 and --reserved-pool 10.250.0.0/16 have addresses in common",
		"--network user": "--uplink is for --network routed; use that as root, or leave --uplink out",
		"--engine sim":   "--network is for --engine qemu; simulated machines have none of that",
	} {
		if status, _, errs := run(t, append([]string{"doctor", "--engine", "qemu", "--data", data}, strings.Fields(args)...)...); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s", args, status, errs)
		}
	}
}

func TestDoctorWithNothingInstalled(t *testing.T) {
	t.Setenv("PATH", "")
	data := filepath.Join(t.TempDir(), "data")
	status, out, errs := run(t, "doctor", "--engine", "qemu", "--data", data, "--accel", "tcg", "-o", "json")
	var document struct {
		Engine string
		Ready  bool
		Checks []struct{ Check, State, Found, Fix string }
	}
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if status != 1 || !strings.Contains(errs, "no machine can run here: ") || document.Engine != "qemu" || document.Ready || len(document.Checks) < 5 {
		t.Errorf("%d, %s, %s", status, out, errs)
	}
	status, out, _ = run(t, "doctor", "--engine", "qemu", "--data", data, "--accel", "tcg")
	if status != 1 || !strings.Contains(out, "cistern image build tiny --data "+data) || !strings.Contains(out, "problem") {
		t.Errorf("%d, %s", status, out)
	}
}

func TestDoctorOfTheSimulation(t *testing.T) {
	t.Setenv("PATH", "")
	if status, out, errs := run(t, "doctor"); status != 0 || errs != "" || !strings.Contains(out, "needs nothing") {
		t.Errorf("%d, %s, %s", status, out, errs)
	}
	t.Setenv("CISTERN_ENGINE", "sim")
	if status, out, _ := run(t, "doctor", "--format", "State", "--no-header"); status != 0 || out != "ok\n" {
		t.Errorf("%d, %s", status, out)
	}
}

func TestDoctorWhereMachinesRun(t *testing.T) {
	for _, program := range []string{"qemu-system-x86_64", "qemu-img"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("QEMU: there is no %s here", program)
		}
	}
	data := t.TempDir()
	if err := os.Chmod(filepath.Dir(data), 0o755); err != nil { // root's machines have to go through
		t.Fatal(err)
	}
	tiny := filepath.Join(data, "images", "tiny")
	if err := os.MkdirAll(tiny, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"image.json": `{"id":1,"slug":"tiny","virtual_size":1}`, "disk.qcow2": "disk"} {
		if err := os.WriteFile(filepath.Join(tiny, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errs := run(t, "doctor", "--engine", "qemu", "--data", data)
	if status != 0 || errs != "" || !strings.Contains(out, "The engine qemu can run here.") || strings.Contains(out, "problem") {
		t.Errorf("%d, %s, %s", status, out, errs)
	}
}
