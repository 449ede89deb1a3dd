package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	var apiURL string
	cmd := &cobra.Command{
		Use:     "health",
		Short:   "Ask a server whether it answers",
		Long:    "Asks a server whether it answers, and fails if it does not. It needs no token.",
		Example: "  cistern health\n  cistern health --api-url https://cloud.example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := askHealth(cmd.Context(), apiURL); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		},
	}
	cmd.Flags().StringVar(&apiURL, "api-url", "http://127.0.0.1:7480", "where the server is")
	return cmd
}

// askHealth waits 5 s at most.
func askHealth(ctx context.Context, apiURL string) error {
	u, err := url.Parse(apiURL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("--api-url %s: use a URL such as http://127.0.0.1:7480", apiURL)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	response, err := healthClient(u).Do(request)
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
