package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/internal/app"
)

func newHealth() *cobra.Command {
	var apiURL string
	var storage app.Storage
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server whether it answers",
		Long: "Asks a server whether it answers, and fails if it does not. It needs no token.\n" +
			"Without --api-url it asks the server of the data folder, or else " + localURL + ".",
		Example: "  cistern health\n  cistern health --api-url https://cloud.example.com",
		Args:    takesNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if apiURL != "" && given(cmd, "data", "database") {
				return errors.New("use --api-url, or --data or --database")
			}
			if apiURL == "" {
				address, err := app.LocalAddress(storage)
				if err != nil && given(cmd, "data", "database") {
					return err
				}
				apiURL = cmp.Or(address.URL, localURL) // an ephemeral server has no folder
			}
			if err := askHealth(cmd.Context(), apiURL); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&apiURL, "api-url", "", "where the server is (default: on this machine)")
	flags.StringVar(&storage.Data, "data", "", "ask the server of this folder (default "+app.DefaultData()+")")
	flags.StringVar(&storage.Database, "database", "", "ask the server of this postgres:// URL")
	return cmd
}

// askHealth waits 5 s at most.
func askHealth(ctx context.Context, apiURL string) error {
	u, err := url.Parse(apiURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("--api-url %s: use a URL such as %s", apiURL, localURL)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	response, err := healthClient(u).Do(request)
	if e, is := errors.AsType[*url.Error](err); is {
		return fmt.Errorf("no answer from %s: %w", apiURL, e.Err)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", request.URL, response.Status)
	}
	return nil
}

// healthClient takes any certificate from this machine itself: nothing secret
// is sent, and the name on a real one is not 127.0.0.1.
func healthClient(u *url.URL) *http.Client {
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: local}}}
}
