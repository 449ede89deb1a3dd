package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
)

// programs are those that the engine runs.
type programs struct{ qemu, img string }

func findPrograms() (p programs, err error) {
	if p.qemu, err = host.Find("qemu-system-x86_64", "qemu-kvm"); err == nil {
		p.img, err = host.Find("qemu-img")
	}
	if err != nil {
		err = fmt.Errorf("%w; cistern doctor --engine qemu says how to install it", err)
	}
	return p, err
}

// toolTime is how long a program may work that is not a machine. Copying a disk
// of a terabyte takes its time.
const toolTime = 2 * time.Hour

// img runs qemu-img in a folder, on files that are our own.
func (e *Engine) img(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return e.tool(ctx, dir, e.programs.img, args...)
}

// tool runs a program in a folder as whom that belongs to. It ends with this
// process, however that ends: else it would keep a disk locked that is needed
// again. Linux ties that to the thread which has started it.
func (e *Engine) tool(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	ctx, done := context.WithTimeout(ctx, toolTime)
	defer done()
	owner, err := e.ownerOf(dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.credential(), Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}
