package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to make and drop a schema
)

const token = "dop_v1_bench"

// storage is a place for one server's state, empty at first.
type storage struct {
	dir string // a data folder, or
	url string // a PostgreSQL schema
}

// newStorage makes a place and says how to remove it.
func (b *bench) newStorage() (storage, func(), error) {
	if b.kind == "sqlite" {
		dir, err := os.MkdirTemp("", "cistern-bench-")
		return storage{dir: dir}, func() { _ = os.RemoveAll(dir) }, err
	}
	admin, err := sql.Open("pgx", b.postgres)
	if err != nil {
		return storage{}, nil, err
	}
	schema := fmt.Sprintf("bench_%d", time.Now().UnixNano())
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		return storage{}, nil, err
	}
	u, err := url.Parse(b.postgres)
	if err != nil {
		return storage{}, nil, err
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return storage{url: u.String()}, func() {
		_, _ = admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		admin.Close()
	}, nil
}

func (s storage) flags() []string {
	if s.url != "" {
		return []string{"--database", s.url}
	}
	return []string{"--data", s.dir}
}

// server is a running binary.
type server struct {
	cmd   *exec.Cmd
	url   string
	first time.Duration // from its start to its first answer
}

// start starts the binary and waits for its first answer.
func (b *bench) start(s storage, flags ...string) (*server, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--token", token, "--rate-limit", "off", "--log-level", "error"}, s.flags()...)
	cmd := exec.Command(b.binary, append(args, flags...)...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+os.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	srv := &server{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), srv.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "http://") {
			srv.url = word
		}
	}
	if _, err := srv.get("/v2/account"); err != nil {
		return nil, errors.Join(err, srv.stop())
	}
	srv.first = time.Since(began)
	return srv, nil
}

func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	return s.cmd.Wait()
}

// memory is the resident set of the process, in MiB.
func (s *server) memory() float64 {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

func (s *server) get(path string) ([]byte, error) { return s.do(http.MethodGet, path, "") }

func (s *server) do(method, path, body string) ([]byte, error) {
	return request(http.DefaultClient, method, s.url+path, body)
}

func request(client *http.Client, method, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Dangerous", "true")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, answer)
	}
	return answer, err
}
