package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newServe() *cobra.Command {
	var c app.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: "Serves the API until it is told to stop (SIGTERM or Ctrl-C). What runs then goes on at the next start.\n" +
			"Every flag can be given as an environment variable too: --sim-latency as CISTERN_SIM_LATENCY.",
		Example: "  cistern serve\n  cistern serve --ephemeral --token dop_v1_test --listen 127.0.0.1:8080",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			collectLessOften()
			return app.Serve(cmd.Context(), c, cmd.ErrOrStderr(), func(s app.Started) {
				welcome(cmd.OutOrStdout(), s, sameStorage(cmd, buildTiny))
			})
		},
	}
	addStorageFlags(cmd, &c.Storage)
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:7480", "address and port to listen on")
	flags.BoolVar(&c.InsecureHTTP, "insecure-http", false, "allow a --listen that other machines reach, unencrypted")
	flags.StringVar(&c.TLS, "tls", "", "auto: encrypt with a certificate that the server makes for itself")
	flags.StringVar(&c.TLSCert, "tls-cert", "", "PEM file of a certificate to encrypt with, and of those that sign it")
	flags.StringVar(&c.TLSKey, "tls-key", "", "PEM file of the certificate's private key")
	flags.StringVar(&c.Engine, "engine", "sim", "what runs the machines: sim for simulated ones, qemu for real ones on this host")
	addHostFlags(flags, &c.Real)
	flags.StringVar(&c.DiskOvercommit, "disk-overcommit", "1", "how many times the disk that there is may be promised to real machines and volumes")
	flags.StringSliceVar(&c.ImportAllow, "import-allow", nil, "range of addresses that images may be fetched from although it is not public; may be repeated")
	flags.StringSliceVar(&c.RegionAliases, "region-alias", nil, "another name for the region of real machines, such as nyc3=local1; may be repeated")
	flags.StringVar(&c.Token, "token", "", "the first account's token, made if it is not there")
	flags.StringVar(&c.PublicURL, "public-url", "", "where clients reach the server, for the links in answers")
	flags.StringVar(&c.Seed, "seed", "", "with --ephemeral: start with what is in a file of cistern state export")
	flags.StringVar(&c.ReadyFile, "ready-file", "", "write URL and token as JSON into this file once the server is ready; removed when it stops")
	flags.StringVar(&c.Catalog, "catalog", "", "JSON file of regions, sizes and images in place of the built-in ones")
	flags.StringVar(&c.RateLimit, "rate-limit", "", "requests that a token may make: N/h,N/m or off (default 5000/h,250/m; off with --ephemeral)")
	flags.StringVar(&c.KeepActions, "keep-actions", "90d", "how long to keep actions and destroys that have ended: a duration such as 90d or 36h, or forever")
	flags.StringVar(&c.SimLatency, "sim-latency", "0", "how long simulated work takes: 0, a duration such as 50ms, or real")
	flags.StringVar(&c.LogFormat, "log-format", "text", "format of the log on standard error: text or json")
	flags.StringVar(&c.LogLevel, "log-level", "info", "what to log: debug, info, warn or error")
	return cmd
}

// addHostFlags adds the flags of real machines that say what they take of the
// host, to commands that take it and to those that only look.
func addHostFlags(flags *pflag.FlagSet, r *app.Real) {
	flags.StringVar(&r.Network, "network", "user", "network of real machines: user, or routed as root")
	flags.StringVar(&r.Accel, "accel", "auto", "how real machines run: auto, kvm or tcg")
	flags.StringVar(&r.VMUser, "vm-user", "", "user that real machines run as where the server is root (default cistern-vm, else nobody)")
	flags.StringVar(&r.VMUIDs, "vm-uids", "", "user IDs that real machines have one each of where the server is root: FIRST-LAST, or off (default 2100000000-2139999999)")
	flags.StringVar(&r.PublicPool, "public-pool", "", "range of real machines' public addresses (default 127.100.0.0/16, or 198.18.0.0/16 with --network routed)")
	flags.StringVar(&r.ReservedPool, "reserved-pool", "", "range of reserved IPs (default 127.101.0.0/16, or 198.19.0.0/16 with --network routed)")
	flags.StringVar(&r.IPv6Pool, "ipv6-pool", "", "with --network routed: prefix of IPv6 addresses (default: none)")
	flags.StringVar(&r.Uplink, "uplink", "", "with --network routed: interface to the world (default: that of the default route)")
}

// garbagePercent is how much a server lets its memory grow between collections.
// What it keeps is small, so Go's own 100 made it collect after every ten long
// lists, which took a quarter of their CPU.
const garbagePercent = 300

// collectLessOften sets it, unless GOGC says otherwise.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// welcome shows where the server is and lines to paste. The token itself is
// shown to a person only: elsewhere it would end up in a log. Build is the
// command that makes a first image for this server.
func welcome(w io.Writer, s app.Started, build string) {
	listens := ""
	if !strings.HasSuffix(s.URL, "//"+s.Listen) { // on all addresses
		listens = ", listening on " + s.Listen
	}
	fmt.Fprintf(w, "Cistern serves on %s (engine %s, %s%s).\n", s.URL, s.Engine, s.Storage, listens)
	token := "TOKEN"
	switch {
	case s.Token != "" && isTerminal(w):
		token = s.Token
	case s.TokenFile != "":
		token = fmt.Sprintf("$(cat %s)", quoted(s.TokenFile))
		fmt.Fprintf(w, "The token is in %s.\n", s.TokenFile)
	default:
		fmt.Fprintln(w, "Its tokens are known to their owners; make one with: cistern token create")
	}
	url := s.URL
	if s.PublicURL != "" {
		url = s.PublicURL
	}
	fmt.Fprintf(w, `%s
  export DIGITALOCEAN_API_URL=%s
  export DIGITALOCEAN_TOKEN=%s

  curl -X POST "$DIGITALOCEAN_API_URL/v2/droplets" \
    -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" -H "Content-Type: application/json" \
    -d '{"name":"web-1","region":"%s","size":"%s","image":"%s"}'

`, trust(w, s), url, token, cmp.Or(s.Region, "nyc3"), cmp.Or(s.Size, "s-1vcpu-1gb"), cmp.Or(s.Image, "debian-12-x64"))
	if s.NoImages {
		fmt.Fprintf(w, "There are no images yet; make one while the server runs: %s\n\n", build)
	}
}

// trust shows what an encrypted server is known by, and returns the line that
// makes clients trust a certificate that nobody else has signed.
func trust(w io.Writer, s app.Started) string {
	if s.Fingerprint != "" {
		fmt.Fprintf(w, "Its certificate's SHA-256 fingerprint is %s.\n", s.Fingerprint)
	}
	if s.Certificate == "" {
		return ""
	}
	return fmt.Sprintf("\n  export SSL_CERT_FILE=%s", quoted(s.Certificate))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
