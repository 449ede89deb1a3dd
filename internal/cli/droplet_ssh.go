package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

const (
	// connectTime is how long one attempt to reach a Droplet's ssh may take.
	connectTime = 5 * time.Second
	// betweenAttempts is the time from one attempt to the next.
	betweenAttempts = 500 * time.Millisecond
	// sshFailed is ssh's exit status where it did not get in, or was cut off.
	sshFailed = 255
)

// dropletSSH is cistern droplet ssh.
type dropletSSH struct {
	flags      clientFlags
	key, login string
	wait       time.Duration
	port       int // where it was found
}

func newDropletSSH() *cobra.Command {
	var s dropletSSH
	cmd := &cobra.Command{
		Use:   "ssh {NAME | ID} [-- COMMAND...]",
		Short: "Log in to a Droplet, or run a command on it",
		Long: "Runs this system's ssh for a Droplet, with host keys in a file of their own. Its exit status is the command's.\n" +
			"A Droplet that is still being created, or whose ssh does not answer yet, is waited for.",
		Example: "  cistern droplet ssh web-1\n  cistern droplet ssh web-1 -i ~/.ssh/id_ed25519 -- uptime",
		Args:    sshArgs,
		RunE:    s.run,
	}
	addClientFlags(cmd, &s.flags)
	flags := cmd.Flags()
	flags.StringVarP(&s.key, "identity", "i", "", "file of the private key to log in with (default: ssh's own)")
	flags.StringVarP(&s.login, "login", "l", "", "user to log in as (default root)")
	flags.DurationVar(&s.wait, "wait", 3*time.Minute, "how long to wait until the Droplet answers")
	notFromEnvironment(cmd, "identity", "login", "wait")
	return cmd
}

// sshArgs wants the command behind two dashes, so that its flags are its own.
func sshArgs(cmd *cobra.Command, args []string) error {
	before := cmd.ArgsLenAtDash()
	if before < 0 {
		before = len(args)
	}
	if before == 1 {
		return nil
	}
	example := cmd.CommandPath() + " web-1 -- uptime"
	if before == 0 {
		return fmt.Errorf("%s needs a Droplet's name or ID, such as in: %s", cmd.CommandPath(), example)
	}
	return fmt.Errorf("%s takes the command to run after two dashes, such as in: %s", cmd.CommandPath(), example)
}

func (s *dropletSSH) run(cmd *cobra.Command, args []string) error {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return errors.New("there is no ssh on this machine; install it, on Debian with: apt install openssh-client")
	}
	r, err := s.flags.reach(cmd, args[0])
	if err != nil {
		return err
	}
	address, user, err := s.answering(cmd, r)
	if err != nil {
		return err
	}
	if s.login != "" {
		user = s.login
	}
	options, err := s.options(cmd.Context(), r)
	if err != nil {
		return err
	}
	options = append(options, "-l", user, "--", address)
	err = runSSH(cmd, program, append(options, args[1:]...))
	if err != nil && statusOf(err) == sshFailed && s.key == "" && readsTerminal(cmd.InOrStdin()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "If %s was made without SSH keys, its root password is shown once, with: %s\n", r.name(), passwordOf(cmd, r.droplet))
	}
	return err
}

// answering waits until a Droplet's ssh answers, and returns where.
func (s *dropletSSH) answering(cmd *cobra.Command, r reach) (address, user string, err error) {
	ctx := cmd.Context()
	deadline := time.Now().Add(s.wait)
	told := !isTerminal(cmd.ErrOrStderr())
	for {
		address, user, err = s.attempt(ctx, r)
		waiting, is := errors.AsType[*notYet](err)
		if !is {
			return address, user, err
		}
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if time.Now().After(deadline) {
			return "", "", fmt.Errorf("%s; waited %s for it", waiting.text, s.wait)
		}
		if !told {
			fmt.Fprintf(cmd.ErrOrStderr(), "Waiting for %s: %s.\n", r.name(), waiting.text)
			told = true
		}
		select {
		case <-ctx.Done():
			return "", "", ctx.Err()
		case <-time.After(betweenAttempts):
		}
		if droplet, _, err := r.api.Droplets.Get(ctx, r.droplet.ID); err == nil {
			r.droplet = *droplet
		}
	}
}

// notYet is why a Droplet does not answer, as long as that may change.
type notYet struct{ text string }

func (e *notYet) Error() string { return e.text }

// attempt looks once whether the Droplet's ssh answers.
func (s *dropletSSH) attempt(ctx context.Context, r reach) (address, user string, err error) {
	switch r.droplet.Status {
	case "new":
		return "", "", &notYet{"it is still being created"}
	case "off":
		return "", "", fmt.Errorf("%s is off; power it on first, with: doctl compute droplet-action power-on %d", r.name(), r.droplet.ID)
	}
	a, err := r.access(ctx, false)
	if err != nil {
		return "", "", err
	}
	if a.Address == nil || a.Port == nil {
		return "", "", &notYet{fmt.Sprintf("nothing leads to port 22 of %s: it has no public network, or its firewall closes it", r.name())}
	}
	if err := r.elsewhere(*a.Address); err != nil {
		return "", "", err
	}
	s.port = *a.Port
	return *a.Address, a.User, greets(ctx, *a.Address, s.port)
}

// greets looks whether an SSH server answers: a port may be open before.
func greets(ctx context.Context, address string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	at := net.JoinHostPort(address, strconv.Itoa(port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return &notYet{fmt.Sprintf("ssh does not answer at %s", at)}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	greeting, err := bufio.NewReader(conn).Peek(len("SSH-"))
	if err != nil || string(greeting) != "SSH-" {
		return &notYet{fmt.Sprintf("ssh does not answer at %s", at)}
	}
	return nil
}

// options are those that every connection to the Droplet is made with.
func (s *dropletSSH) options(ctx context.Context, r reach) ([]string, error) {
	folder := app.DefaultData()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "known_hosts-"+fileName(strings.TrimPrefix(strings.TrimPrefix(r.url, "http://"), "https://")))
	options := []string{
		"-p", strconv.Itoa(s.port),
		"-o", "ConnectTimeout=" + strconv.Itoa(int(connectTime/time.Second)),
		"-o", `UserKnownHostsFile="` + strings.ReplaceAll(file, "%", "%%") + `"`,
		"-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "HostKeyAlias=" + hostKeyAlias(r.droplet, r.lastReplaced(ctx)),
		"-o", "StrictHostKeyChecking=accept-new",
		"-o", "CheckHostIP=no",
		"-o", "LogLevel=ERROR",
	}
	if s.key != "" {
		options = append(options, "-i", s.key)
	}
	return options, nil
}

// hostKeyAlias is what a Droplet's host keys are known by. Addresses go from one
// Droplet to the next, and a rebuild makes new keys; so it is the Droplet with
// its creation, and what has replaced its disk.
func hostKeyAlias(d godo.Droplet, replaced int) string {
	alias := fmt.Sprintf("droplet-%d-%s", d.ID, fileName(d.Created))
	if replaced != 0 {
		alias += fmt.Sprintf("-%d", replaced)
	}
	return alias
}

// lastReplaced is the last action that has given the Droplet another disk; 0 is
// none, or that the token may not know.
func (r reach) lastReplaced(ctx context.Context) (id int) {
	actions, _, err := r.api.Droplets.Actions(ctx, r.droplet.ID, &godo.ListOptions{PerPage: 200})
	if err != nil {
		return 0
	}
	for _, a := range actions {
		if a.Type == "rebuild" || a.Type == "restore" {
			id = max(id, a.ID)
		}
	}
	return id
}

// fileName makes text a part of a file's name.
func fileName(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' {
			return c
		}
		return '_'
	}, text)
}

// runSSH runs ssh in the place of this command: it has the terminal, and its
// exit status is ours.
func runSSH(cmd *cobra.Command, program string, arguments []string) error {
	ssh := exec.CommandContext(cmd.Context(), program, arguments...)
	ssh.Stdin, ssh.Stdout, ssh.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	ssh.Cancel = func() error { return ssh.Process.Signal(syscall.SIGTERM) }
	err := ssh.Run()
	exit, is := errors.AsType[*exec.ExitError](err)
	if !is {
		return err
	}
	status := exit.ExitCode()
	if signal, ok := exit.Sys().(syscall.WaitStatus); ok && signal.Signaled() {
		status = 128 + int(signal.Signal())
	}
	return exitWith(status, "") // it has said itself what went wrong
}
