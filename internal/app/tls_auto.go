package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A certificate lasts as long as browsers accept one of any authority, and is
// replaced early enough that no start comes too late.
const (
	certificateLife  = 397 * 24 * time.Hour
	certificateSpare = 30 * 24 * time.Hour
)

// tlsHosts is how clients may reach the server, as far as it can know.
func (c Config) tlsHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	listen, _, _ := net.SplitHostPort(c.Listen)
	public, _ := url.Parse(c.PublicURL)
	for _, host := range []string{listen, public.Hostname()} {
		host, _, _ = strings.Cut(host, "%") // a zone is this machine's own matter
		ip := net.ParseIP(host)
		if host == "" || ip != nil && ip.IsUnspecified() || slices.Contains(hosts, host) {
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// selfSigned is a certificate that the server makes for itself. It is no
// authority: who trusts it trusts this server and nothing else.
type selfSigned struct {
	cert, key string
	hosts     []string
}

// renew makes the files anew unless the current certificate is still good.
func (s selfSigned) renew(current *tls.Certificate) error {
	if current != nil && s.good(current.Leaf) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := s.template()
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// Cut off between the two, the files do not fit, and are made again.
	if err := writePEM(s.key, "PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return writePEM(s.cert, "CERTIFICATE", cert, 0o644)
}

// good reports whether a certificate lasts and is for all hosts.
func (s selfSigned) good(cert *x509.Certificate) bool {
	now := time.Now()
	if now.Before(cert.NotBefore) || now.Add(certificateSpare).After(cert.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(s.hosts, func(host string) bool { return cert.VerifyHostname(host) != nil })
}

func (s selfSigned) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Cistern"},
		NotBefore:             now.Add(-time.Hour), // clients' clocks may be late
		NotAfter:              now.Add(certificateLife - time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range s.hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	return cert, nil
}

// writePEM replaces a file in one step.
func writePEM(path, kind string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary := path + ".new"
	_ = os.Remove(temporary) // it would keep the mode that it had
	if err := os.WriteFile(temporary, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
