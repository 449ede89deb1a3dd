package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// leaveKey is Ctrl-], which leaves a console.
const leaveKey = 0x1d

func newDropletConsole() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "console {NAME | ID}",
		Short: "Join a Droplet's serial console",
		Long: "Joins a Droplet's serial console, as if its keyboard and screen were here. Ctrl-] leaves it; the Droplet runs on.\n" +
			"Whoever joins last has it. Without a terminal, what is read goes there and what comes is written.",
		Example: "  cistern droplet console web-1",
		Args:    takes("a Droplet's name or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.reach(cmd, args[0])
			if err != nil {
				return err
			}
			console, err := r.console(cmd.Context())
			if err != nil {
				return err
			}
			defer console.Close()
			return attend(cmd, r, console)
		},
	}
	addClientFlags(cmd, &flags)
	return cmd
}

// console joins the Droplet's console.
func (r reach) console(ctx context.Context) (io.ReadWriteCloser, error) {
	request, err := r.request(ctx, "console")
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "cistern-console")
	response, err := (&http.Client{Transport: onlyHTTP1(r.source)}).Do(request)
	if err != nil {
		return nil, r.explain(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		defer response.Body.Close()
		if err := godo.CheckResponse(response); err != nil {
			return nil, r.unreachable(err)
		}
		return nil, fmt.Errorf("%s has answered %s where a console was asked for", r.url, response.Status)
	}
	console, is := response.Body.(io.ReadWriteCloser)
	if !is {
		response.Body.Close()
		return nil, errors.New("the connection cannot be written to")
	}
	return console, nil
}

// onlyHTTP1 is how to reach a server for a connection that is taken over: HTTP/2
// has none.
func onlyHTTP1(s source) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if s.certificate != "" {
		transport = pinned(s.certificate).(*http.Transport)
	}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	return transport
}

// attend leads the keyboard to a console and the console to the screen until
// either ends.
func attend(cmd *cobra.Command, r reach, console io.ReadWriteCloser) error {
	keyboard, restore, err := rawKeyboard(cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer restore()
	if keyboard {
		fmt.Fprintf(cmd.ErrOrStderr(), "This is the console of %s. Press Return if it is silent; leave with Ctrl-].\r\n", r.name())
		defer fmt.Fprint(cmd.ErrOrStderr(), "\r\n")
	}
	over := make(chan error, 2)
	go func() {
		_, err := io.Copy(cmd.OutOrStdout(), console)
		if keyboard && err == nil {
			fmt.Fprint(cmd.ErrOrStderr(), "\r\nThe console has ended: the machine or the server stopped, or somebody else joined.")
		}
		over <- err
	}()
	go func() {
		if typed(console, cmd.InOrStdin(), keyboard) {
			over <- nil
		} // else what comes is still of interest when there is no more to send
	}()
	select {
	case <-cmd.Context().Done():
		return nil // by a signal, which is how a console without a keyboard is left
	case err := <-over:
		return err
	}
}

// typed sends what is typed, and reports whether the console was left. At a
// keyboard a key does so, or its end.
func typed(to io.Writer, from io.Reader, keyboard bool) (left bool) {
	buffer := make([]byte, 1024)
	for {
		n, err := from.Read(buffer)
		text := buffer[:n]
		if keyboard {
			text, _, left = bytes.Cut(text, []byte{leaveKey})
		}
		if _, wrong := to.Write(text); wrong != nil || left {
			return left
		}
		if err != nil {
			return keyboard
		}
	}
}

// rawKeyboard lets every key through to who reads it, if there is a terminal,
// and returns what makes the terminal what it was.
func rawKeyboard(in io.Reader) (is bool, restore func(), err error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false, func() {}, nil
	}
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return false, nil, fmt.Errorf("take over the terminal: %w", err)
	}
	return true, func() { _ = term.Restore(int(f.Fd()), before) }, nil
}
