package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/logtest"
)

// The longest that a server may take to answer after its start and to end
// after SIGTERM. The first is generous, for machines that do much else.
const (
	startLimit = 60 * time.Second
	stopLimit  = 10 * time.Second
)

var (
	servesOn  = regexp.MustCompile(`(?m)^Cistern serves on (\S+) `)
	tokenIsIn = regexp.MustCompile(`(?m)^The token is in (.+)\.$`)
)

// server is a process of the binary that serves.
type server struct {
	cmd            *exec.Cmd
	url            string
	stdout, stderr logtest.Buffer
	// exited is closed when the process has ended, with err set.
	exited chan struct{}
	err    error
}

// launch starts a server without waiting until it answers.
func launch(dir string, env []string, args ...string) (*server, error) {
	return launchAs(nil, dir, env, args...)
}

// launchAs is launch as another user, unless that is nil.
func launchAs(user *syscall.Credential, dir string, env []string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(binary, append([]string{"serve"}, args...)...), exited: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env, s.cmd.SysProcAttr = dir, env, &syscall.SysProcAttr{Credential: user}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// start starts a server and waits until it answers.
func start(dir string, env []string, args ...string) (*server, error) {
	return startAs(nil, dir, env, args...)
}

func startAs(user *syscall.Credential, dir string, env []string, args ...string) (*server, error) {
	s, err := launchAs(user, dir, env, args...)
	if err != nil {
		return nil, err
	}
	if err := s.ready(); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *server) ready() error {
	return poll(startLimit, "the server to be ready", func() (bool, error) {
		select {
		case <-s.exited:
			return false, fmt.Errorf("the server ended: %w\n%s", s.err, s.stderr.String())
		default:
		}
		found := servesOn.FindStringSubmatch(s.stdout.String())
		// The lines to paste come last, so that all of it has been said by then.
		if found == nil || !strings.Contains(s.stdout.String(), `"image":"`) {
			return false, nil
		}
		s.url = found[1]
		res, err := http.Get(s.url + "/healthz")
		if err != nil {
			return false, err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return false, fmt.Errorf("/healthz answers %s", res.Status)
		}
		return true, nil
	})
}

// tokenFile is where the server says that its token is, or empty.
func (s *server) tokenFile() string {
	if found := tokenIsIn.FindStringSubmatch(s.stdout.String()); found != nil {
		return found[1]
	}
	return ""
}

// terminate sends SIGTERM and expects an orderly end in time.
func (s *server) terminate() error {
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(2 * stopLimit):
		s.kill()
		return fmt.Errorf("the server did not end after SIGTERM\n%s", s.stderr.String())
	}
	if took := time.Since(began); took > stopLimit {
		return fmt.Errorf("the server took %s to end, more than %s", took, stopLimit)
	}
	if s.err != nil {
		return fmt.Errorf("the server ended: %w\n%s", s.err, s.stderr.String())
	}
	return s.complaints()
}

// kill ends the process as a power failure would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.exited
}

// complaints is what a server must never log.
func (s *server) complaints() error {
	for _, bad := range []string{"panic", "level=ERROR"} {
		if strings.Contains(s.stderr.String(), bad) {
			return fmt.Errorf("the server logged %q:\n%s", bad, s.stderr.String())
		}
	}
	return nil
}

// errLate is that something did not come true in time.
var errLate = errors.New("waited too long")

// poll asks until the answer is yes or an error, at most for the limit.
func poll(limit time.Duration, what string, done func() (bool, error)) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w for %s (%s)", errLate, what, limit)
}
