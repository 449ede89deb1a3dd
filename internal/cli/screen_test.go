//go:build unix

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/cistern-cloud/cistern/cisterntest"
)

// sitting is somebody at a terminal who runs one command.
type sitting struct {
	*desk
	keyboard, tty *os.File
	lock          sync.Mutex
	raw           bytes.Buffer  // all that was written
	fresh         chan struct{} // something was shown
	stop          context.CancelFunc
	status        chan int
}

// sit runs a command at a terminal. Standard output is the terminal too, unless
// there is another.
func (d *desk) sit(line string, stdout ...io.Writer) *sitting {
	d.Helper()
	if raceDetector {
		// muesli/cancelreader closes what its own reader still looks at. It does no harm, and hides what is ours.
		d.Skip("not applicable: what reads the keyboard races with its own end; make test runs this without the detector")
	}
	keyboard, tty, err := pty.Open()
	if err != nil {
		d.Skipf("pseudo-terminals: %v", err)
	}
	d.must(pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 120}))
	ctx, stop := context.WithCancel(d.Context())
	s := &sitting{
		desk: d, keyboard: keyboard, tty: tty, stop: stop, fresh: make(chan struct{}, 1), status: make(chan int, 1),
	}
	d.Cleanup(stop)
	keepOpen(keyboard, tty)
	go s.read()
	go func() { s.status <- execute(ctx, d.arguments(line), tty, append(stdout, tty)[0], tty) }()
	return s
}

// terminals stay open as long as the tests run: what reads the keyboard for a
// command goes on for a moment after it, and would meet the close.
var terminals struct {
	lock sync.Mutex
	open []*os.File
}

func keepOpen(files ...*os.File) {
	terminals.lock.Lock()
	defer terminals.lock.Unlock()
	terminals.open = append(terminals.open, files...)
}

// read shows what the command writes.
func (s *sitting) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.keyboard.Read(buffer)
		s.lock.Lock()
		s.raw.Write(buffer[:n])
		s.lock.Unlock()
		select {
		case s.fresh <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// keyboardModes are what newer terminals understand, and what the emulator takes
// for a move of the cursor.
var keyboardModes = regexp.MustCompile(`\x1b\[[<>=?][0-9;]*u`)

// text is what is on the screen.
func (s *sitting) text() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	terminal := vt10x.New(vt10x.WithSize(120, 40))
	if _, err := terminal.Write(keyboardModes.ReplaceAll(s.raw.Bytes(), nil)); err != nil {
		s.Error(err)
	}
	lines := strings.Split(terminal.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// sees waits until the screen has all texts.
func (s *sitting) sees(texts ...string) {
	s.Helper()
	late := time.After(30 * time.Second)
	for {
		screen, missing := s.text(), ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-s.fresh:
		case <-late:
			s.Fatalf("the screen has no %q:\n%s", missing, screen)
		}
	}
}

// types presses keys, one after the other, as people do.
func (s *sitting) types(keys ...string) {
	s.Helper()
	for _, key := range keys {
		if _, err := s.keyboard.WriteString(key); err != nil {
			s.Fatal(err)
		}
	}
}

const (
	enter, escape, down, ctrlC = "\r", "\x1b", "\x1b[B", "\x03"
)

// ends waits until the command has ended.
func (s *sitting) ends(status int) {
	s.Helper()
	select {
	case got := <-s.status:
		if got != status {
			s.Fatalf("it ended with %d, want %d:\n%s", got, status, s.text())
		}
	case <-time.After(30 * time.Second):
		s.Fatalf("it does not end:\n%s", s.text())
	}
}

// Everything is chosen, the name is typed, a volume fails, and is tried again.
func TestDropletDestroyAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	d.srv.Fail("volume.delete", cisterntest.Fault{Error: "disk is on fire", Times: 1})
	s := d.sit("droplet destroy web")
	s.sees("Keeping all of it costs $14.14 a month.", "What goes with Droplet web?", "On "+d.srv.URL+", account ",
		"> [ ] volume snapshot  web-copy      $0.00", "  [ ] reserved IP      198.", "space choose", "a all")
	s.types("a")
	s.sees("> [x] volume snapshot", "  [x] volume           web-data      $10.00", "  [x] reserved IP", "a none")
	s.types(enter)
	s.sees("Type web to destroy Droplet web and 4 resources", "  volume web-data", "On "+d.srv.URL, "This cannot be undone.")
	s.types("wed", enter)
	s.sees("that is not web; Escape gives up")
	d.wantLeft("1 1 2 1")
	s.types("\x7f", "b", enter)
	s.sees("✗ volume web-data: disk is on fire", "✓ snapshot web-monday is gone", "✓ Droplet web is gone", "1 of 5 could not be destroyed. Try again on http://127.0.0.1:", ", account ")
	d.wantLeft("0 1 0 0")
	s.types("y")
	s.sees("✓ volume web-data is gone", "Droplet web and 4 resources are gone.")
	s.ends(0)
	if n := strings.Count(s.text(), "✓ Droplet web is gone"); n != 1 {
		t.Errorf("told %d times of the Droplet:\n%s", n, s.text())
	}
	d.wantLeft("0 0 0 0")
}

func TestDropletDestroySomeAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	s := d.sit("droplet destroy web")
	s.sees("> [ ] volume snapshot")
	s.types(down, " ")
	s.sees("> [x] volume           web-data")
	s.types(enter)
	s.sees("Type web to destroy Droplet web and 1 resource")
	s.types("web", enter)
	s.ends(0)
	s.sees("Droplet web and 1 resource are gone.")
	d.wantLeft("0 0 2 1")
}

// Several Droplets are confirmed by their number.
func TestDropletsDestroyAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web-1", true, "staging")
	d.droplet("web-2", false, "staging")
	s := d.sit("droplet destroy --tag staging --with volumes")
	s.sees("Type 2 to destroy 2 Droplets and 1 resource", "  volume web-1-data")
	s.types("web-1", enter)
	s.sees("that is not 2;")
	s.types("\x7f\x7f\x7f\x7f\x7f", "2", enter)
	s.sees("✓ web-1: volume web-1-data is gone", "2 Droplets and 1 resource are gone.")
	s.ends(0)
	d.wantLeft("0 0 2 1")
}

// Who gives up has destroyed nothing.
func TestDropletDestroyGivenUp(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	for name, keys := range map[string][]string{"Ctrl-C": {ctrlC}, "Escape": {escape}} {
		t.Run("at the list with "+name, func(t *testing.T) {
			d := *d
			d.T = t
			s := d.sit("droplet destroy web")
			s.sees("What goes with Droplet web?")
			s.types(keys...)
			s.ends(130)
			s.sees("cistern: interrupted; nothing was done")
		})
		t.Run("at the name with "+name, func(t *testing.T) {
			d := *d
			d.T = t
			s := d.sit("droplet destroy web --with all")
			s.sees("Type web to destroy")
			s.types("web")
			s.types(keys...)
			s.ends(130)
		})
	}
	s := d.sit("droplet destroy web")
	s.sees("What goes with Droplet web?")
	s.stop() // SIGTERM
	s.ends(130)
	d.wantLeft("1 1 2 1")
}

// The server goes on with what Ctrl-C leaves, and the command says how to follow.
func TestDropletDestroyInterrupted(t *testing.T) {
	d := newDesk(t)
	id := d.droplet("web", true)
	d.srv.Fail("volume.delete", cisterntest.Fault{Delay: time.Hour})
	s := d.sit("droplet destroy web --with all --yes")
	s.sees("✓ volume snapshot web-copy is gone", " 1 of 5")
	s.types(ctrlC)
	s.ends(130)
	s.sees("cistern: interrupted; the server goes on with the destroy; follow it with:", fmt.Sprintf("  cistern droplet destroy-status %d --wait", id))
	d.want("sim clock advance 2h", 0)
	again := d.sit(fmt.Sprintf("droplet destroy-status %d --wait", id))
	again.ends(0)
	d.wantLeft("0 0 0 0")
}

var colour = regexp.MustCompile(`\x1b\[[0-9;]*[349][0-9][0-9;]*m`)

// NO_COLOR takes the colours and nothing else.
func TestColours(t *testing.T) {
	for _, no := range []string{"", "1"} {
		t.Run("NO_COLOR="+no, func(t *testing.T) {
			d := newDesk(t)
			t.Setenv("NO_COLOR", no)
			d.droplet("web", true)
			s := d.sit("droplet destroy web")
			s.sees("> [ ] volume snapshot")
			s.types("a", enter)
			s.sees("Type web to destroy")
			s.types("web", enter)
			s.ends(0)
			s.lock.Lock()
			defer s.lock.Unlock()
			if found := colour.FindString(s.raw.String()); (found == "") != (no != "") {
				t.Errorf("colours: %q", found)
			}
		})
	}
}

// Standard output has one JSON document, and the questions are at the terminal.
func TestJSONAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	var stdout bytes.Buffer
	s := d.sit("droplet destroy web -o json", &stdout)
	s.sees("What goes with Droplet web?")
	s.types(enter)
	s.sees("Type web to destroy Droplet web and nothing else", "What is kept costs $14.14 a month.")
	s.types("web", enter)
	s.ends(0)
	var document destroyDocument
	if err := json.Unmarshal(stdout.Bytes(), &document); err != nil || document.Droplets[0].DestroyedAt == nil || document.Droplets[0].Resources[0].Destroy {
		t.Errorf("%v in %s", err, stdout.String())
	}
	d.wantLeft("0 1 2 1")
}

func TestOrphansAtATerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", true)
	d.want("droplet destroy web --with none --yes", 0)
	s := d.sit("orphans --destroy")
	s.sees("What of it goes?", "On "+d.srv.URL+", account ", "> [ ] volume       web-data")
	s.types("a", enter)
	s.sees("Type 3 to destroy 3 resources", "This cannot be undone.")
	s.types("3", enter)
	s.sees("3 resources are gone.")
	s.ends(0)
	d.wantLeft("0 0 1 0")
	s = d.sit("orphans --destroy")
	s.sees("> [ ] volume snapshot  web-copy")
	s.types(enter)
	s.ends(0) // nothing was chosen
	d.wantLeft("0 0 1 0")
}

// A terminal that cannot be drawn on is not asked at.
func TestDumbTerminal(t *testing.T) {
	d := newDesk(t)
	d.droplet("web", false)
	t.Setenv("TERM", "dumb")
	s := d.sit("droplet destroy web")
	s.ends(1)
	s.sees("there is no terminal to ask at")
}
