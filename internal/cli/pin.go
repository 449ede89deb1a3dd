package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
)

// pinned trusts a server that shows the certificate in a file and no other. The
// server has named the file itself, where only it writes, so that it is known
// by it whatever name or address it is reached by.
func pinned(path string) http.RoundTripper {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // it is on this machine
	transport.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			want, err := readCertificate(path)
			if err != nil {
				return err
			}
			if !state.PeerCertificates[0].Equal(want) {
				return fmt.Errorf("the server does not show the certificate in %s", path)
			}
			return nil
		},
	}
	return transport
}

// readCertificate reads the first certificate of a PEM file.
func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, fmt.Errorf("%s has no certificate", path)
}
