package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// nobody is whom a program runs as that reads what nobody vouches for.
func nobody() (uid, gid int) {
	found, err := user.Lookup("nobody")
	if err != nil {
		return 65534, 65534
	}
	uid, err = strconv.Atoi(found.Uid)
	gid, gidErr := strconv.Atoi(found.Gid)
	if err != nil || gidErr != nil {
		return 65534, 65534
	}
	return uid, gid
}

// confine has a program run within limits, as nobody where this one is root, and
// end when its context does. A shell sets the limits, as it may lower its own,
// where another process may not lower somebody else's.
func confine(ctx context.Context, l Limits, program string, args ...string) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -c 0 && ulimit -v %d && ulimit -t %d && ulimit -f %d && exec nice -n 10 "$0" "$@"`,
		l.Memory/1024, int64(l.Time.Seconds())+1, l.Size/512)
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if os.Geteuid() == 0 {
		uid, gid := nobody()
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}
	}
	return cmd
}

// lend gives a file to whom a confined program runs as, until it is given back.
func lend(file *os.File) (giveBack func() error, err error) {
	if os.Geteuid() != 0 {
		return func() error { return nil }, nil
	}
	uid, gid := nobody()
	return func() error { return file.Chown(0, 0) }, file.Chown(uid, gid)
}
