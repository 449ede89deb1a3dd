package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// cpioWriter writes the archive that a kernel unpacks as its first file system:
// the "new" format, with everything owned by root. Unlike cpio itself it needs no
// privilege for devices.
type cpioWriter struct {
	w     io.Writer
	inode int
	err   error
}

// Modes of what is not a plain file.
const (
	cpioFolder  = 0o040000
	cpioFile    = 0o100000
	cpioLink    = 0o120000
	cpioCharDev = 0o020000
)

func (c *cpioWriter) folder(name string)                { c.add(name, cpioFolder|0o755, nil, 0, 0) }
func (c *cpioWriter) file(name string, m int, b []byte) { c.add(name, cpioFile|m, b, 0, 0) }
func (c *cpioWriter) link(name, to string)              { c.add(name, cpioLink|0o777, []byte(to), 0, 0) }
func (c *cpioWriter) device(name string, major, minor int) {
	c.add(name, cpioCharDev|0o600, nil, major, minor)
}

// tree adds the folders and files within a folder.
func (c *cpioWriter) tree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(root, path)
		if err != nil || relErr != nil || name == "." {
			return errors.Join(err, relErr)
		}
		if d.IsDir() {
			c.folder(name)
			return c.err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c.file(name, 0o755, data)
		return c.err
	})
}

// add writes one entry. The first error stays, and ends all.
func (c *cpioWriter) add(name string, mode int, data []byte, major, minor int) {
	if c.err != nil {
		return
	}
	c.inode++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	c.write([]byte(header))
	c.write(data)
}

// write writes a part, filled up to a multiple of four bytes.
func (c *cpioWriter) write(part []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(part)
	}
	if rest := len(part) % 4; rest > 0 && c.err == nil {
		_, c.err = c.w.Write(make([]byte, 4-rest))
	}
}

// close ends the archive and returns the first error.
func (c *cpioWriter) close() error {
	c.add("TRAILER!!!", 0, nil, 0, 0)
	return c.err
}
