package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/digitalocean/godo"
	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

const (
	// localURL is where a server listens unless told otherwise.
	localURL     = "http://127.0.0.1:7480"
	digitalOcean = "https://api.digitalocean.com"
)

// clientFlags are the flags of commands that ask a server.
type clientFlags struct {
	url, token string
	storage    app.Storage
}

func addClientFlags(cmd *cobra.Command, f *clientFlags) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "api-url", "", "server to ask (default: DIGITALOCEAN_API_URL, else the one on this machine)")
	flags.StringVar(&f.token, "token", "", "token to ask with (default: DIGITALOCEAN_TOKEN or DIGITALOCEAN_ACCESS_TOKEN, else the data folder's)")
	flags.StringVar(&f.storage.Data, "data", "", "ask the server of this folder, with its token (default "+app.DefaultData()+")")
	flags.StringVar(&f.storage.Database, "database", "", "ask the server of this postgres:// URL, with its token")
	// CISTERN_TOKEN is what a server makes, and could meet another's address.
	notFromEnvironment(cmd, "api-url", "token")
}

// source is where an address and a token were found. Both are always of the
// same source: a token is never sent to an address that it was not given for.
type source struct {
	name, url, token string
	// certificate is the file of the one that a server on this machine shows.
	certificate string
}

// source looks for the server to ask: in the flags, then in the environment
// that DigitalOcean's own tools read, then on this machine.
func (f *clientFlags) source(cmd *cobra.Command) (s source, err error) {
	named, local := given(cmd, "api-url", "token"), given(cmd, "data", "database")
	environment := source{
		name: "the environment", url: os.Getenv("DIGITALOCEAN_API_URL"), token: firstOf("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"),
	}
	switch {
	case named && local:
		return s, errors.New("use --api-url and --token, or --data or --database")
	case named:
		s = source{name: "--api-url and --token", url: f.url, token: f.token}
	case !local && (environment.url != "" || environment.token != ""):
		s = environment
	default:
		s, err = localSource(f.storage)
	}
	if err != nil {
		return s, err
	}
	return s.complete()
}

// localSource is the server on this machine, which has said where it is beside
// the first account's token.
func localSource(storage app.Storage) (s source, err error) {
	s.name = "the data folder"
	if s.token, err = app.LocalToken(storage); err != nil {
		return s, err
	}
	address, err := app.LocalAddress(storage)
	s.url, s.certificate = address.URL, address.Certificate
	return s, err
}

// complete refuses an address without a token. A token without an address is
// for DigitalOcean, as it is to DigitalOcean's tools.
func (s source) complete() (source, error) {
	if s.token == "" {
		return s, fmt.Errorf("%s names a server but has no token for it; use --api-url with --token, or DIGITALOCEAN_API_URL with DIGITALOCEAN_TOKEN", s.name)
	}
	if s.url == "" {
		s.url = digitalOcean
	}
	u, err := url.Parse(s.url)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return s, fmt.Errorf("%q in %s: use a URL such as %s", s.url, s.name, localURL)
	}
	return s, nil
}

// isDigitalOcean reports whether the server is DigitalOcean itself, which has
// nothing of what only Cistern has.
func (s source) isDigitalOcean() bool {
	u, err := url.Parse(s.url)
	return err == nil && strings.HasSuffix("."+strings.ToLower(u.Hostname()), ".digitalocean.com")
}

// client speaks to the server. The token is a header of its own, as net/http
// keeps such from another host that an answer may redirect to.
func (s source) client() (*godo.Client, error) {
	client := &http.Client{}
	if s.certificate != "" {
		client.Transport = pinned(s.certificate)
	}
	return godo.New(client, godo.SetBaseURL(s.url), godo.SetUserAgent("cistern/"+version),
		godo.SetRequestHeaders(map[string]string{"Authorization": "Bearer " + s.token}))
}

// explain adds to an error what can be done about it.
func (s source) explain(err error) error {
	if e, is := errors.AsType[*godo.ErrorResponse](err); is {
		if e.Response.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("%s does not know the token from %s", s.url, s.name)
		}
		return err
	}
	if e, is := errors.AsType[*url.Error](err); is {
		return fmt.Errorf("no answer from %s: %w; %s", s.url, e.Err, hint(e.Err))
	}
	return err
}

// hint is what to do about a server that does not answer.
func hint(err error) string {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return "make its certificate trusted: for one of serve --tls auto, set SSL_CERT_FILE to its tls.crt"
	}
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		return "it may speak http and not https"
	}
	return "start a server with cistern serve, or name another with --api-url and --token"
}

// given reports whether any of the flags is on the command line. Not every command
// has all of them.
func given(cmd *cobra.Command, names ...string) bool {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f == nil {
			continue
		}
		if _, fromElsewhere := f.Annotations[fromEnvironment]; f.Changed && !fromElsewhere {
			return true
		}
	}
	return false
}

// firstOf is the first of the environment variables that is set.
func firstOf(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
