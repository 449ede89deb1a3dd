package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/term"
)

// A person sees the token itself.
func TestWelcomeShowsTheTokenToAPerson(t *testing.T) {
	terminal, screen := openTerminal(t)
	welcome(terminal, fresh, buildTiny)
	text := screen()
	for _, line := range []string{
		"Cistern serves on http://127.0.0.1:7480 (engine sim, data in /srv/my state).",
		"  export DIGITALOCEAN_API_URL=http://127.0.0.1:7480",
		"  export DIGITALOCEAN_TOKEN=dop_v1_secret",
		`  curl -X POST "$DIGITALOCEAN_API_URL/v2/droplets" \`,
	} {
		if !strings.Contains(text, line+"\r\n") {
			t.Errorf("the screen has no line %q:\n%s", line, text)
		}
	}
}

// openTerminal opens a pseudo-terminal, and returns it with a function that
// reads what was shown on it. Without one the test is skipped.
func openTerminal(t *testing.T) (terminal *os.File, screen func() string) {
	t.Helper()
	terminal, keyboard := openKeyboard(t)
	return terminal, func() string {
		fmt.Fprint(terminal, "\x04")
		var shown strings.Builder
		buffer := make([]byte, 1024)
		for end := time.Now().Add(10 * time.Second); !strings.Contains(shown.String(), "\x04"); {
			n, err := keyboard.Read(buffer)
			if err != nil || time.Now().After(end) {
				t.Fatalf("read the terminal: %v", err)
			}
			shown.Write(buffer[:n])
		}
		return shown.String()
	}
}

func control(t *testing.T, f *os.File, request uintptr, value *int32) {
	t.Helper()
	_, _, code := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(value)))
	if code != 0 {
		t.Fatalf("ioctl: %v", code)
	}
}

// openKeyboard opens a pseudo-terminal, and returns it with the other end:
// where its keys are pressed and its screen is read.
func openKeyboard(t *testing.T) (terminal, keyboard *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	var number, unlock int32
	control(t, keyboard, syscall.TIOCSPTLCK, &unlock)
	control(t, keyboard, syscall.TIOCGPTN, &number)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, keyboard
}

// firstWrite tells when something is written.
type firstWrite struct {
	strings.Builder
	once  sync.Once
	wrote chan struct{}
}

func (w *firstWrite) Write(p []byte) (int, error) {
	defer w.once.Do(func() { close(w.wrote) })
	return w.Builder.Write(p)
}

// At a terminal every key goes to the console but the one that leaves it, and the
// terminal is what it was afterwards.
func TestConsoleCommandAtATerminal(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(keyboard io.Writer, machine net.Conn)
		says string
	}{
		"left with a key": {func(keyboard io.Writer, _ net.Conn) { fmt.Fprint(keyboard, "\x1dnot sent") }, ""},
		"the machine ends": {
			func(_ io.Writer, machine net.Conn) { machine.Close() },
			"\r\nThe console has ended: the machine or the server stopped, or somebody else joined.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachines(t)
			terminal, keyboard := openKeyboard(t)
			before, err := term.GetState(int(terminal.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			const keys = "ls\r\x03\x04"
			errs := &firstWrite{wrote: make(chan struct{})}
			m.console = func(conn net.Conn) {
				<-errs.wrote // until then keys mean what they mean to a shell
				fmt.Fprint(keyboard, keys)
				got := make([]byte, len(keys))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != keys {
					t.Errorf("the machine got %q, %v", got, err)
				}
				test.end(keyboard, conn)
				if rest, _ := io.ReadAll(conn); len(rest) > 0 {
					t.Errorf("the machine got %q", rest)
				}
			}
			status := execute(t.Context(), []string{"droplet", "console", "web", "--api-url", m.url, "--token", "t"}, terminal, io.Discard, errs)
			if status != 0 || errs.String() != "This is the console of web. Press Return if it is silent; leave with Ctrl-].\r\n"+test.says+"\r\n" {
				t.Errorf("%d, %q", status, errs.String())
			}
			if after, err := term.GetState(int(terminal.Fd())); err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("the terminal is another: %v", err)
			}
		})
	}
}

// Who did not get in is told where there may be a password; scripts are not.
func TestSSHCommandTellsOfThePassword(t *testing.T) {
	m := newMachines(t)
	m.listens("SSH-2.0-test\r\n")
	fakeSSH(t, "exit 255")
	terminal, _ := openKeyboard(t)
	status, _, errs := m.runWith(terminal, "droplet", "ssh", "web")
	if want := "If web was made without SSH keys, its root password is shown once, with: cistern droplet access web --api-url " + m.url; status != 255 || !strings.Contains(errs, want) {
		t.Errorf("%d, %q", status, errs)
	}
	if status, _, errs := m.runWith(nil, "droplet", "ssh", "web"); status != 255 || errs != "" {
		t.Errorf("%d, %q", status, errs)
	}
	fakeSSH(t, "exit 7")
	if status, _, errs := m.runWith(terminal, "droplet", "ssh", "web"); status != 7 || errs != "" {
		t.Errorf("%d, %q", status, errs)
	}
}

// A picture would make a mess of a terminal.
func TestScreenshotCommandAtATerminal(t *testing.T) {
	m := newMachines(t)
	terminal, _ := openKeyboard(t)
	var errs strings.Builder
	status := execute(t.Context(), []string{"droplet", "screenshot", "web", "-o", "-", "--api-url", m.url, "--token", "t"}, strings.NewReader(""), terminal, &errs)
	if status != 1 || !strings.Contains(errs.String(), "a picture is nothing for a terminal; name a file with -o FILE.png, or lead it elsewhere") {
		t.Errorf("%d, %q", status, errs.String())
	}
}
