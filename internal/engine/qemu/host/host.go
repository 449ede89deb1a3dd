// Package host says what this machine can do for virtual machines: which of
// QEMU's accelerators is any good, which programs there are, how much memory and
// room there is, and which ports can be listened on. It leaves all as it was.
package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Root reports whether this process may do what only root may.
func Root() bool { return os.Geteuid() == 0 }

// HasUIDs reports whether there are all the user IDs from first to last: within a
// container, root may have few.
func HasUIDs(first, last uint32) bool { return hasUIDs(os.DirFS("/"), first, last) }

func hasUIDs(root fs.FS, first, last uint32) bool {
	text, err := fs.ReadFile(root, "proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= uint64(first) && uint64(last) < inside+count {
			return true
		}
	}
	return false
}

// Memory is a number of bytes, and how many of them could be used now.
type Memory struct{ Total, Available int64 }

// ReadMemory returns what this process and those that it starts may use: the
// machine's memory, or less of it in a container.
func ReadMemory() (Memory, error) { return readMemory(os.DirFS("/")) }

func readMemory(root fs.FS) (m Memory, err error) {
	file, err := root.Open("proc/meminfo")
	if err != nil {
		return m, fmt.Errorf("how much memory there is: %w", err)
	}
	defer file.Close()
	values := map[string]*int64{"MemTotal:": &m.Total, "MemAvailable:": &m.Available}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || values[words[0]] == nil {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return m, fmt.Errorf("how much memory there is: %w", err)
		}
		*values[words[0]] = n << 10
	}
	if m.Total == 0 || m.Available == 0 {
		return m, errors.New("how much memory there is: /proc/meminfo does not say")
	}
	return m.within(root), nil
}

// within lowers the memory to the limits of the control groups around this
// process.
func (m Memory) within(root fs.FS) Memory {
	text, _ := fs.ReadFile(root, "proc/self/cgroup") // where there is none there is no limit
	for line := range strings.Lines(string(text)) {
		group, is := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !is {
			continue
		}
		for {
			folder := path.Join("sys/fs/cgroup", group)
			limit, used := number(root, path.Join(folder, "memory.max")), number(root, path.Join(folder, "memory.current"))
			if limit > 0 {
				m.Total, m.Available = min(m.Total, limit), min(m.Available, max(0, limit-used))
			}
			if group == "" || group == "." {
				return m
			}
			group = path.Dir(group)
		}
	}
	return m
}

// number reads a file that holds a number, or returns 0: no limit is "max".
func number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Disk is the file system that holds a folder, in bytes.
type Disk struct{ Total, Free int64 }

// ReadDisk returns the file system that holds a folder, or would if it was made.
func ReadDisk(folder string) (Disk, error) {
	folder, err := Nearest(folder)
	if err != nil {
		return Disk{}, err
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return Disk{}, &fs.PathError{Op: "statfs", Path: folder, Err: err}
	}
	block := uint64(s.Bsize)
	return Disk{int64(s.Blocks * block), int64(s.Bavail * block)}, nil
}

// Nearest returns the folder, or the nearest one around it that is there.
func Nearest(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(folder)
		switch {
		case err == nil && !info.IsDir():
			return "", &fs.PathError{Op: "open", Path: folder, Err: syscall.ENOTDIR}
		case err == nil:
			return folder, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR): // a file around it is come to yet
			return "", err
		}
		folder = filepath.Dir(folder)
	}
}

// Writable fails if a folder could not be written to, or could not be made. It
// tries that with a file, which it removes: what permissions say does not hold for
// root, nor where nobody can make files.
func Writable(folder string) error {
	nearest, err := Nearest(folder)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(nearest, ".cistern-")
	if err != nil {
		if failed, is := errors.AsType[*fs.PathError](err); is {
			err = failed.Err
		}
		return &fs.PathError{Op: "write to", Path: nearest, Err: err}
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// Closed returns the nearest folder around this one that other users cannot go
// through, and so whoever machines run as cannot either. Without one it is empty.
func Closed(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	for folder != "/" {
		folder = filepath.Dir(folder)
		info, err := os.Stat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return folder, nil
		}
	}
	return "", nil
}
