package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Address is where a server on this machine answers.
type Address struct {
	URL string `json:"url"`
	// Certificate is the file whose first certificate the server shows, or empty
	// without TLS. Whoever can read it knows the server by that, whatever name it
	// is reached by.
	Certificate string `json:"certificate,omitempty"`
}

// addressFile is where a server says how to reach it.
func (o *opened) addressFile() string { return o.file("server.json") }

// announce writes down where the server answers, for commands beside it, and
// returns what takes that back. The file stays locked while the server runs, so
// that what a killed one has left tells nobody's token to whoever listens there
// next.
func (o *opened) announce(a Address) (withdraw func(), err error) {
	if o.Ephemeral {
		return func() {}, nil
	}
	path := o.addressFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if !locks(file, syscall.LOCK_EX) {
		file.Close()
		return func() {}, nil // another server on the same PostgreSQL, which serves the same
	}
	text, err := json.Marshal(a)
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(append(text, '\n'), 0)
	}
	withdraw = func() { _ = os.Remove(path); file.Close() }
	if err != nil {
		withdraw()
	}
	return withdraw, err
}

// LocalAddress finds the server that runs on this machine with the storage.
func LocalAddress(s Storage) (a Address, err error) {
	o, err := beside(s)
	if err != nil {
		return a, err
	}
	nobody := fmt.Errorf("no server runs on this machine with its %s; start one with cistern serve, or name one with --api-url and --token", o.Storage)
	file, err := os.Open(o.addressFile())
	if errors.Is(err, fs.ErrNotExist) {
		return a, nobody
	}
	if err != nil {
		return a, err
	}
	defer file.Close()
	if locks(file, syscall.LOCK_SH) {
		return a, nobody // it was left by one that was killed
	}
	if err := json.NewDecoder(file).Decode(&a); err != nil {
		return a, fmt.Errorf("the server with its %s is just starting; try again (%s: %w)", o.Storage, o.addressFile(), err)
	}
	return a, nil
}

func locks(file *os.File, how int) bool {
	return syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB) == nil
}

// beside names the files that a server with the storage keeps on this machine.
func beside(s Storage) (*opened, error) {
	s, err := s.check()
	if err != nil {
		return nil, err
	}
	o := &opened{Storage: s, folder: s.Data}
	if s.Database != "" {
		o.folder = DefaultData()
	}
	return o, nil
}

// reachable is where this machine reaches a server that listens everywhere.
func reachable(listens net.Addr) string {
	tcp, is := listens.(*net.TCPAddr)
	if !is || !tcp.IP.IsUnspecified() {
		return listens.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
