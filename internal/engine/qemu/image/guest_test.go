package image_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image/imagetest"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/metadata"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
)

// TestMain lets QEMU use this program to carry a guest's request to the metadata
// service of a test.
func TestMain(m *testing.M) {
	if to := os.Getenv("CISTERN_TEST_METADATA"); to != "" {
		os.Exit(carry(to))
	}
	os.Exit(m.Run())
}

func carry(to string) int {
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return 1
	}
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	_, _ = io.Copy(os.Stdout, conn) // until the service has answered
	return 0
}

// A guest is a machine that runs on QEMU's own network.
type guest struct {
	t       *testing.T
	dir     string
	image   image.Image
	service string // the address of its metadata
	document
	signer ssh.Signer

	patience time.Duration
	monitor  *qmp.Client
	ended    chan struct{}
	port     int
}

// document is what the guest is told. It may change between starts.
type document struct {
	*sync.Mutex
	metadata.Document
}

func newGuest(t *testing.T, of image.Image) *guest {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, dir: t.TempDir(), image: of, signer: signer, patience: 40 * time.Second, document: document{Mutex: &sync.Mutex{}}}
	g.Document = metadata.Document{
		DropletID: 12, Hostname: "web-1", Region: "local1",
		PublicKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + ` me & "you" <x>`},
		Interfaces: metadata.Interfaces{
			Public: []metadata.Interface{{
				IPv4: &metadata.IPv4{Address: "160.1.2.3", Netmask: "240.0.0.0", Gateway: "160.0.0.2"},
				IPv6: &metadata.IPv6{Address: "2001:db8::12", CIDR: 64, Gateway: "2001:db8::1"},
				MAC:  "52:54:00:00:00:01", Type: "public",
			}},
			Private: []metadata.Interface{{
				IPv4: &metadata.IPv4{Address: "10.1.0.5", Netmask: "255.255.240.0"}, MAC: "52:54:00:00:00:02", Type: "private",
			}},
		},
		DNS: metadata.DNS{Nameservers: []string{"198.51.100.53", "198.51.100.54"}},
	}
	service := httptest.NewServer(metadata.Handler(func() (metadata.Document, bool) {
		g.Lock()
		defer g.Unlock()
		return g.Document, true
	}))
	t.Cleanup(service.Close)
	g.service = service.Listener.Addr().String()
	g.command("qemu-img", "create", "-q", "-f", "qcow2", "-b", filepath.Join(of.Dir, image.DiskFile), "-F", "qcow2", "disk", "3G")
	g.command("qemu-img", "create", "-q", "-f", "raw", "volume", "64M")
	return g
}

func (g *guest) command(program string, args ...string) {
	g.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = g.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("%s: %v: %s", program, err, out)
	}
}

// start starts the machine.
func (g *guest) start(extra ...string) {
	g.t.Helper()
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-machine", "q35", "-cpu", "max", "-accel", "tcg,tb-size=64", "-m", "512", "-display", "none",
		"-vga", "std", "-qmp", "unix:qmp,server=on,wait=off", "-chardev", "file,id=serial,path=serial,append=on", "-serial", "chardev:serial",
		"-drive", "file=disk,if=virtio,format=qcow2", "-device", "virtio-scsi-pci,id=scsi",
		"-device", "virtio-serial", "-chardev", "socket,id=agent,path=agent,server=on,wait=off",
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
		"-smbios", "type=1,manufacturer=DigitalOcean,product=Droplet,serial=12",
		"-netdev", "user,id=public,net=160.0.0.0/4,hostfwd=tcp:127.0.0.1:0-160.1.2.3:22,guestfwd=tcp:169.254.169.254:80-cmd:" + self,
		"-device", "virtio-net-pci,netdev=public,romfile=,mac=52:54:00:00:00:01",
		"-netdev", "user,id=private,restrict=on", "-device", "virtio-net-pci,netdev=private,romfile=,mac=52:54:00:00:00:02",
	}
	if g.image.Kernel {
		args = append(args, "-kernel", filepath.Join(g.image.Dir, image.KernelFile), "-initrd", filepath.Join(g.image.Dir, image.InitrdFile),
			"-append", g.image.Cmdline)
	}
	cmd := exec.Command("qemu-system-x86_64", append(args, extra...)...)
	cmd.Dir, cmd.Stderr, cmd.Stdout = g.dir, g.t.Output(), g.t.Output()
	cmd.Env = append(os.Environ(), "CISTERN_TEST_METADATA="+g.service)
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan struct{})
	g.ended = ended
	go func() {
		_ = cmd.Wait() // however it ends
		close(ended)
	}()
	g.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if g.t.Failed() {
			g.t.Logf("console:\n%s", g.console())
		}
	})
	g.connect()
}

// connect finds the machine's monitor, and where its port 22 is.
func (g *guest) connect() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), g.patience)
	defer cancel()
	err := g.until(func() (err error) {
		g.monitor, err = qmp.Dial(ctx, qmp.Unix(g.dir, "qmp"))
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(g.monitor.Close)
	var network string
	g.execute("human-monitor-command", map[string]string{"command-line": "info usernet"}, &network)
	for line := range strings.Lines(network) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[0] == "TCP[HOST_FORWARD]" {
			if _, err := fmt.Sscan(fields[3], &g.port); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

func (g *guest) execute(command string, arguments, result any) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), g.patience)
	defer cancel()
	if err := g.monitor.Execute(ctx, command, arguments, result); err != nil {
		g.t.Fatalf("%s: %v", command, err)
	}
}

// until tries something again and again, for as long as the machine runs.
func (g *guest) until(try func() error) error {
	deadline := time.After(g.patience)
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-g.ended:
			return fmt.Errorf("the machine has ended: %w", err)
		case <-deadline:
			return err
		case <-pause.C:
		}
	}
}

// dial gives up early: what was sent before the guest listened, QEMU's network
// sends again later and later.
func (g *guest) dial() (*ssh.Client, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.port))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return nil, err
	}
	session, channels, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(g.signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // it is on this machine
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(session, channels, requests), conn.SetDeadline(time.Time{})
}

// ssh runs a command in the guest as soon as that can be, and returns what it
// wrote.
func (g *guest) ssh(command string) string {
	g.t.Helper()
	var client *ssh.Client
	err := g.until(func() (err error) {
		client, err = g.dial()
		return err
	})
	if err != nil {
		g.t.Fatalf("ssh: %v", err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := session.CombinedOutput(command)
	if err != nil {
		g.t.Errorf("ssh %s: %v: %s", command, err, out)
	}
	return string(out)
}

// sees waits until a command in the guest succeeds.
func (g *guest) sees(what string) {
	g.t.Helper()
	g.ssh("for i in $(seq 100); do " + what + " && exit; sleep 0.1 2>/dev/null || usleep 100000; done; exit 1")
}

func (g *guest) console() string {
	text, err := os.ReadFile(filepath.Join(g.dir, "serial"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// leaves waits until the machine has ended.
func (g *guest) leaves(within time.Duration) {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(within):
		g.t.Fatalf("the machine still runs after %s", within)
	}
}

func tinyGuest(t *testing.T) *guest { return newGuest(t, imagetest.Tiny(t)) }
