package cli

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs a command as a user would and returns what it prints.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main(args, &out, &errs)
	return status, out.String(), errs.String()
}

// flagsOf reads a command's flags and variables without running it.
func flagsOf(t *testing.T, args ...string) (*pflag.FlagSet, error) {
	t.Helper()
	root := newRoot()
	cmd, rest, err := root.Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	return cmd.Flags(), flagsFromEnvironment(cmd)
}

// every visits all commands.
func every(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		every(sub, visit)
	}
}

// Every flag of serve is a variable too, whatever its type.
func TestEveryFlagIsAVariable(t *testing.T) {
	set := map[string]string{}
	serve, _, err := newRoot().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	serve.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "ephemeral" || f.Name == "database" {
			return
		}
		set[f.Name] = "from the environment"
		if f.Value.Type() == "bool" {
			set[f.Name] = "true"
		}
		t.Setenv(environment(f.Name), set[f.Name])
	})
	flags, err := flagsOf(t, "serve")
	if err != nil || len(set) < 10 {
		t.Fatalf("%d flags, %v", len(set), err)
	}
	for name, want := range set {
		if got := strings.Trim(flags.Lookup(name).Value.String(), "[]"); got != want { // a list is in brackets
			t.Errorf("%s sets --%s to %q, want %q", environment(name), name, got, want)
		}
	}
}

func TestFlagsOverruleVariables(t *testing.T) {
	t.Setenv("CISTERN_LISTEN", "127.0.0.1:1")
	t.Setenv("CISTERN_ENGINE", "")
	flags, err := flagsOf(t, "serve", "--listen", "127.0.0.1:2")
	if err != nil || flags.Lookup("listen").Value.String() != "127.0.0.1:2" {
		t.Errorf("--listen is %s, %v", flags.Lookup("listen").Value, err)
	}
	if engine := flags.Lookup("engine").Value.String(); engine != "sim" {
		t.Errorf("an empty variable has set --engine to %q", engine)
	}
}

// Where the state is is said by flags or by variables, never by both: a flag
// overrules whatever variable says it in another way.
func TestStorageFlagsOverruleVariables(t *testing.T) {
	t.Setenv("CISTERN_DATA", "/srv/cistern")
	for flag, want := range map[string]string{"--data=/tmp/here": "/tmp/here", "--ephemeral": "", "--database=postgres://db/c": ""} {
		flags, err := flagsOf(t, "serve", flag)
		if got := flags.Lookup("data").Value.String(); err != nil || got != want {
			t.Errorf("serve %s: --data is %q, %v", flag, got, err)
		}
	}
	t.Setenv("CISTERN_DATABASE", "postgres://db/c")
	flags, err := flagsOf(t, "token", "list")
	if err != nil || flags.Lookup("data").Value.String() == "" || flags.Lookup("database").Value.String() == "" {
		t.Errorf("one of two variables was overlooked: %v", err)
	}
	if status, _, stderr := run(t, "token", "list"); status != 1 || !strings.Contains(stderr, "use one of --data, --ephemeral and --database") {
		t.Errorf("two variables: %d, %s", status, stderr)
	}
}

func TestBadVariableIsToldByName(t *testing.T) {
	t.Setenv("CISTERN_INSECURE_HTTP", "perhaps")
	if status, _, stderr := run(t, "serve"); status != 1 || !strings.HasPrefix(stderr, "cistern: CISTERN_INSECURE_HTTP: ") {
		t.Errorf("%d, %s", status, stderr)
	}
}

// Each command says what it is for and shows how it is used.
func TestEveryCommandHasHelp(t *testing.T) {
	every(newRoot(), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q", cmd.CommandPath(), cmd.Short)
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of its own: %q", cmd.CommandPath(), cmd.Example)
		}
	})
}

// Commands that need the state take the same three flags for where it is, and
// those that ask a server the same four for which.
func TestEveryCommandFindsTheState(t *testing.T) {
	has := func(cmd *cobra.Command, names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return cmd.Flags().Lookup(name) == nil })
	}
	var without []string
	every(newRoot(), func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && !has(cmd, storageFlags...) && !has(cmd, "api-url", "token", "data", "database") {
			without = append(without, cmd.CommandPath())
		}
	})
	if !slices.Equal(without, []string{
		"cistern doctor", "cistern health", "cistern image build", "cistern image import", "cistern image list", "cistern image rm",
		"cistern network clean", "cistern version",
	}) {
		t.Errorf("without the flags: %v", without)
	}
}

// A variable that somebody once set destroys nothing.
func TestVariablesDestroyNothing(t *testing.T) {
	for _, name := range []string{"YES", "WITH", "TAG", "DESTROY", "ALL", "DRY_RUN"} {
		t.Setenv("CISTERN_"+name, "true")
	}
	for _, args := range [][]string{{"droplet", "destroy"}, {"orphans"}, {"sim", "fault", "rm"}} {
		flags, err := flagsOf(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		flags.Visit(func(f *pflag.Flag) { t.Errorf("%v: a variable has set --%s", args, f.Name) })
	}
}

// What users get wrong is told in a sentence, with what would be right.
func TestMistakes(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, test := range []struct {
		args      []string
		complaint string
	}{
		{[]string{"serv"}, `cistern has no command "serv"; did you mean serve? see cistern --help`},
		{[]string{"dance"}, `cistern has no command "dance"; see cistern --help`},
		{[]string{"token", "creat"}, `cistern token has no command "creat"; did you mean create? see cistern token --help`},
		{[]string{"serve", "--bogus"}, "unknown flag: --bogus; see cistern serve --help"},
		{[]string{"serve", "--ephemral"}, "unknown flag: --ephemral; did you mean --ephemeral? See cistern serve --help"},
		{[]string{"serve", "-x"}, "unknown shorthand flag: 'x' in -x; see cistern serve --help"},
		{[]string{"serve", "--data"}, "--data needs a value: folder for the state"},
		{[]string{"serve", "--ephemeral=maybe"}, "--ephemeral maybe: use true or false"},
		{[]string{"serve", "here now"}, `cistern serve takes flags only, so "here now" means nothing to it; a folder is named with --data 'here now'`},
		{[]string{"version", "now"}, `cistern version takes flags only, so "now" means nothing to it`},
		{[]string{"account", "create"}, "cistern account create needs the owner's EMAIL, such as in: cistern account create ann@example.com"},
		{[]string{"account", "create", "a@example.com", "b"}, `"b" is one word too many: cistern account create takes only the owner's EMAIL, such as in: `},
		{[]string{"account", "limits"}, "cistern account limits needs an account's ID, such as in: cistern account limits 1000000 --droplets 5"},
		{[]string{"account", "limits", "ann"}, `"ann" is not an account's number; see cistern account list`},
		{[]string{"account", "limits", "17", "--droplets", "-1"}, "--droplets -1: use a number, 0 or more"},
		{[]string{"token", "revoke"}, "cistern token revoke needs a token's ID, such as in: cistern token revoke 1000001"},
		{[]string{"backup"}, "cistern backup needs the FILE to copy to, such as in: cistern backup cistern-2026-01-31.db"},
		{[]string{"token", "create", "--account", "ann"}, "--account ann: use the number of an account; see cistern account list"},
		{[]string{"audit", "--account", "-1"}, "--account -1: use the number of an account"},
		{[]string{"token", "create", "--expires", "tomorrow"}, "--expires tomorrow: use a duration above 0, such as 24h or 30d"},
		{[]string{"audit", "--since", "0"}, "--since 0: use a duration above 0, such as 24h or 30d"},
		{[]string{"token", "list"}, "there is no Cistern in "},
		{[]string{"account", "list"}, "start one with cistern serve, or name its folder with --data"},
		{[]string{"token", "create", "--ephemeral"}, "an ephemeral server keeps its state to itself, so this cannot reach it"},
		{[]string{"migrate", "--ephemeral"}, "an ephemeral server keeps its state to itself"},
		{[]string{"token", "create", "--scopes", "droplet"}, `--scopes: unknown scope "droplet"; droplet can be followed by :read, :create`},
		{[]string{"token", "create", "--expires", "-1h"}, "--expires -1h: use a duration above 0, such as 24h or 30d"},
		{[]string{"token", "create", "--scopes", "droplets:read"}, `unknown scope "droplets:read"; use full, read, or a list`},
		{[]string{"token", "revoke", "web-1"}, `"web-1" is not a token's number; see cistern token list`},
		{[]string{"token", "list", "--database", "mysql://db"}, "--database takes a URL such as postgres://user@host/name"},
	} {
		status, stdout, stderr := run(t, test.args...)
		if status != 1 || stdout != "" || !strings.HasPrefix(stderr, "cistern: ") || !strings.Contains(stderr, test.complaint) {
			t.Errorf("cistern %s: %d\n%s%s", strings.Join(test.args, " "), status, stdout, stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(t.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("a mistake has made %v, %v", left, err)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"token"}, {"serve", "--help"}} {
		if status, stdout, stderr := run(t, args...); status != 0 || !strings.Contains(stdout, "Usage:") || stderr != "" {
			t.Errorf("cistern %s: %d\n%s%s", strings.Join(args, " "), status, stdout, stderr)
		}
	}
	for _, how := range []string{"version", "--version"} {
		if status, stdout, _ := run(t, how); status != 0 || stdout != "cistern dev\n" {
			t.Errorf("%s: %d, %q", how, status, stdout)
		}
	}
}
