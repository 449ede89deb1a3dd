package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lab makes disk images with qemu-img.
type lab struct {
	*testing.T
	dir string
}

func newLab(t *testing.T) lab {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("QEMU: qemu-img is not installed; scripts/with-qemu installs it")
	}
	return lab{t, t.TempDir()}
}

func (l lab) path(name string) string { return filepath.Join(l.dir, name) }

// run runs a program in the lab.
func (l lab) run(program string, args ...string) {
	l.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
}

// raw makes a raw disk of 1 MiB that seems to start.
func (l lab) raw(name string) {
	l.Helper()
	disk := make([]byte, 1<<20)
	copy(disk[4096:], "what is on the disk")
	disk[510], disk[511] = 0x55, 0xaa
	l.write(name, disk)
}

func (l lab) write(name string, data []byte) {
	l.Helper()
	if err := os.WriteFile(l.path(name), data, 0o644); err != nil {
		l.Fatal(err)
	}
}

// sparse makes a file of nothing, and returns where it is.
func (l lab) sparse(name string, size int64) string {
	l.Helper()
	l.write(name, nil)
	if err := os.Truncate(l.path(name), size); err != nil {
		l.Fatal(err)
	}
	return l.path(name)
}

// pipe makes a pipe into which nobody writes.
func (l lab) pipe(name string) string {
	l.Helper()
	if err := syscall.Mkfifo(l.path(name), 0o600); err != nil {
		l.Fatal(err)
	}
	return l.path(name)
}

func (l lab) read(name string) []byte {
	l.Helper()
	data, err := os.ReadFile(l.path(name))
	if err != nil {
		l.Fatal(err)
	}
	return data
}

// change writes bytes into a file.
func (l lab) change(name string, at int, data []byte) {
	l.Helper()
	all := l.read(name)
	copy(all[at:], data)
	l.write(name, all)
}

func (l lab) convert(name string, limits Limits) (Info, error) {
	l.Helper()
	return Convert(l.Context(), l.path(name), filepath.Join(l.TempDir(), "out.qcow2"), limits)
}

func TestConvertTakesEveryFormat(t *testing.T) {
	l := newLab(t)
	l.raw("raw")
	for _, f := range []string{"qcow2", "vmdk", "vhdx", "vdi"} {
		l.run("qemu-img", "convert", "-O", f, "raw", f)
	}
	l.run("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", "raw", "stream")
	l.run("qemu-img", "convert", "-O", "qcow2", "-o", "compat=0.10", "raw", "old")
	files := map[string]string{"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhdx": "vhdx", "vdi": "vdi", "stream": "vmdk", "old": "qcow2"}
	for packer, of := range map[string]string{"gzip": "raw", "bzip2": "vdi", "xz": "vmdk", "zstd": "vhdx"} {
		if _, err := exec.LookPath(packer); err != nil {
			t.Logf("not applicable: %s is not installed", packer)
			continue
		}
		l.run("sh", "-c", packer+" -c "+of+" > "+of+"."+packer)
		files[of+"."+packer] = of
	}
	for name, want := range files {
		to := l.path(name + ".out")
		info, err := Convert(t.Context(), l.path(name), to, Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		written, err := os.Stat(to)
		if err != nil || info != (Info{VirtualSize: info.VirtualSize, ActualSize: written.Size(), Format: want}) || info.VirtualSize < 1<<20 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		l.run("qemu-img", "check", "-q", "-f", "qcow2", to)
		l.run("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", "raw", to)
	}
}

// What leads elsewhere, or is no disk, is refused in words that help.
func TestConvertRefuses(t *testing.T) {
	l := newLab(t)
	l.raw("raw")
	l.raw("secret")
	make := func(name string, args ...string) {
		t.Helper()
		l.run("qemu-img", append([]string{"create", "-q"}, append(args, name, "1M")...)...)
	}
	make("plain", "-f", "qcow2")
	l.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "secret", "-F", "raw", "backing")
	make("data", "-f", "qcow2", "-o", "data_file=secret.data,data_file_raw=on")
	make("flat", "-f", "vmdk", "-o", "subformat=monolithicFlat")
	l.run("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "raw", "parts")
	make("vmdk", "-f", "vmdk")
	l.run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "vmdk", "-F", "vmdk", "child")
	make("vpc", "-f", "vpc")
	make("vdi", "-f", "vdi")
	copyOf := func(of, name string, at int, data ...byte) {
		t.Helper()
		l.write(name, l.read(of))
		l.change(name, at, data)
	}
	be := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	le := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	copyOf("plain", "version", 7, 1)
	copyOf("plain", "external", 79, 4)
	copyOf("plain", "corrupt", 79, 2)
	copyOf("plain", "unknown", 72, 0x80)
	copyOf("plain", "crypted", 35, 1)
	copyOf("plain", "huge", 24, be(1<<50)...)
	copyOf("plain", "empty", 24, be(0)...)
	copyOf("plain", "named", 112, append([]byte("DATA\x00\x00\x00\x08"), "secret\x00\x00"...)...)
	copyOf("plain", "cut", 0)
	l.write("cut", l.read("plain")[:80])
	copyOf("vmdk", "descriptor", 12, le(0)...)
	copyOf("vmdk", "elsewhere", 28, le(9)...)
	copyOf("vmdk", "vast", 12, le(1<<60)...)
	l.write("hinted", bytes.Replace(l.read("vmdk"), []byte("# The Disk Data Base"), []byte("parentFileNameHint=x"), 1))
	l.write("device", bytes.Replace(l.read("vmdk"), []byte("SPARSE \""), []byte("FLAT \"/e"), 1))
	l.write("fullDevice", bytes.Replace(l.read("vmdk"), []byte("monolithicSparse"), []byte("fullDevice\"     "), 1))
	copyOf("vdi", "difference", 76, 4)
	copyOf("vdi", "wide", 368, le(1<<50)...)
	l.write("page", []byte("<html>not found</html>"))
	l.write("nothing", nil)
	archive := append([]byte(strings.Repeat("x", 257)), "ustar"...)
	l.write("ova", append(archive, strings.Repeat("\x00", 1000)...))
	l.write("twice", packed(t, packed(t, l.read("raw"))))
	l.write("damaged", packed(t, l.read("raw"))[:200])

	for name, want := range map[string]string{
		"version": "qcow version 1", "backing": "builds on a backing file; flatten it with qemu-img convert -O qcow2",
		"data": "has its data in another file", "external": "has its data in another file", "named": "names another file",
		"corrupt": "qemu-img check -r all", "unknown": "features that are not known", "crypted": "encrypted",
		"huge": "is of 1 PiB, and may have 2 TiB at the most", "empty": "has no size", "cut": "cut off",
		"flat": "only the description of a VMDK", "parts": "only the description of a VMDK", "descriptor": "none of a single file",
		"elsewhere": "none of a single file", "vast": "may have 2 TiB", "child": "builds on another file", "hinted": "builds on another file",
		"device": "has its data in other files", "fullDevice": "of the kind", "vpc": "VHD; convert it to VHDX",
		"difference": "builds on another file", "wide": "may have 2 TiB", "page": "raw one has a boot sector", "nothing": "raw one has a boot sector",
		"ova": "such as an OVA; unpack it", "twice": "compressed more than once", "damaged": "cannot be unpacked",
	} {
		if _, err := l.convert(name, Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A raw disk stays one, whatever is written on it.
func TestRawStaysRaw(t *testing.T) {
	l := newLab(t)
	l.raw("inner")
	l.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "trap", "1M")
	disk := make([]byte, 1<<20)
	copy(disk[1024:], l.read("trap"))
	disk[510], disk[511] = 0x55, 0xaa
	l.write("raw", disk)
	to := l.path("out")
	if _, err := Convert(t.Context(), l.path("raw"), to, Limits{}); err != nil {
		t.Fatal(err)
	}
	l.run("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", "raw", to)
}

func TestConvertKeepsLimits(t *testing.T) {
	l := newLab(t)
	l.raw("raw")
	l.write("bomb", packed(t, make([]byte, 8<<20)))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	noise[510], noise[511] = 0x55, 0xaa
	l.write("noise", noise)
	for name, test := range map[string]struct {
		file   string
		limits Limits
		want   string
	}{
		"virtual size": {"raw", Limits{VirtualSize: 1 << 19}, "may have 512 KiB at the most"},
		"unpacked":     {"bomb", Limits{Size: 4 << 20}, "more in the file than the 4 MiB"},
		"memory":       {"raw", Limits{Memory: 4 << 20}, ""},
		"time":         {"raw", Limits{Time: time.Nanosecond}, "took more than the 1ns"},
	} {
		if _, err := l.convert(test.file, test.limits); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Convert(ctx, l.path("raw"), l.path("out"), Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left, err := filepath.Glob(l.path(".import-*")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := os.Stat(l.path("out")); !os.IsNotExist(err) {
		t.Errorf("a result of nothing: %v", err)
	}
}

// What qemu-img says of an image is not believed over what was asked for.
func TestWhatQemuImgSays(t *testing.T) {
	for name, test := range map[string]struct{ says, want string }{
		"another format": {`{"format":"qcow2","virtual-size":1}`, `reads the image as "qcow2", not as raw`},
		"backing":        {`{"format":"raw","virtual-size":1,"backing-filename":"x"}`, "builds on another file"},
		"full backing":   {`{"format":"raw","virtual-size":1,"full-backing-filename":"x"}`, "builds on another file"},
		"data file":      {`{"format":"raw","virtual-size":1,"format-specific":{"data":{"data-file":"x"}}}`, "data in other files"},
		"extents":        {`{"format":"raw","virtual-size":1,"format-specific":{"data":{"extents":[{},{}]}}}`, "data in other files"},
		"encrypted":      {`{"format":"raw","virtual-size":1,"encrypted":true}`, "encrypted"},
		"corrupt":        {`{"format":"raw","virtual-size":1,"format-specific":{"data":{"corrupt":true}}}`, "corrupt"},
		"negative":       {`{"format":"raw","virtual-size":-1}`, "no size"},
		"large":          {`{"format":"raw","virtual-size":4398046511104}`, "may have 2 TiB"},
		"no JSON":        {`hello`, "cannot be read"},
	} {
		if _, err := checkInfo([]byte(test.says), formatRaw, DefaultLimits()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

func TestProgressOfQemuImg(t *testing.T) {
	var told []float64
	p := &parts{tell: func(part float64) { told = append(told, part) }}
	for _, text := range []string{"    (0.00/100%)\r", "    (50", ".00/100%)\r    (100.00/100%)\r\n", strings.Repeat("x", 9000)} {
		if n, err := p.Write([]byte(text)); n != len(text) || err != nil {
			t.Error(n, err)
		}
	}
	if len(told) != 3 || told[1] != 0.5 || told[2] != 1 || len(p.text) > 4096 {
		t.Errorf("%v", told)
	}
}

func TestImport(t *testing.T) {
	l := newLab(t)
	l.raw("raw")
	l.write("packed", packed(t, l.read("raw")))
	s := Open(l.path("images"))
	spec := Spec{Slug: "debian", Distribution: "Debian", Name: "Debian 12"}
	var last, total int64
	tell := func(done, of int64) { last, total = done, of }
	for name, test := range map[string]struct {
		source Source
		want   string
	}{
		"no file":        {Source{File: l.path("none")}, "no such file"},
		"folder":         {Source{File: l.dir}, "is a folder"},
		"endless":        {Source{File: "/dev/zero"}, "/dev/zero is not a file that ends"},
		"pipe":           {Source{File: l.pipe("pipe")}, "pipe is a pipe; write what comes out of it into a file first"},
		"too large":      {Source{File: l.sparse("large", 257<<30)}, "there is more in the file than the 256 GiB that are allowed"},
		"bad checksum":   {Source{File: l.path("raw"), SHA256: "abc"}, "64 hexadecimal digits"},
		"other checksum": {Source{File: l.path("raw"), SHA256: strings.Repeat("0", 64)}, "another file, or it is damaged"},
		"broken stream":  {Source{Reader: io.MultiReader(bytes.NewReader(l.read("packed")[:100]), &broken{})}, errBroken.Error()},
	} {
		if _, err := s.Import(t.Context(), test.source, spec, tell); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	first, err := s.Import(t.Context(), Source{File: l.path("packed")}, spec, tell)
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total != 2*int64(len(l.read("packed"))) {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if first.VirtualSize != 1<<20 || first.MinDiskSize != 1 || len(first.SourceSHA256) != 64 || first.Kernel || first.Name != "Debian 12" {
		t.Errorf("%+v", first)
	}
	if err := s.Remove("debian"); err != nil {
		t.Fatal(err)
	}
	again, err := s.Import(t.Context(), Source{Reader: bytes.NewReader(l.read("packed")), SHA256: strings.ToUpper(first.SourceSHA256)}, spec, tell)
	if err != nil || again.SourceSHA256 != first.SourceSHA256 {
		t.Errorf("%+v, %v", again, err)
	}
}

var errBroken = errors.New("the line is broken")

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errBroken }

// What takes too much memory to unpack is refused.
func TestUnpackingIsBounded(t *testing.T) {
	for _, program := range [][]string{{"xz", "--lzma2=dict=1GiB", "-c"}, {"zstd", "--ultra", "--long=31", "-q", "-c"}} {
		if _, err := exec.LookPath(program[0]); err != nil {
			t.Logf("not applicable: %s is not installed", program[0])
			continue
		}
		cmd := exec.Command(program[0], program[1:]...)
		cmd.Stdin = io.LimitReader(zeros{}, 1<<20)
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		file, err := nameless(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := spool(t.Context(), bytes.NewReader(data), file, 1<<30); err == nil || !strings.Contains(err.Error(), "of memory; compress it with less") {
			t.Errorf("%s: %v", program[0], err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
