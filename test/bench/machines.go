package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// What is measured of real machines: how long it takes until the first command
// runs in a new one, beside the same command line started by hand, and what
// many of them cost.

const (
	machineRounds = 5
	manyMachines  = 20
	// bootPatience is how long one machine may take, many at a time included.
	bootPatience = 10 * time.Minute

	smallSize = "s-1vcpu-512mb-10gb"
)

// yard is a server with real machines, and the key that lets into them.
type yard struct {
	*bench
	storage
	signer ssh.Signer
	key    string // as authorized_keys has it
	keyID  int64  // once a server has it
}

// machines measures the engine qemu.
func (b *bench) machines(ctx context.Context) error {
	b.kind = "sqlite"
	s, remove, err := b.newStorage()
	if err != nil {
		return err
	}
	defer remove()
	if out, err := exec.CommandContext(ctx, b.binary, "image", "build", "tiny", "--data", s.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("build the image: %w: %s", err, out)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	y := &yard{bench: b, storage: s}
	if y.signer, err = ssh.NewSignerFromKey(private); err != nil {
		return err
	}
	y.key = string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(y.signer.PublicKey())))
	if err := y.firstCommand(ctx); err != nil {
		return err
	}
	return y.many(ctx)
}

func (y *yard) serve() (*server, error) {
	return y.start(y.storage, "--engine", "qemu", "--disk-overcommit", "100")
}

// firstCommand measures from the request for a machine, or the making of its
// disk by hand, to the end of the first command in it.
func (y *yard) firstCommand(ctx context.Context) error {
	srv, err := y.serve()
	if err != nil {
		return err
	}
	defer func() { _ = srv.stop() }()
	if err := y.addKey(srv); err != nil {
		return err
	}
	var ours, byHand rounds
	for range machineRounds {
		args, err := y.round(ctx, srv, &ours)
		if err != nil {
			return err
		}
		if err := y.byHand(ctx, args, &byHand); err != nil {
			return err
		}
	}
	figure("from the create to the first command by ssh", "%.2f s", median(ours.up).Seconds())
	figure("  the same command line started by hand", "%.2f s", median(byHand.up).Seconds())
	figure("  ratio", "%.2f", median(ours.up).Seconds()/median(byHand.up).Seconds())
	figure("a killed process is shown as off after", "%.1f ms", milliseconds(median(ours.off)))
	figure("  one started by hand has ended after", "%.1f ms", milliseconds(median(byHand.off)))
	return nil
}

// rounds are how long machines took to their first command, and to be off once
// their process was killed.
type rounds struct{ up, off []time.Duration }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// round measures one machine, and returns its command line.
func (y *yard) round(ctx context.Context, srv *server, took *rounds) ([]string, error) {
	began := time.Now()
	id, err := y.create(srv)
	if err != nil {
		return nil, err
	}
	if err := y.reach(ctx, func() (string, error) { return srv.access(id) }); err != nil {
		return nil, err
	}
	took.up = append(took.up, time.Since(began))
	args, err := y.commandLine(id)
	if err != nil {
		return nil, err
	}
	off, err := y.untilOff(ctx, srv, id)
	if err != nil {
		return nil, err
	}
	took.off = append(took.off, off)
	return args, srv.destroy(id)
}

// untilOff kills a machine's process, and measures until the API shows it as off.
func (y *yard) untilOff(ctx context.Context, srv *server, id int64) (time.Duration, error) {
	pid, err := y.pid(id)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return 0, err
	}
	ctx, done := context.WithTimeout(ctx, bootPatience)
	defer done()
	for {
		answer, err := srv.get(fmt.Sprintf("/v2/droplets/%d", id))
		if err != nil || strings.Contains(string(answer), `"status":"off"`) {
			return time.Since(began), err
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("a machine whose process was killed is not shown as off")
		case <-time.After(time.Millisecond):
		}
	}
}

func (y *yard) addKey(srv *server) error {
	body, _ := json.Marshal(map[string]string{"name": "bench", "public_key": y.key})
	answer, err := srv.do(http.MethodPost, "/v2/account/keys", string(body))
	if err != nil {
		return err
	}
	var made struct {
		Key struct{ ID int64 } `json:"ssh_key"`
	}
	err = json.Unmarshal(answer, &made)
	y.keyID = made.Key.ID
	return err
}

func (y *yard) create(srv *server) (int64, error) {
	answer, err := srv.do(http.MethodPost, "/v2/droplets",
		fmt.Sprintf(`{"name":"web-1","region":"local1","size":%q,"image":"tiny","ssh_keys":[%d]}`, smallSize, y.keyID))
	if err != nil {
		return 0, err
	}
	var made struct{ Droplet struct{ ID int64 } }
	return made.Droplet.ID, json.Unmarshal(answer, &made)
}

// access is where a machine's ssh is; empty while it is nowhere.
func (s *server) access(id int64) (string, error) {
	answer, err := s.get(fmt.Sprintf("/_cistern/droplets/%d/access", id))
	if err != nil {
		return "", err
	}
	var at struct {
		Access struct {
			Address string
			Port    int
		}
	}
	if err := json.Unmarshal(answer, &at); err != nil || at.Access.Address == "" {
		return "", err
	}
	return net.JoinHostPort(at.Access.Address, fmt.Sprint(at.Access.Port)), nil
}

// destroy destroys a machine and waits until it is gone.
func (s *server) destroy(id int64) error {
	path := fmt.Sprintf("/v2/droplets/%d", id)
	if _, err := s.do(http.MethodDelete, path, ""); err != nil {
		return err
	}
	for ; ; time.Sleep(20 * time.Millisecond) {
		_, err := s.get(path)
		if err != nil && strings.Contains(err.Error(), "404") {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reach runs a command by ssh as soon as that is possible.
func (y *yard) reach(ctx context.Context, where func() (string, error)) error {
	ctx, done := context.WithTimeout(ctx, bootPatience)
	defer done()
	for {
		address, err := where()
		if err != nil {
			return err
		}
		if address != "" {
			if err = y.runTrue(ctx, address); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (y *yard) runTrue(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(y.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	return session.Run("true")
}

func (y *yard) folder(id int64) string {
	return filepath.Join(y.dir, "qemu", "machines", fmt.Sprint(id))
}

// many measures what a server with many machines needs, and how long it takes to
// take them over after it was killed.
func (y *yard) many(ctx context.Context) error {
	srv, err := y.serve()
	if err != nil {
		return err
	}
	before := srv.memory()
	ids := make([]int64, manyMachines)
	for i := range ids {
		if ids[i], err = y.create(srv); err != nil {
			return errors.Join(err, srv.stop())
		}
	}
	for _, id := range ids {
		if err := y.reach(ctx, func() (string, error) { return srv.access(id) }); err != nil {
			return errors.Join(err, srv.stop())
		}
	}
	with := srv.memory()
	_ = srv.cmd.Process.Kill()
	_ = srv.cmd.Wait()
	if srv, err = y.serve(); err != nil {
		return err
	}
	adopted := srv.first
	for _, id := range ids {
		if err := y.reach(ctx, func() (string, error) { return srv.access(id) }); err != nil {
			return errors.Join(err, srv.stop())
		}
		if err := srv.destroy(id); err != nil {
			return errors.Join(err, srv.stop())
		}
	}
	if err := srv.stop(); err != nil {
		return err
	}
	if srv, err = y.serve(); err != nil {
		return err
	}
	figure(fmt.Sprintf("memory of the server for each of %d machines", manyMachines), "%.2f MiB", (with-before)/manyMachines)
	figure(fmt.Sprintf("first answer after a kill, %d machines that run taken over", manyMachines), "%d ms", adopted.Milliseconds())
	figure("  without machines", "%d ms", srv.first.Milliseconds())
	return srv.stop()
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
