package app

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// certificates gives each handshake the certificate that is in its files now,
// so that one that was renewed is used without a restart.
type certificates struct {
	cert, key string
	// renew makes the files anew when they must be, or is nil.
	renew func(current *tls.Certificate) error
	log   *slog.Logger

	mu            sync.Mutex
	current       *tls.Certificate
	seen, seenKey fs.FileInfo
}

// newCertificates reads the certificate that the configuration asks for, or
// makes it. Without TLS it is nil.
func newCertificates(s settings, o *opened, log *slog.Logger) (*certificates, error) {
	c := &certificates{cert: s.TLSCert, key: s.TLSKey, log: log}
	switch {
	case !s.hasTLS():
		return nil, nil
	case s.TLS == "auto":
		c.cert, c.key = o.file("tls.crt"), o.file("tls.key")
		c.renew = selfSigned{c.cert, c.key, s.tlsHosts()}.renew
		c.current, _ = loadCertificate(c.cert, c.key) // what cannot be read is made anew
		if err := c.renew(c.current); err != nil {
			return nil, fmt.Errorf("--tls auto: %w", err)
		}
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.cert, c.key, err)
	}
	return c, nil
}

// config is for a server. Go's own choice of versions and ciphers is kept.
func (c *certificates) config() *tls.Config {
	return &tls.Config{GetCertificate: c.get}
}

// show tells how to reach an encrypted server, and what to know it by.
func (c *certificates) show(ready *Started) {
	if c == nil {
		return
	}
	ready.URL = "https" + strings.TrimPrefix(ready.URL, "http")
	ready.Fingerprint = c.fingerprint()
	if c.renew != nil {
		ready.Certificate = c.cert
	}
}

// get looks at the files on each handshake, which costs far more than that. If
// they are no good, as in the middle of a change, the last good ones stay.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renew != nil {
		if err := c.renew(c.current); err != nil {
			c.log.Warn("renew the certificate", "file", c.cert, "error", err)
		}
	}
	if !c.changed() {
		return c.current, nil
	}
	if err := c.load(); err != nil {
		c.log.Warn("the new certificate is not used", "file", c.cert, "error", err)
		return c.current, nil
	}
	c.log.Info("certificate changed", "file", c.cert, "fingerprint", c.fingerprint())
	return c.current, nil
}

// reload reads the files when somebody asks for it, changed or not, and says
// what came of that.
func (c *certificates) reload(log *slog.Logger) {
	if c == nil {
		log.Info("SIGHUP: there is no certificate to read again; other settings need a restart")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.load(); err != nil {
		log.Warn("SIGHUP: the certificate cannot be used; the last one stays", "file", c.cert, "error", err)
		return
	}
	log.Info("SIGHUP: certificate read again; other settings need a restart", "file", c.cert, "fingerprint", c.fingerprint())
}

// file is where the certificate is that is shown now; empty without one.
func (c *certificates) file() string {
	if c == nil {
		return ""
	}
	path, err := filepath.Abs(c.cert)
	if err != nil {
		return c.cert
	}
	return path
}

// changed reports whether the files are others than those last tried.
func (c *certificates) changed() bool {
	cert, err := os.Stat(c.cert)
	if err != nil {
		return false
	}
	key, err := os.Stat(c.key)
	return err == nil && (isOther(cert, c.seen) || isOther(key, c.seenKey))
}

func isOther(a, b fs.FileInfo) bool {
	return !os.SameFile(a, b) || !a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size()
}

// load reads the files. It remembers them before, so that a change while it
// reads is seen the next time.
func (c *certificates) load() (err error) {
	if c.seen, err = os.Stat(c.cert); err != nil {
		return err
	}
	if c.seenKey, err = os.Stat(c.key); err != nil {
		return err
	}
	loaded, err := loadCertificate(c.cert, c.key)
	if err != nil {
		return err
	}
	c.current = loaded
	return nil
}

func loadCertificate(cert, key string) (*tls.Certificate, error) {
	loaded, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &loaded, nil
}

// fingerprint is the SHA-256 of the certificate, as browsers and openssl show
// it.
func (c *certificates) fingerprint() string {
	sum := sha256.Sum256(c.current.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}
