package cli

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A person sees the token itself.
func TestWelcomeShowsTheTokenToAPerson(t *testing.T) {
	terminal, screen := openTerminal(t)
	welcome(terminal, fresh)
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
