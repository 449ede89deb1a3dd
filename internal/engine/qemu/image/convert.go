package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Limits bound what comes from outside. What is zero is as DefaultLimits has it.
type Limits struct {
	// VirtualSize is the largest disk, as its machine would see it.
	VirtualSize int64
	// Size is the most that may be in a file once it is unpacked, and that the
	// image made of it may take.
	Size int64
	// Memory is the address space of qemu-img, and Time is how long it may work.
	Memory int64
	Time   time.Duration
}

// DefaultLimits are enough for images that people use.
func DefaultLimits() Limits {
	return Limits{VirtualSize: 2 << 40, Size: 256 << 30, Memory: 2 << 30, Time: time.Hour}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.VirtualSize > 0 {
		d.VirtualSize = l.VirtualSize
	}
	if l.Size > 0 {
		d.Size = l.Size
	}
	if l.Memory > 0 {
		d.Memory = l.Memory
	}
	if l.Time > 0 {
		d.Time = l.Time
	}
	return d
}

// Info is what Convert found and made.
type Info struct {
	// VirtualSize is the disk's, and ActualSize what its new file takes.
	VirtualSize int64
	ActualSize  int64
	// Format is what the file was, such as vmdk.
	Format string
}

// Convert makes a flat qcow2 file of a disk image that nobody vouches for: raw,
// qcow2, vmdk, vhdx or vdi, compressed or not. What is wrong with the image is
// said by an error for its owner; dst is there only if there is none.
func Convert(ctx context.Context, src, dst string, limits Limits) (Info, error) {
	file, err := os.Open(src)
	if err != nil {
		return Info{}, err
	}
	defer file.Close()
	return convert(ctx, file, dst, limits, func() error { return nil }, func(float64) {})
}

// convert is Convert of a stream. Once all has been read, it asks whether to go
// on, and then tells how much of what is left to do is done.
func convert(ctx context.Context, src io.Reader, dst string, limits Limits, read func() error, tell func(part float64)) (info Info, err error) {
	limits = limits.orDefault()
	if err := missingTools(map[string]string{"qemu-img": "qemu-utils"}); err != nil {
		return Info{}, fmt.Errorf("converting an image %w", err)
	}
	in, err := nameless(filepath.Dir(dst))
	if err != nil {
		return Info{}, err
	}
	defer in.Close()
	if err := spool(ctx, src, in, limits.Size); err != nil {
		return Info{}, err
	}
	if err := read(); err != nil {
		return Info{}, err
	}
	kind, err := inspect(in, limits.VirtualSize)
	if err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, fmt.Errorf("converting the image took more than the %s that are allowed", limits.Time))
	defer cancel()
	virtual, err := examine(ctx, in, kind, limits)
	if err != nil {
		return Info{}, err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return Info{}, err
	}
	defer out.Close()
	defer func() {
		if err != nil {
			_ = os.Remove(dst) // the failure is told
		}
	}()
	if err := flatten(ctx, in, out, kind, limits, tell); err != nil {
		return Info{}, err
	}
	made, err := out.Stat()
	if err != nil {
		return Info{}, err
	}
	return Info{VirtualSize: virtual, ActualSize: made.Size(), Format: string(kind)}, nil
}

// nameless makes a file that is gone when it is closed, however this process
// ends. What somebody else has written cannot be changed under it. It may be
// read by whoever is given it.
func nameless(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, ".import-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(file.Name()), file.Chmod(0o644)); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// examine has qemu-img say what it would read, and refuses all that is not one
// plain disk.
func examine(ctx context.Context, in *os.File, kind format, limits Limits) (virtual int64, err error) {
	out, err := qemuImg(ctx, limits, []*os.File{in}, nil, "info", "--output=json", "-f", string(kind), fdPath(0))
	if err != nil {
		return 0, fmt.Errorf("the image cannot be read as %s: %w", kind, err)
	}
	return checkInfo(out, kind, limits)
}

// checkInfo reads what qemu-img info says.
func checkInfo(text []byte, kind format, limits Limits) (virtual int64, err error) {
	var info struct {
		VirtualSize int64  `json:"virtual-size"`
		Format      string `json:"format"`
		Encrypted   bool   `json:"encrypted"`
		Backing     string `json:"backing-filename"`
		FullBacking string `json:"full-backing-filename"`
		Specific    struct {
			Data struct {
				DataFile string `json:"data-file"`
				Corrupt  bool   `json:"corrupt"`
				Extents  []any  `json:"extents"`
			} `json:"data"`
		} `json:"format-specific"`
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return 0, fmt.Errorf("what qemu-img says of the image cannot be read: %w", err)
	}
	switch {
	case info.Format != string(kind):
		return 0, fmt.Errorf("qemu-img reads the image as %q, not as %s", info.Format, kind)
	case info.Backing != "" || info.FullBacking != "":
		return 0, errors.New("the image builds on another file; flatten it with qemu-img convert -O qcow2")
	case info.Specific.Data.DataFile != "" || len(info.Specific.Data.Extents) > 1:
		return 0, errors.New("the image has its data in other files; flatten it with qemu-img convert -O qcow2")
	case info.Encrypted:
		return 0, errors.New("the image is encrypted; nobody could start it")
	case info.Specific.Data.Corrupt:
		return 0, errors.New("the image is marked as corrupt; repair it with qemu-img check -r all")
	}
	return info.VirtualSize, checkSize(uint64(max(0, info.VirtualSize)), limits.VirtualSize)
}

// flatten writes the disk as compressed qcow2.
func flatten(ctx context.Context, in, out *os.File, kind format, limits Limits, tell func(part float64)) error {
	giveBack, err := lend(out)
	if err != nil {
		return err
	}
	_, err = qemuImg(ctx, limits, []*os.File{in, out}, tell, "convert", "-p", "-f", string(kind), "-O", string(formatQcow2),
		"-c", "-o", "compression_type=zstd", fdPath(0), fdPath(1))
	if err := errors.Join(err, giveBack()); err != nil {
		return fmt.Errorf("the image cannot be converted: %w", err)
	}
	return nil
}

// fdPath names a file that a process is given, by its place among those.
func fdPath(n int) string { return "/proc/self/fd/" + strconv.Itoa(3+n) }

// qemuImg runs qemu-img within limits, as nobody where that can be, with some
// files and in a folder where there is nothing to find.
func qemuImg(ctx context.Context, limits Limits, files []*os.File, tell func(part float64), args ...string) ([]byte, error) {
	path, err := findTool("qemu-img")
	if err != nil {
		return nil, err
	}
	var out, errs bytes.Buffer
	cmd := confine(ctx, limits, path, args...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = "/", []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}, files
	cmd.Stdout, cmd.Stderr = &atMost{Writer: &out, left: 1 << 20}, &atMost{Writer: &errs, left: 16 << 10}
	cmd.WaitDelay = 5 * time.Second
	if tell != nil {
		cmd.Stdout = &parts{tell: tell}
	}
	if err := cmd.Run(); err != nil {
		return nil, explain(ctx, "qemu-img", err, errs.Bytes())
	}
	return out.Bytes(), nil
}

// atMost keeps the first bytes that are written, and takes the rest for nothing.
type atMost struct {
	io.Writer
	left int
}

func (a *atMost) Write(p []byte) (int, error) {
	n := min(len(p), a.left)
	a.left -= n
	if _, err := a.Writer.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// parts reads how far qemu-img says it is, such as "    (12.50/100%)".
type parts struct {
	text []byte
	tell func(part float64)
}

func (p *parts) Write(b []byte) (int, error) {
	p.text = append(p.text, b...)
	for {
		line, rest, is := bytes.Cut(p.text, []byte("\r"))
		if !is {
			break
		}
		p.text = rest
		var percent float64
		if _, err := fmt.Sscanf(string(bytes.TrimSpace(line)), "(%f/100%%)", &percent); err == nil {
			p.tell(min(max(percent/100, 0), 1))
		}
	}
	if len(p.text) > 4096 { // nothing that it says is as long
		p.text = nil
	}
	return len(b), nil
}
