package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// unpackMemory is the most that unpacking may take. It is enough for what xz and
// zstd make unless they are told otherwise.
const unpackMemory = 128 << 20

// unpacked reads what is in a stream, compressed or not.
func unpacked(r io.Reader) (io.Reader, func(), error) {
	from := bufio.NewReaderSize(r, 256<<10)
	head, err := from.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	nothing := func() {}
	var to io.Reader = from
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		to, err = gzip.NewReader(from)
	case bytes.HasPrefix(head, []byte("BZh")):
		to, err = bzip2.NewReader(from), nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		to, err = xz.NewReader(from, unpackMemory)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(unpackMemory))
		if err == nil {
			return decoder, decoder.Close, nil
		}
	default:
		err = nil // what is shorter is told by what is in it
	}
	if err != nil {
		return nil, nil, damaged(err)
	}
	return to, nothing, nil
}

// damaged says that what is compressed cannot be unpacked.
func damaged(err error) error {
	if errors.Is(err, xz.ErrMemlimit) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("unpacking the file takes more than %s of memory; compress it with less", sizeText(unpackMemory))
	}
	return fmt.Errorf("the file cannot be unpacked: %w", err)
}

func tooMuch(most int64) error {
	return fmt.Errorf("there is more in the file than the %s that are allowed", sizeText(uint64(most)))
}

// spool puts what is in a stream into a file, unpacked, and leaves out what is
// zero. It stops at the most bytes that are allowed.
func spool(ctx context.Context, r io.Reader, to *os.File, most int64) error {
	source := &failing{Reader: r}
	from, end, err := unpacked(source)
	if source.err != nil {
		return source.err
	}
	if err != nil {
		return err
	}
	defer end()
	block := make([]byte, 64<<10)
	for size := int64(0); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := fill(from, block)
		if size+int64(n) > most {
			return tooMuch(most)
		}
		if n > 0 && !zero(block[:n]) {
			if _, err := to.WriteAt(block[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return to.Truncate(size)
		case source.err != nil:
			return source.err
		case err != nil:
			return damaged(err)
		}
	}
}

// fill reads a whole block, or what is left. Unlike io.ReadFull it says the end
// as the reader says it: what is cut off ends otherwise than what is whole.
func fill(r io.Reader, block []byte) (n int, err error) {
	for n < len(block) && err == nil {
		var more int
		more, err = r.Read(block[n:])
		n += more
	}
	return n, err
}

// failing remembers how a stream failed, so that it is not taken for a fault of
// what is in it.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func zero(block []byte) bool { return len(bytes.TrimLeft(block, "\x00")) == 0 }
