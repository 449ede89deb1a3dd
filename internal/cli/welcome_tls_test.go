package cli

import (
	"strings"
	"testing"

	"github.com/cistern-cloud/cistern/internal/app"
)

func TestWelcomeOverTLS(t *testing.T) {
	const fingerprint, export = "SHA-256 fingerprint", "export SSL_CERT_FILE="
	tests := []struct {
		name        string
		ready       app.Started
		has, hasNot []string
	}{
		{"a token, not to a terminal", app.Started{Token: "dop_v1_secret"}, nil, []string{"dop_v1_secret"}},
		{
			"unencrypted", app.Started{URL: "http://127.0.0.1:1"},
			[]string{"on http://127.0.0.1:1 ", "API_URL=http://127.0.0.1:1\n"}, []string{fingerprint, export},
		},
		{
			"its own certificate", app.Started{Fingerprint: "AB:CD", Certificate: "/a b/tls.crt"},
			[]string{fingerprint + " is AB:CD.", export + "'/a b/tls.crt'\n"}, nil,
		},
		{"another's certificate", app.Started{Fingerprint: "AB:CD"}, []string{fingerprint + " is AB:CD."}, []string{export}},
		{
			"a public URL", app.Started{URL: "https://[::]:1", PublicURL: "https://cloud.example.com"},
			[]string{"on https://[::]:1 ", "API_URL=https://cloud.example.com\n"}, nil,
		},
	}
	for _, test := range tests {
		var out strings.Builder
		welcome(&out, test.ready, buildTiny)
		for _, text := range test.has {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: no %q in\n%s", test.name, text, out.String())
			}
		}
		for _, text := range test.hasNot {
			if strings.Contains(out.String(), text) {
				t.Errorf("%s: %q in\n%s", test.name, text, out.String())
			}
		}
	}
}
