package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"charm.land/bubbles/v2/progress"
	"charm.land/bubbles/v2/spinner"
	tea "charm.land/bubbletea/v2"
)

const barWidth = 32

// draw is watch at a terminal. Ctrl-C ends the work's context.
func (s screen) draw(ctx context.Context, total int, work func(ctx context.Context, tell func(line string)) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &drawn{File: s.out.(*os.File)} // or it would not be a terminal
	program := tea.NewProgram(newProgressModel(total, stop, out), tea.WithInput(s.in), tea.WithOutput(out),
		tea.WithColorProfile(s.profile), tea.WithoutSignalHandler())
	ended := make(chan error, 1)
	go func() {
		err := work(ctx, func(line string) { program.Send(lineMsg(line)) })
		program.Send(endMsg{})
		ended <- err
	}()
	last, err := program.Run()
	stop() // without a screen there is nobody to work for
	for _, line := range last.(progressModel).waiting {
		s.say("%s\n", line)
	}
	return errors.Join(<-ended, err)
}

// drawn is a terminal that knows whether the bar is on it. Lines that are
// printed above the bar before would overwrite what is there.
type drawn struct {
	*os.File
	bar atomic.Bool
}

func (d *drawn) Write(p []byte) (int, error) {
	n, err := d.File.Write(p)
	if bytes.Contains(p, []byte(" of ")) {
		d.bar.Store(true)
	}
	return n, err
}

type (
	lineMsg    string   // something has ended
	printedMsg struct{} // the lines before are on the screen
	endMsg     struct{} // the work has ended
)

// progressModel shows how many things of all have ended. Their lines are
// printed above it, where they stay and scroll like any others.
type progressModel struct {
	spinner     spinner.Model
	bar         progress.Model
	done, total int
	// waiting are lines to print when those before are, so that none is
	// printed out of turn. What waits at the end is left to who drew.
	waiting         []string
	printing, ended bool
	out             *drawn
	stop            context.CancelFunc
}

func newProgressModel(total int, stop context.CancelFunc, out *drawn) progressModel {
	return progressModel{
		spinner: spinner.New(spinner.WithSpinner(spinner.MiniDot)),
		bar:     progress.New(progress.WithWidth(barWidth), progress.WithoutPercentage()),
		total:   total, out: out, stop: stop,
	}
}

func (m progressModel) Init() tea.Cmd { return m.spinner.Tick }

func (m progressModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case lineMsg:
		m.done++
		m.waiting = append(m.waiting, string(msg))
		return m.print()
	case printedMsg:
		m.printing = false
		return m.print()
	case endMsg:
		m.ended = true
		return m.print()
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+c" {
			m.stop()
		}
		return m, nil
	case spinner.TickMsg:
		var next tea.Cmd
		m.spinner, next = m.spinner.Update(msg)
		shown, print := m.print()
		return shown, tea.Batch(next, print)
	}
	return m, nil
}

// print prints the lines that wait, and ends after the last.
func (m progressModel) print() (tea.Model, tea.Cmd) {
	switch {
	case m.printing:
		return m, nil
	case len(m.waiting) > 0 && m.out.bar.Load():
		lines := strings.Join(m.waiting, "\n")
		m.waiting, m.printing = nil, true
		return m, tea.Sequence(tea.Println(lines), func() tea.Msg { return printedMsg{} })
	case m.ended:
		return m, tea.Quit
	}
	return m, nil
}

func (m progressModel) View() tea.View {
	if m.ended {
		return tea.NewView("")
	}
	done := min(m.done, m.total)
	return tea.NewView(fmt.Sprintf("%s %s %d of %d", m.spinner.View(), m.bar.ViewAs(float64(done)/float64(max(m.total, 1))), done, m.total))
}
