package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cistern-cloud/cistern/internal/logtest"
)

// serve runs a server for the length of the test, or until stop.
func serve(t *testing.T, c Config) (ready Started, stop func()) {
	t.Helper()
	c.Listen, c.Engine, c.SimLatency, c.LogFormat, c.LogLevel = "127.0.0.1:0", "sim", "0", "text", "warn"
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan Started, 1), make(chan error, 1)
	go func() { ended <- Serve(ctx, c, io.Discard, func(s Started) { started <- s }) }()
	select {
	case ready = <-started:
	case err := <-ended:
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return ready, stop
}

// trusting makes a client that trusts a certificate and nothing else.
func trusting(t *testing.T, file string) *http.Client {
	t.Helper()
	cert, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cert) {
		t.Fatalf("%s has no certificate", file)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestTLSAuto(t *testing.T) {
	ready, _ := serve(t, Config{Storage: Storage{Ephemeral: true}, TLS: "auto"})
	if !strings.HasPrefix(ready.URL, "https://127.0.0.1:") {
		t.Fatalf("it serves on %s", ready.URL)
	}
	if answer, err := http.Get(ready.URL + "/healthz"); err == nil {
		t.Errorf("a client that trusts authorities only got %s", answer.Status)
	}
	plain, err := http.Get("http" + strings.TrimPrefix(ready.URL, "https") + "/healthz")
	if err != nil || plain.StatusCode != http.StatusBadRequest {
		t.Errorf("unencrypted: %v, %v; want 400", plain, err)
	}
	client := trusting(t, ready.Certificate)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		answer, err := client.Get(strings.Replace(ready.URL, "127.0.0.1", host, 1) + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s", host, answer.Status, answer.Proto)
		}
		sum := sha256.Sum256(answer.TLS.PeerCertificates[0].Raw)
		if want := strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"); ready.Fingerprint != want {
			t.Errorf("the fingerprint is told as %s, and is %s", ready.Fingerprint, want)
		}
	}
	key, err := os.Stat(strings.TrimSuffix(ready.Certificate, ".crt") + ".key")
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", key.Mode(), err)
	}
}

func TestTLSAutoIsKept(t *testing.T) {
	folder := t.TempDir()
	start := func(publicURL string) string {
		ready, stop := serve(t, Config{Storage: Storage{Data: folder}, TLS: "auto", PublicURL: publicURL})
		stop()
		return ready.Fingerprint
	}
	first := start("")
	if again := start(""); again != first {
		t.Error("the next start has another certificate")
	}
	named := start("https://cloud.example.com")
	if named == first {
		t.Error("the certificate is not made for the public URL's host")
	}
	if again := start(""); again != named {
		t.Error("a certificate for more hosts is not kept")
	}
	if err := os.WriteFile(filepath.Join(folder, "tls.key"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if start("") == named {
		t.Error("a broken key is kept")
	}
}

func TestTLSHosts(t *testing.T) {
	always := "localhost 127.0.0.1 ::1"
	tests := []struct{ listen, public, want string }{
		{"127.0.0.1:7480", "", always},
		{"0.0.0.0:7480", "", always},
		{"[::]:7480", "", always},
		{":7480", "", always},
		{"192.0.2.7:7480", "", always + " 192.0.2.7"},
		{"[fe80::1%eth0]:7480", "", always + " fe80::1"},
		{"box.lan:443", "https://cloud.example.com:8443/", always + " box.lan cloud.example.com"},
		{"192.0.2.7:443", "https://192.0.2.7", always + " 192.0.2.7"},
	}
	for _, test := range tests {
		hosts := Config{Listen: test.listen, PublicURL: test.public}.tlsHosts()
		if got := strings.Join(hosts, " "); got != test.want {
			t.Errorf("%s, %s: %s, want %s", test.listen, test.public, got, test.want)
		}
		self := testCertificate(t, t.TempDir(), hosts...)
		if loaded, err := loadCertificate(self.cert, self.key); err != nil || !self.good(loaded.Leaf) {
			t.Errorf("%s: the certificate is no good: %v", test.listen, err)
		}
	}
}

// testCertificate makes a certificate in a folder.
func testCertificate(t *testing.T, dir string, hosts ...string) selfSigned {
	t.Helper()
	s := selfSigned{filepath.Join(dir, "test.crt"), filepath.Join(dir, "test.key"), hosts}
	if err := s.renew(nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTLSAutoIsRenewed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		self := testCertificate(t, dir, "localhost")
		c := &certificates{cert: self.cert, key: self.key, renew: self.renew, log: slog.New(slog.DiscardHandler)}
		if err := c.load(); err != nil {
			t.Fatal(err)
		}
		first := c.fingerprint()
		time.Sleep(certificateLife - certificateSpare - 2*time.Hour)
		if _, err := c.get(nil); err != nil || c.fingerprint() != first {
			t.Errorf("changed before its time: %v", err)
		}
		time.Sleep(2 * time.Hour)
		current, err := c.get(nil)
		if err != nil || c.fingerprint() == first || time.Until(current.Leaf.NotAfter) < certificateLife-2*time.Hour {
			t.Errorf("not renewed: %v, it ends %s", err, current.Leaf.NotAfter)
		}
	})
}

func TestCertificateFiles(t *testing.T) {
	good, other := testCertificate(t, t.TempDir(), "a.example.com"), testCertificate(t, t.TempDir(), "b.example.com")
	log := slog.New(slog.DiscardHandler)
	for name, config := range map[string]Config{
		"no such file":        {TLSCert: "missing.crt", TLSKey: good.key},
		"a key of another":    {TLSCert: good.cert, TLSKey: other.key},
		"key and certificate": {TLSCert: good.key, TLSKey: good.cert},
	} {
		_, err := newCertificates(settings{Config: config}, nil, log)
		if err == nil || !strings.HasPrefix(err.Error(), "--tls-cert "+config.TLSCert+", --tls-key "+config.TLSKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := newCertificates(settings{}, nil, log); c != nil || err != nil {
		t.Errorf("without TLS: %v, %v", c, err)
	}
}

// A certificate that is renewed while the server runs is used from the next
// handshake on, and a half-written one never.
func TestCertificateChanges(t *testing.T) {
	good, other := testCertificate(t, t.TempDir(), "a.example.com"), testCertificate(t, t.TempDir(), "b.example.com")
	c, err := newCertificates(settings{Config: Config{TLSCert: good.cert, TLSKey: good.key}}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) func() error { return func() error { return os.Rename(from, to) } }
	steps := []struct {
		name string
		do   func() error
		host string
	}{
		{"at first", func() error { return nil }, "a.example.com"},
		{"a certificate without its key", move(other.cert, good.cert), "a.example.com"},
		{"with its key", move(other.key, good.key), "b.example.com"},
		{"not a certificate", func() error { return os.WriteFile(good.cert, []byte("-----BEGIN"), 0o600) }, "b.example.com"},
		{"no certificate", func() error { return os.Remove(good.cert) }, "b.example.com"},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		got, err := c.get(nil)
		if err != nil || got.Leaf.DNSNames[0] != step.host {
			t.Errorf("%s: %v, %v; want that of %s", step.name, got.Leaf.DNSNames, err, step.host)
		}
	}
}

// SIGHUP reads the files at once and says what is wrong with them.
func TestCertificateIsReadAgain(t *testing.T) {
	good := testCertificate(t, t.TempDir(), "a.example.com")
	var logs logtest.Buffer
	log := slog.New(slog.NewTextHandler(&logs, nil))
	c, err := newCertificates(settings{Config: Config{TLSCert: good.cert, TLSKey: good.key}}, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	c.reload(log)
	if !strings.Contains(logs.String(), "certificate read again") || !strings.Contains(logs.String(), c.fingerprint()) {
		t.Errorf("logged %s", logs.String())
	}
	if err := os.WriteFile(good.cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.reload(log)
	if got, err := c.get(nil); err != nil || got.Leaf.DNSNames[0] != "a.example.com" || !strings.Contains(logs.String(), "the last one stays") {
		t.Errorf("%v, %v; logged %s", got, err, logs.String())
	}
}

// A database has no folder of its own, and several may be served from here.
func TestFilesBesideTheDatabase(t *testing.T) {
	for database, want := range map[string]string{
		"": "/folder/tls.key", "postgres://user:secret@db.example.com:5433/cistern": "/folder/db.example.com-cistern.tls.key",
		"postgres:///cistern": "/folder/cistern.tls.key",
	} {
		o := &opened{Storage: Storage{Database: database}, folder: "/folder"}
		if got := o.file("tls.key"); got != want {
			t.Errorf("%q: %s, want %s", database, got, want)
		}
	}
}
