package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// States of a [Check].
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // machines run, less well
	CheckProblem = "problem" // no machine runs
)

// Check is something that machines need, and whether it is here.
type Check struct {
	Name  string `json:"check"`
	State string `json:"state"`
	Found string `json:"found"`
	Fix   string `json:"fix"` // a command that mends it; empty if there is none
}

// Doctor looks at what this machine can do for an engine. Its fields are flags
// of `cistern doctor`, and their names are in the errors.
type Doctor struct {
	Engine, Data string
	// Real are those flags of real machines that a host can be unfit for.
	Real
}

// Run looks at everything and leaves it as it was.
func (d Doctor) Run(ctx context.Context) ([]Check, error) {
	if d.Data == "" {
		d.Data = DefaultData()
	}
	data, err := filepath.Abs(d.Data) // what is printed of it is pasted elsewhere
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", d.Data, err)
	}
	d.Data = data
	if flag := d.given(); flag != "" && d.Engine == engineSim {
		return nil, fmt.Errorf("%s is for --engine qemu; simulated machines have none of that", flag)
	}
	var real realSettings
	if err := real.readPools(d.Real, true); err != nil { // that it takes root is a check of its own
		return nil, err
	}
	if d.Accel != "auto" && d.Accel != host.KVM && d.Accel != host.TCG {
		return nil, fmt.Errorf("--accel %s: use auto, kvm or tcg", d.Accel)
	}
	switch d.Engine {
	case engineSim:
		return []Check{{"engine sim", CheckOK, "machines are simulated, which needs nothing; for real ones see cistern doctor --engine qemu", ""}}, nil
	case engineQEMU:
		return d.qemu(ctx, real), nil
	default:
		return nil, fmt.Errorf("--engine %s: use sim or qemu", d.Engine)
	}
}

func (d Doctor) qemu(ctx context.Context, real realSettings) []Check {
	if runtime.GOOS != "linux" {
		return []Check{{"system", CheckProblem, "machines run on Linux only, and this is " + runtime.GOOS, "cistern serve --engine sim"}}
	}
	checks := d.programs(ctx)
	memory, err := host.ReadMemory()
	checks = append(checks, checkMemory(memory, runtime.NumCPU(), err))
	checks = append(checks, d.folder(host.Root())...)
	checks = append(checks, d.users(host.Root())...)
	checks = append(checks, d.network(ctx, real)...)
	return append(checks, d.images())
}

// programs are checked by starting a machine, where there is what it needs.
func (d Doctor) programs(ctx context.Context) []Check {
	qemu, err := host.QEMU(ctx)
	first := checkProgram("qemu", qemu, err)
	img, err := host.QEMUImg(ctx)
	checks := []Check{first, checkProgram("qemu-img", img, err)}
	accel := host.TCG
	if d.Accel != host.TCG {
		probe := host.ProbeKVM(ctx)
		checks = append(checks, d.checkKVM(probe))
		if probe.Usable {
			accel = host.KVM
		}
	}
	if first.State == CheckOK {
		checks = append(checks, checkStart(accel, host.Try(ctx, qemu, accel)))
	}
	return checks
}

func checkProgram(name string, p host.Program, err error) Check {
	switch {
	case errors.Is(err, host.ErrMissing):
		return Check{name, CheckProblem, "not found", install()}
	case err != nil:
		return Check{name, CheckProblem, err.Error(), install()}
	case !p.AtLeast(host.MinimumQEMU):
		return Check{name, CheckProblem, fmt.Sprintf("%s is version %s, and machines need %s", p.Path, p.Version, host.MinimumQEMU), install()}
	default:
		return Check{name, CheckOK, fmt.Sprintf("version %s, %s", p.Version, p.Path), ""}
	}
}

func (d Doctor) checkKVM(p host.Probe) Check {
	if p.Usable {
		return Check{"kvm", CheckOK, "usable: " + p.Why, ""}
	}
	c := Check{"kvm", CheckWarning, "not usable: " + p.Why + "; machines run without (tcg), which is slower", ""}
	if d.Accel == host.KVM {
		c.State, c.Found, c.Fix = CheckProblem, "not usable: "+p.Why, d.serve()+" --accel auto"
	}
	switch {
	case errors.Is(p.Err, fs.ErrPermission):
		c.Fix = asRoot(fmt.Sprintf("usermod -aG kvm %s # and log in again", userName()))
	case errors.Is(p.Err, fs.ErrNotExist):
		c.Fix = asRoot("modprobe kvm_intel || " + asRoot("modprobe kvm_amd"))
	}
	return c
}

func checkStart(accel string, err error) Check {
	if err != nil {
		return Check{"start", CheckProblem, err.Error(), install()}
	}
	return Check{"start", CheckOK, fmt.Sprintf("a machine starts with %s, sandboxed", accel), ""}
}

func checkMemory(m host.Memory, cpus int, err error) Check {
	if err != nil {
		return Check{"memory", CheckWarning, err.Error(), ""}
	}
	c := Check{"memory", CheckOK, fmt.Sprintf("%s of %s available; processors: %d", gibibytes(m.Available), gibibytes(m.Total), cpus), ""}
	return scarce(c, m.Available, 512<<20, 2<<30, "the smallest machine needs 0.5 GiB",
		"ps -eo rss,pid,comm --sort=-rss | head # and stop what needs none")
}

// serve is the command that would start a server, but for its data folder.
func (d Doctor) serve() string {
	if d.Network == networkRouted {
		return asRoot("cistern serve --engine qemu --network routed")
	}
	return "cistern serve --engine qemu"
}

// withData adds to a command where the data is, unless it would find it.
func (d Doctor) withData(command string) string {
	if d.Data == DefaultData() {
		return command
	}
	return command + " --data " + word(d.Data)
}

// install is the command that installs QEMU on this distribution.
func install() string {
	text, _ := os.ReadFile("/etc/os-release") // where there is none it is Debian's
	return asRoot(installOn(string(text)))
}

func installOn(release string) string {
	var kinds []string
	for line := range strings.Lines(release) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name == "ID" || name == "ID_LIKE" {
			kinds = append(kinds, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	for _, kind := range kinds {
		switch kind {
		case "fedora", "rhel", "centos":
			return "dnf install qemu-kvm qemu-img"
		case "arch":
			return "pacman -S qemu-base"
		case "alpine":
			return "apk add qemu-system-x86_64 qemu-img"
		case "suse", "opensuse":
			return "zypper install qemu-x86 qemu-tools"
		}
	}
	return "apt-get install qemu-system-x86 qemu-utils"
}

// asRoot is a command as whoever this is has to type it.
func asRoot(command string) string {
	if host.Root() {
		return command
	}
	return "sudo " + command
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "$USER"
}

// word writes a path for a shell.
func word(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"$`\\*?[]{}()<>|&;!~#") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func gibibytes(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
