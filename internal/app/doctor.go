package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/routed"
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
type Doctor struct{ Engine, Data, Network, Accel string }

// Run looks at everything and changes nothing.
func (d Doctor) Run(ctx context.Context) ([]Check, error) {
	if d.Data == "" {
		d.Data = DefaultData()
	}
	data, err := filepath.Abs(d.Data) // what is printed of it is pasted elsewhere
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", d.Data, err)
	}
	d.Data = data
	if d.Network != "user" && d.Network != "routed" {
		return nil, fmt.Errorf("--network %s: use user or routed", d.Network)
	}
	if d.Accel != "auto" && d.Accel != host.KVM && d.Accel != host.TCG {
		return nil, fmt.Errorf("--accel %s: use auto, kvm or tcg", d.Accel)
	}
	switch d.Engine {
	case "sim":
		return []Check{{"engine sim", CheckOK, "machines are simulated, which needs nothing; for real ones see cistern doctor --engine qemu", ""}}, nil
	case "qemu":
		return d.qemu(ctx), nil
	default:
		return nil, fmt.Errorf("--engine %s: use sim or qemu", d.Engine)
	}
}

func (d Doctor) qemu(ctx context.Context) []Check {
	if runtime.GOOS != "linux" {
		return []Check{{"system", CheckProblem, "machines run on Linux only, and this is " + runtime.GOOS, "cistern serve --engine sim"}}
	}
	checks := d.programs(ctx)
	memory, err := host.ReadMemory()
	checks = append(checks, checkMemory(memory, runtime.NumCPU(), err))
	checks = append(checks, d.folder()...)
	if d.Network == "routed" {
		checks = append(checks, checkRoot(host.Root()), checkTun(host.CanTun()), checkUplink(routed.Ready()))
	} else {
		checks = append(checks, checkPorts(func(at netip.AddrPort) error { return host.CanListen(ctx, at) }))
	}
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
		c.State, c.Found, c.Fix = CheckProblem, "not usable: "+p.Why, "cistern serve --engine qemu --accel auto"
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
	const stop = "ps -eo rss,pid,comm --sort=-rss | head # and stop what needs none"
	switch {
	case m.Available < 512<<20:
		c.State, c.Fix = CheckProblem, stop
		c.Found += "; the smallest machine needs 0.5 GiB"
	case m.Available < 2<<30:
		c.State, c.Fix = CheckWarning, stop
		c.Found += "; few machines fit in"
	}
	return c
}

// folder checks where disks and sockets go.
func (d Doctor) folder() []Check {
	return []Check{d.checkFolder(host.Root(), host.Writable(d.Data)), d.checkDisk(host.ReadDisk(d.Data))}
}

func (d Doctor) checkFolder(root bool, err error) Check {
	if err != nil {
		return Check{"data", CheckProblem, err.Error(), asRoot(fmt.Sprintf("install -d -m 700 -o %s %s", userName(), word(d.Data)))}
	}
	closed, err := host.Closed(d.Data)
	switch {
	case root && err == nil && closed != "":
		return Check{
			"data", CheckWarning, fmt.Sprintf("%s: machines run as a user who is not root, and nobody else can go through %s", d.Data, closed),
			"cistern serve --engine qemu --data /var/lib/cistern",
		}
	default:
		return Check{"data", CheckOK, d.Data, ""}
	}
}

func (d Doctor) checkDisk(disk host.Disk, err error) Check {
	if err != nil {
		return Check{"disk", CheckProblem, err.Error(), "cistern serve --engine qemu --data /var/lib/cistern"}
	}
	c := Check{"disk", CheckOK, fmt.Sprintf("%s of %s free", gibibytes(disk.Free), gibibytes(disk.Total)), ""}
	const other = "df -h # and choose a folder with --data where there is more"
	switch {
	case disk.Free < 1<<30:
		c.State, c.Fix = CheckProblem, other
		c.Found += "; a machine needs 1 GiB at least"
	case disk.Free < 10<<30:
		c.State, c.Fix = CheckWarning, other
		c.Found += "; few machines fit in"
	}
	return c
}

// A Droplet's own address for people, and the first port that SSH gets where it
// cannot have 22.
const (
	sampleAddress = "127.100.0.1"
	secondSSHPort = 2222
)

func checkPorts(listen func(netip.AddrPort) error) Check {
	c := Check{Name: "network user"}
	at := netip.MustParseAddr(sampleAddress)
	ssh, other := listen(netip.AddrPortFrom(at, 22)), listen(netip.AddrPortFrom(at, 0))
	switch {
	case ssh == nil:
		c.State, c.Found = CheckOK, "port 22 can be listened on at "+sampleAddress
	case other != nil:
		c.State, c.Found = CheckProblem, fmt.Sprintf("nothing can be listened on at %s: %v", sampleAddress, reasonOf(other))
		c.Fix = asRoot("ip link set lo up")
	case errors.Is(ssh, fs.ErrPermission):
		c.State, c.Found = CheckWarning, fmt.Sprintf("port 22 is root's (the lowest for others is %d); SSH gets a port from %d on", host.UnprivilegedPort(), secondSSHPort)
		c.Fix = asRoot("sysctl net.ipv4.ip_unprivileged_port_start=22")
	default:
		c.State, c.Found = CheckWarning, fmt.Sprintf("port 22 is taken at %s: %v; SSH gets a port from %d on", sampleAddress, reasonOf(ssh), secondSSHPort)
		c.Fix = asRoot("ss -ltnp 'sport = :22'") + " # what listens on all addresses is to listen on one"
	}
	return c
}

func checkRoot(root bool) Check {
	if !root {
		return Check{"network routed", CheckProblem, "it takes root to make links and rules", "sudo cistern serve --engine qemu --network routed"}
	}
	return Check{"network routed", CheckOK, "this is root, who makes links and rules", ""}
}

func checkTun(err error) Check {
	if err != nil {
		return Check{"tun", CheckProblem, err.Error(), asRoot("modprobe tun")}
	}
	return Check{"tun", CheckOK, host.TunDevice, ""}
}

// checkUplink looks at how machines would get to the world.
func checkUplink(name string, err error) Check {
	c := Check{Name: "uplink", State: CheckOK, Found: name + " has the default route"}
	if err == nil {
		return c
	}
	c.State, c.Found = CheckProblem, err.Error()
	if unready, is := errors.AsType[*routed.Unready](err); is {
		c.Found, c.Fix = unready.Why, asRoot(unready.Command)
	}
	return c
}

// images looks for what machines start from.
func (d Doctor) images() Check {
	found, err := filepath.Glob(filepath.Join(escaped(d.Data), "images", "*", "image.json"))
	if err != nil || len(found) == 0 {
		return Check{"images", CheckProblem, "there is none in " + filepath.Join(d.Data, "images"), d.withData("cistern image build tiny")}
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return Check{"images", CheckOK, strings.Join(names, ", "), ""}
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

// escaped is a path that means itself in a pattern.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// reasonOf is the system's own word for what went wrong.
func reasonOf(err error) error {
	if e, is := errors.AsType[*os.SyscallError](err); is {
		return e.Err
	}
	return err
}

func gibibytes(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
