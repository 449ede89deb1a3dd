package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Ready is what a server that is ready writes for whoever has started it.
type Ready struct {
	URL string `json:"url"`
	// Token is the first account's, where it is known.
	Token string `json:"token,omitempty"`
	// Certificate is the file whose first certificate the server shows, or empty
	// without TLS.
	Certificate string `json:"certificate,omitempty"`
	// PID is the server's process: a killed one leaves its file behind.
	PID int `json:"pid"`
}

// readyFile is the file of --ready-file. It is written under another name and
// gets its own when the server is ready, so that whoever sees it can use it.
type readyFile struct {
	path string
	file *os.File // nil without the flag
}

// prepareReadyFile fails where the file could not be written. It changes nothing
// that is there.
func prepareReadyFile(path string) (*readyFile, error) {
	if path == "" {
		return &readyFile{}, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--ready-file: %w", err)
	}
	if err := checkReadyPath(path); err != nil {
		return nil, fmt.Errorf("--ready-file: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return nil, fmt.Errorf("--ready-file: %w", err)
	}
	return &readyFile{path, file}, nil
}

// checkReadyPath takes a file that is empty, as mktemp makes it, or that a server
// has written. Anything else is somebody's, and was named by mistake.
func checkReadyPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	foreign := fmt.Errorf("%s is there already, and no server has written it; name another file", path)
	if !info.Mode().IsRegular() {
		return foreign
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var old Ready
	if len(text) > 0 && (json.Unmarshal(text, &old) != nil || old.URL == "" || old.PID == 0) {
		return foreign
	}
	return nil
}

// clear removes what an earlier server has left, so that nobody takes that for
// this one.
func (f *readyFile) clear() error {
	if f.file == nil {
		return nil
	}
	err := os.Remove(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}

// publish writes what it takes to use the server.
func (f *readyFile) publish(r Ready) error {
	if f.file == nil {
		return nil
	}
	text, err := json.Marshal(r)
	if err == nil {
		_, err = f.file.Write(append(text, '\n'))
	}
	if err == nil {
		err = os.Rename(f.file.Name(), f.path)
	}
	if err != nil {
		err = fmt.Errorf("--ready-file: %w", err)
	}
	return err
}

// withdraw removes the file, unless another server has put its own there since.
// It may be called again.
func (f *readyFile) withdraw() {
	if f.file == nil {
		return
	}
	_ = os.Remove(f.file.Name()) // it is gone once it has its own name
	own, err := f.file.Stat()
	if err != nil {
		return // withdrawn already
	}
	if there, err := os.Lstat(f.path); err == nil && os.SameFile(own, there) {
		_ = os.Remove(f.path)
	}
	f.file.Close()
}
