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
	if err := os.MkdirAll(filepath.Join(data, "images", "tiny"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "images", "tiny", "image.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errs := run(t, "doctor", "--engine", "qemu", "--data", data)
	if status != 0 || errs != "" || !strings.Contains(out, "The engine qemu can run here.") || strings.Contains(out, "problem") {
		t.Errorf("%d, %s, %s", status, out, errs)
	}
}
