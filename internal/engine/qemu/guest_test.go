package qemu

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/usernet"
)

// guests is a lab whose machines are on a network, and can be logged in to.
type guests struct {
	*lab
	auth     ssh.AuthMethod
	key      string        // as authorized_keys has it
	patience time.Duration // for the first command in a guest
}

// newGuests makes a lab with addresses of its own: tests run beside each other.
func newGuests(t *testing.T) *guests {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	g := &guests{patience: 3 * time.Minute, auth: ssh.PublicKeys(signer), key: string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
	g.lab = newLab(t, func(o *Options) { o.Network = newNetwork(t) })
	g.opened = func() { g.options.Network = newNetwork(t) }
	return g
}

func newNetwork(t *testing.T) *usernet.Network {
	t.Helper()
	network, err := usernet.New(usernet.Options{PublicPool: pool, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return network
}

// pool is where the addresses of guests come from; each test takes some.
var pool = netip.MustParsePrefix("127.117.0.0/16")

func (g *guests) machine(id string, host byte) engine.Machine {
	m := g.lab.machine(id)
	m.PublicKeys = []string{g.key}
	m.Network = engine.Network{
		VPC: "one", PrivateIPv4: fmt.Sprintf("10.100.0.%d", host), PrivatePrefix: 24, PrivateGateway: "10.100.0.1",
		PublicIPv4: fmt.Sprintf("127.117.%d.%d", os.Getpid()%250, host), PublicPrefix: 16, PublicGateway: "127.117.0.1",
	}
	return m
}

// run runs a command in a guest, as soon as it can be logged in to.
func (g *guests) run(id, command string) string {
	g.Helper()
	ctx, done := context.WithTimeout(g.Context(), g.patience)
	defer done()
	for {
		out, err := g.try(ctx, id, command)
		if err == nil {
			return strings.TrimSpace(out)
		}
		if _, ok := errors.AsType[*ssh.ExitError](err); ok || ctx.Err() != nil {
			g.Fatalf("%s: %v: %s", command, err, out)
		}
		time.Sleep(50 * time.Millisecond) // there is no event of a guest's sshd
	}
}

func (g *guests) try(ctx context.Context, id, command string) (string, error) {
	address := g.options.Network.SSH(id).String()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(g.patience))
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{g.auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return string(out), err
}

func TestGuestTakesWhatItIsTold(t *testing.T) {
	t.Parallel()
	g := newGuests(t)
	m := g.machine("101", 2)
	m.Name, m.UserData = "web-1", "#!/bin/sh\necho done by $(hostname) > /root/user-data"
	begin := time.Now()
	g.createAs(m)
	g.startMachine("101")
	for _, test := range []struct{ command, want string }{
		{"hostname", "web-1"},
		{"ip -4 -o addr show dev eth0 | grep -o '198[0-9.]*/16'", strings.Replace(m.Network.PublicIPv4, "127.117", "198.18", 1) + "/16"},
		{"ip -4 -o addr show dev eth1 | grep -o '10[0-9.]*/24'", "10.100.0.2/24"},
		{"until cat /root/user-data 2>/dev/null; do sleep 0.1; done", "done by web-1"},
		{"wget -q -O - http://169.254.169.254/metadata/v1/id", "101"},
	} {
		if got := g.run("101", test.command); got != test.want {
			t.Errorf("%s: %q, want %q", test.command, got, test.want)
		}
		t.Log(test.command, time.Since(begin))
	}
}
