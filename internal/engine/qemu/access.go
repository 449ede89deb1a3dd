package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/host"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/qmp"
)

// Access tells where a machine's ssh is.
func (e *Engine) Access(ctx context.Context, id string) (engine.Access, error) {
	if _, err := look[machine](ctx, e, machines, id); err != nil {
		return engine.Access{}, err
	}
	at := e.Network.SSH(id)
	if !at.IsValid() {
		return engine.Access{}, nil
	}
	return engine.Access{Address: at.Addr().String(), Port: int(at.Port())}, nil
}

// TellPassword returns root's password, if it has not been told yet, and forgets
// it.
func (e *Engine) TellPassword(ctx context.Context, id string) (password string, err error) {
	if m, err := look[machine](ctx, e, machines, id); err != nil || m.Password == "" {
		return "", err
	}
	unlock, err := e.locks.take(ctx, []string{machineLock(id)})
	if err != nil {
		return "", err
	}
	defer unlock()
	err = e.db.Write(ctx, func(t *database.Tx) error {
		m, err := read[machine](t, machines, id)
		if err != nil {
			return err
		}
		password, m.Password = m.Password, ""
		return m.save(t)
	})
	return password, err
}

// consoleHistory is how much of what a console wrote is given to who joins it.
const consoleHistory = 16 << 10

// Console joins a running machine's serial console. QEMU serves one at a time:
// whoever joined before is sent away.
func (e *Engine) Console(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	v, err := e.runningVM(ctx, id)
	if err != nil {
		return nil, err
	}
	history, err := tail(filepath.Join(v.dir, consoleFile), consoleHistory)
	if err != nil {
		return nil, err
	}
	v.joining.Lock()
	defer v.joining.Unlock()
	if v.console != nil {
		v.console.Close()
	}
	conn, err := qmp.DialUnix(ctx, v.dir, consoleSocket)
	if err != nil {
		return nil, e.silent(id, err)
	}
	v.console = conn
	return &console{Conn: conn, before: history}, nil
}

// console is a connection to a serial console, after what it wrote before.
type console struct {
	net.Conn
	before []byte
}

func (c *console) Read(b []byte) (int, error) {
	if len(c.before) > 0 {
		n := copy(b, c.before)
		c.before = c.before[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// tail reads the end of a file.
func tail(path string, most int64) ([]byte, error) {
	f, err := openPlain(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	end := make([]byte, min(size, most))
	n, err := f.ReadAt(end, size-int64(len(end)))
	if errors.Is(err, io.EOF) { // it was cut meanwhile
		err = nil
	}
	return end[:n], err
}

// Screenshot is what a running machine's screen shows, as a PNG.
func (e *Engine) Screenshot(ctx context.Context, id string) ([]byte, error) {
	v, err := e.runningVM(ctx, id)
	if err != nil {
		return nil, err
	}
	v.screen.Lock()
	defer v.screen.Unlock()
	path := filepath.Join(v.dir, screenshotFile)
	defer discard(path)
	if err := v.execute(ctx, "screendump", map[string]any{"filename": screenshotFile, "format": "png"}, nil); err != nil {
		return nil, e.silent(id, err)
	}
	f, err := openPlain(path, os.O_RDONLY)
	if err != nil {
		return nil, e.silent(id, err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<20))
}

// runningVM returns a machine's process, or why there is none.
func (e *Engine) runningVM(ctx context.Context, id string) (*vm, error) {
	if _, err := look[machine](ctx, e, machines, id); err != nil {
		return nil, err
	}
	v, err := e.process(id)
	switch {
	case err != nil:
		return nil, e.silent(id, err)
	case v == nil:
		return nil, refuse("machine %s is not running", id)
	}
	return v, nil
}

// silent is what is told of a machine that runs and cannot be spoken to. Why is
// for the log: it has names of the host's files.
func (e *Engine) silent(id string, err error) error {
	e.log.Warn("a machine runs and does not answer", "machine", id, "error", err)
	return &engine.Error{Transient: true, Message: "The machine runs, but does not answer. Try again, or power-cycle the Droplet, which starts it anew."}
}

// Capacity is what machines can have of this host: all of its memory but what
// the host needs for itself, and the filesystem that their disks are on.
func (e *Engine) Capacity(ctx context.Context) (engine.Capacity, error) {
	disk, err := host.ReadDisk(e.Dir)
	if err != nil {
		return engine.Capacity{}, fmt.Errorf("measure the disk: %w", err)
	}
	memory, err := host.ReadMemory()
	if err != nil {
		return engine.Capacity{}, fmt.Errorf("measure the memory: %w", err)
	}
	taken, err := e.taken()
	if err != nil {
		return engine.Capacity{}, fmt.Errorf("measure the disk: %w", err)
	}
	total := memory.Total / mebibyte
	return engine.Capacity{
		VCPUs: int64(runtime.NumCPU()), Memory: total - max(leastForHost, total/10),
		Disk: int64(float64(disk.Free+taken) * max(1, e.DiskOvercommit) / gibibyte),
	}, nil
}

// taken is how many bytes of the disk machines and volumes have of what they
// were promised.
func (e *Engine) taken() (bytes int64, err error) {
	for _, files := range []string{
		filepath.Join(e.folder(machines, "*"), "disk-*", diskFile),
		filepath.Join(e.folder(volumes, "*"), volumeFile),
	} {
		found, err := filepath.Glob(files)
		if err != nil {
			return 0, err
		}
		for _, file := range found {
			size, err := allocated(file)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
			bytes += size
		}
	}
	return bytes, nil
}

const (
	mebibyte = 1 << 20
	// leastForHost is the least memory that is left to the host, in MiB. Of a
	// large one it is a tenth.
	leastForHost = 512
)
