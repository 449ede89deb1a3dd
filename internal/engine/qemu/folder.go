package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The folders of machines and volumes belong to whoever runs the machines, and
// so does what is in them: a process that a guest has broken out of can put
// anything in the place of anything, such as a link to a file of root's, or a
// pipe that nobody reads. This process may be root. So what it does in there
// follows no link, waits for nobody, and changes what it has opened, not what
// has a name.

// makeFolder makes a folder that belongs to whoever runs the machines, and that
// nobody else can enter.
func (e *Engine) makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return e.own(dir)
}

// own gives what has a name to whoever runs the machines.
func (e *Engine) own(path string) error {
	if e.User == nil {
		return nil
	}
	return os.Lchown(path, int(e.User.UID), int(e.User.GID))
}

// makeFile makes an empty file that belongs to whoever runs the machines.
func (e *Engine) makeFile(path string) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if e.User == nil {
		return nil
	}
	return f.Chown(int(e.User.UID), int(e.User.GID))
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
