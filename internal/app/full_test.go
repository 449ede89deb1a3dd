package app

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of 4 MB for the length of the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes what space is left, and returns the file that does.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 1<<12))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return path
}

// A full disk refuses writes with a message that says so, answers reads, keeps
// what was accepted, and is over when there is space, without a restart.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t)
	s := serveCare(t, filepath.Join(disk, "data"))
	s.holdUp()
	filler := fill(t, disk)
	add := func(n int) (int, string) {
		return s.ask(http.MethodPost, "/v2/volumes", fmt.Sprintf(`{"name":"v%d","size_gigabytes":1,"region":"nyc3"}`, n))
	}
	n, status, answer := 0, 0, ""
	for status != http.StatusServiceUnavailable && n < 1000 { // until what SQLite has in reserve is used up
		n++
		if status, answer = add(n); status != http.StatusCreated && status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if !strings.Contains(answer, "service_unavailable") || !strings.Contains(answer, "disk is full") {
		t.Errorf("%d %s", status, answer)
	}
	for _, path := range []string{"/v2/droplets", "/v2/volumes", "/v2/actions", "/v2/account"} {
		if status, answer := s.ask(http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, status, answer)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if status, answer := add(n + 1); status != http.StatusCreated {
		t.Errorf("with space again: %d %s", status, answer)
	}
	s.letGo()
	s.until("/v2/droplets", `"status":"active"`)
	s.until("/v2/actions", `"status":"completed"`)
}
