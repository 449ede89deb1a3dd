package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The folder of a machine belongs to whoever runs that machine, and so do those
// of the volumes that are attached to it, with what is in them: a process that a
// guest has broken out of can put anything in the place of anything there, such as
// a link to a file of root's, or a pipe that nobody reads. This process may be
// root. So what it does in there follows no link, waits for nobody, and changes
// what it has opened, not what has a name.

// makeFolder makes a folder that somebody has for themselves.
func makeFolder(dir string, owner *User) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return owner.lchown(dir)
}

// makeFile makes an empty file in a folder, of whom that belongs to.
func (e *Engine) makeFile(folder, name string) error {
	owner, err := e.ownerOf(folder)
	if err != nil {
		return err
	}
	f, err := create(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer f.Close()
	return owner.chown(f)
}

// create makes a file where none is.
func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// openPlain opens a file, and refuses whatever else has its name.
func openPlain(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, how|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0) // a pipe would wait for its other end
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// link puts a link to a file into a folder, in place of whatever has its name.
func link(from, folder, name string) error {
	dir, err := os.OpenFile(folder, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &os.PathError{Op: "unlink", Path: name, Err: err}
	}
	if err := unix.Linkat(unix.AT_FDCWD, from, int(dir.Fd()), name, 0); err != nil {
		return &os.LinkError{Op: "link", Old: from, New: name, Err: err}
	}
	return nil
}

// seal makes a copy one that never changes again: machines have links to it. It
// is this process's own from then on.
func (e *Engine) seal(path string) error {
	f, err := openPlain(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if stat, is := info.Sys().(*syscall.Stat_t); is && stat.Nlink != 1 {
		return fmt.Errorf("%s has another name", path)
	}
	if e.User != nil {
		if err := f.Chown(os.Getuid(), os.Getgid()); err != nil {
			return err
		}
	}
	return f.Chmod(0o444)
}

// discard removes what is of no more use. What is left by mischance is removed
// by the next try, or with the folder that it is in.
func discard(path string) { _ = os.RemoveAll(path) }
