package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Source is where an image comes from: a file by its name, or a stream.
type Source struct {
	File   string
	Reader io.Reader
	// Size is the stream's, for the progress; 0 if it is not known.
	Size int64
	// SHA256 is what the checksum has to be, as it comes and before it is
	// unpacked; empty to take any.
	SHA256 string
	Limits Limits
}

// Import takes in an image that nobody vouches for. It tells how far it is, of a
// total that is 0 while it is not known.
func (s *Store) Import(ctx context.Context, source Source, spec Spec, progress func(done, total int64)) (Image, error) {
	want, err := checksum(source.SHA256)
	if err != nil {
		return Image{}, err
	}
	if source.File != "" {
		file, err := openSource(source.File, source.Limits.orDefault().Size)
		if err != nil {
			return Image{}, err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return Image{}, err
		}
		source.Reader, source.Size = file, info.Size()
	}
	return s.install(spec, func(dir string, image *Image) error {
		// Half of the work is reading, and half is writing.
		read := &counted{Reader: source.Reader, sum: sha256.New(), tell: func(n int64) { progress(n, 2*source.Size) }}
		check := func() (err error) {
			image.SourceSHA256, err = read.check(want)
			return err
		}
		info, err := convert(ctx, read, filepath.Join(dir, DiskFile), source.Limits, check, func(part float64) {
			progress(read.n+int64(part*float64(read.n)), 2*read.n)
		})
		image.VirtualSize = info.VirtualSize
		return err
	})
}

// checksum reads a checksum as people write it.
func checksum(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	sum, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("%q is no SHA-256 checksum, which has 64 hexadecimal digits", text)
	}
	return hex.EncodeToString(sum), nil
}

// openSource opens a file, unless it is plain before all of it is read that it
// will not do. It does not wait for anybody to write into a pipe.
func openSource(name string, most int64) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New(name + " is a folder; name a file")
	case info.Mode()&os.ModeNamedPipe != 0:
		err = errors.New(name + " is a pipe; write what comes out of it into a file first, and name that")
	case info.Mode()&os.ModeCharDevice != 0:
		err = errors.New(name + " is not a file that ends; name one with a disk image in it")
	case info.Size() > most:
		err = tooMuch(most)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// counted counts and sums up what is read.
type counted struct {
	io.Reader
	n    int64
	sum  hash.Hash
	tell func(n int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	_, _ = c.sum.Write(p[:n]) // it cannot fail
	if n > 0 {
		c.n += int64(n)
		c.tell(c.n)
	}
	return n, err
}

// check reads what is left, such as what follows the end of what is compressed,
// and compares the checksum of all.
func (c *counted) check(want string) (sum string, err error) {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return "", err
	}
	sum = hex.EncodeToString(c.sum.Sum(nil))
	if want != "" && want != sum {
		return "", fmt.Errorf("the SHA-256 checksum is %s, and should be %s: this is another file, or it is damaged", sum, want)
	}
	return sum, nil
}
