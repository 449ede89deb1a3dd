package usernet

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// sendQueue is how many frames may wait for a machine that does not take them.
// More are dropped, as on any network.
const sendQueue = 256

// link is a machine's network device: two datagram sockets in its folder, ours
// and QEMU's, each datagram one frame. Names of sockets may be 108 bytes long
// and folders are not ours to choose, so we go through the folder's number.
type link struct {
	dir     *os.File
	name    string // NAME.net is our socket and NAME.qemu is QEMU's
	conn    *net.UnixConn
	inode   uint64
	receive func([]byte)
	to      target

	queue  chan *frame
	closed chan struct{}
	done   sync.WaitGroup
}

// openLink makes our socket in a folder, whose frames go to receive, in one
// goroutine. A socket that an earlier process left is replaced.
func openLink(dir, name string, receive func([]byte)) (*link, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &link{
		dir: folder, name: name, receive: receive,
		queue: make(chan *frame, sendQueue), closed: make(chan struct{}),
	}
	if err := l.listen(); err != nil {
		folder.Close()
		return nil, fmt.Errorf("the network socket in %s: %w", dir, err)
	}
	return l, nil
}

// start begins to carry frames.
func (l *link) start() {
	l.done.Add(2)
	go l.receiveAll()
	go l.sendAll()
}

// path is a name in the folder, short whatever the folder is called.
func (l *link) path(name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(l.dir.Fd())), name)
}

func (l *link) listen() error {
	path := l.path(l.name + ".net")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	if l.inode, err = openToFolder(path); err != nil {
		conn.Close()
		return err
	}
	l.conn = conn
	return nil
}

// openToFolder lets the machine's user send to our socket: the folder is its
// own and closed to others, so the socket need not be. That user may put
// anything in the place of a name in its folder, so the file is opened without
// following links and looked at before its mode is changed.
func openToFolder(path string) (inode uint64, err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK || stat.Nlink != 1 || int(stat.Uid) != os.Geteuid() {
		return 0, errors.New("another file was put in its place")
	}
	return stat.Ino, os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o666)
}

// intact says whether our socket is still what its name leads to.
func (l *link) intact(dir string) bool {
	var ours, now, stat unix.Stat_t
	return unix.Fstat(int(l.dir.Fd()), &ours) == nil && unix.Stat(dir, &now) == nil &&
		ours.Ino == now.Ino && ours.Dev == now.Dev &&
		unix.Lstat(l.path(l.name+".net"), &stat) == nil && stat.Ino == l.inode
}

func (l *link) receiveAll() {
	defer l.done.Done()
	buffer := make([]byte, maxFrame+1) // longer frames show in being too long
	for {
		n, err := l.conn.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-l.closed:
				return
			default:
			}
		case n >= etherLen && n <= maxFrame:
			l.receive(buffer[:n])
		}
	}
}

// send gives a frame to the machine, or drops it where it takes none.
func (l *link) send(f *frame) {
	select {
	case l.queue <- f:
	default:
		f.free()
	}
}

// sendAll waits while the machine's socket is full, and drops frames while
// there is no such socket: the machine may not have started, or have ended.
func (l *link) sendAll() {
	defer l.done.Done()
	for {
		select {
		case <-l.closed:
			return
		case f := <-l.queue:
			_ = l.to.send(l, f.bytes())
			f.free()
		}
	}
}

// close ends the goroutines. The socket's file stays: QEMU's frames are refused
// until someone takes the link over.
func (l *link) close() {
	close(l.closed)
	l.conn.Close()
	l.to.end()
	l.done.Wait()
	l.dir.Close()
	for {
		select {
		case f := <-l.queue:
			f.free()
		default:
			return
		}
	}
}

// remove removes what is in the folder, before close.
func (l *link) remove() {
	for _, suffix := range []string{".net", ".qemu"} {
		_ = os.Remove(l.path(l.name + suffix))
	}
}

// target is a socket that is connected to QEMU's. It is not the one that QEMU
// sends to: a connected one takes frames from that one QEMU alone, and would
// not notice its successor.
type target struct {
	mu    sync.Mutex
	conn  net.Conn
	ended bool
}

// open connects, if that is not done yet. QEMU's socket must belong to the
// folder's owner, and what is looked at is what is connected to.
func (t *target) open(l *link) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil || t.ended {
		return t.conn, nil
	}
	fd, err := unix.Openat(int(l.dir.Fd()), l.name+".qemu", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var folder, socket unix.Stat_t
	if err = unix.Fstat(int(l.dir.Fd()), &folder); err == nil {
		err = unix.Fstat(fd, &socket)
	}
	if err != nil {
		return nil, err
	}
	if socket.Mode&unix.S_IFMT != unix.S_IFSOCK || socket.Uid != folder.Uid {
		return nil, errors.New("not a socket of the machine's")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: "/proc/self/fd/" + strconv.Itoa(fd), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	t.conn = conn
	return conn, nil
}

// send waits while QEMU's socket is full, until the end.
func (t *target) send(l *link, b []byte) error {
	for range 2 {
		conn, err := t.open(l)
		if conn == nil {
			return err
		}
		_, err = conn.Write(b)
		if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOTCONN) {
			return err
		}
		t.close() // that process has ended; there may be a new one
	}
	return unix.ECONNREFUSED
}

// end lets nothing be sent any more.
func (t *target) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.close()
}

func (t *target) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}
