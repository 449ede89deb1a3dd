package main

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/metadata"
)

// pid is the number of a machine's process.
func (y *yard) pid(id int64) (int, error) {
	text, err := os.ReadFile(filepath.Join(y.folder(id), "qemu.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// commandLine is that of a machine's process.
func (y *yard) commandLine(id int64) ([]string, error) {
	pid, err := y.pid(id)
	if err != nil {
		return nil, err
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return strings.Split(strings.Trim(string(line), "\x00"), "\x00"), err
}

// byHand starts the same machine without Cistern: its disk made with qemu-img,
// QEMU's own network in place of ours, and its metadata from this process.
func (y *yard) byHand(ctx context.Context, args []string, took *rounds) error {
	dir, err := os.MkdirTemp(y.dir, "hand-")
	if err != nil {
		return err
	}
	about := httptest.NewServer(metadata.Handler(func() (metadata.Document, bool) { return y.document(macOf(args)), true }))
	defer about.Close()
	forward, err := freePort()
	if err != nil {
		return err
	}
	hand, err := handArgs(args, about.Listener.Addr().String(), forward)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := y.handDisk(ctx, dir); err != nil {
		return err
	}
	process := exec.CommandContext(ctx, hand[0], hand[1:]...)
	process.Dir, process.Stderr = dir, os.Stderr
	if err := process.Start(); err != nil {
		return err
	}
	err = y.reach(ctx, func() (string, error) { return forward, nil })
	took.up = append(took.up, time.Since(began))
	began = time.Now()
	_ = process.Process.Kill()
	_ = process.Wait()
	took.off = append(took.off, time.Since(began))
	return err
}

// handDisk makes what a machine's folder has of an image.
func (y *yard) handDisk(ctx context.Context, dir string) error {
	disk := filepath.Join(dir, "disk-1")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	for from, to := range map[string]string{"disk.qcow2": "base.qcow2", "kernel": "kernel", "initrd": "initrd"} {
		if err := os.Link(filepath.Join(y.dir, "images", "tiny", from), filepath.Join(disk, to)); err != nil {
			return err
		}
	}
	make := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "disk.qcow2", "10G")
	make.Dir = disk
	return make.Run()
}

// handArgs makes of a machine's command line one that needs nobody: sockets
// that it was given become nothing, and its network is QEMU's own.
func handArgs(args []string, about, forward string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args = slices.Clone(args)
	for i := 1; i < len(args); i++ {
		switch option, value := args[i-1], args[i]; option {
		case "-netdev":
			id := nameOf(value)
			args[i] = "user," + id + ",net=160.0.0.0/4,guestfwd=tcp:169.254.169.254:80-cmd:" + self + " connect " + about
			if id == "id=net0" {
				args[i] += ",hostfwd=tcp:" + forward + "-160.0.0.15:22"
			}
		case "-chardev":
			if args[i] = "null," + nameOf(value); strings.Contains(value, "logfile") {
				args[i] = "file,path=console.log," + nameOf(value)
			}
		case "-sandbox":
			args[i] = "off" // guestfwd starts this program, which the sandbox would not let do its work
		}
	}
	return args, nil
}

// nameOf is the part of an option's value that gives it a name, such as id=net0.
func nameOf(value string) string {
	_, name, _ := strings.Cut(value, ",id=")
	name, _, _ = strings.Cut(name, ",")
	return "id=" + name
}

// macOf is the address of a machine's first network device.
func macOf(args []string) string {
	for _, arg := range args {
		if _, rest, ok := strings.Cut(arg, "netdev=net0,mac="); ok {
			mac, _, _ := strings.Cut(rest, ",")
			return mac
		}
	}
	return ""
}

// document is what a machine that was started by hand is told.
func (y *yard) document(mac string) metadata.Document {
	public := metadata.Interface{Type: "public", MAC: mac, IPv4: &metadata.IPv4{Address: "160.0.0.15", Netmask: "240.0.0.0", Gateway: "160.0.0.2"}}
	return metadata.Document{
		DropletID: 1, Hostname: "by-hand", PublicKeys: []string{y.key}, Region: "local1",
		Interfaces: metadata.Interfaces{Public: []metadata.Interface{public}},
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// connect joins the standard input and output with a connection, for guestfwd.
func connect(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(1)
	}
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	_, _ = io.Copy(os.Stdout, conn)
}
