package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cistern-cloud/cistern/internal/api"
	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/store"
)

// How long a stop may take in all is 10 s: requests get the first part to end
// by themselves, then those that wait for an operation are told to go, then
// the steps that run have the rest.
const (
	requestGrace = 3 * time.Second
	waiterGrace  = time.Second
	stepGrace    = 5 * time.Second
)

// Started is what a server tells when it is ready.
type Started struct {
	// URL is where this machine reaches the server, and Listen what it listens
	// on.
	URL    string
	Listen string
	// PublicURL is where clients are told to go instead, if that was said.
	PublicURL string
	Storage   string
	Engine    string
	// Token is the first account's token when it is known, and TokenFile where
	// it is kept.
	Token     string
	TokenFile string
	// Certificate is the file of the certificate that the server has made for
	// itself, and Fingerprint the SHA-256 of whichever it shows.
	Certificate string
	Fingerprint string
	// Region, Size and Image are what a first Droplet can be made with, and
	// NoImages says that the image has to be built before.
	Region, Size, Image string
	NoImages            bool
}

// server is everything that runs.
type server struct {
	settings
	log     *slog.Logger
	storage *opened
	store   *store.DB
	plane   *control.Plane
	metrics *metrics

	readyFile *readyFile
	// closeEngine ends what the engine does in this process; nil before it is open.
	closeEngine func() error
	// takeBack removes what a start has made new on this host, where it fails then;
	// nil where there is nothing of it.
	takeBack func() error
	// ready says that it has started.
	ready bool
}

// Serve runs a server until ctx ends, then stops it in order. It calls started
// once it answers; logs go to logs.
func Serve(ctx context.Context, c Config, logs io.Writer, started func(Started)) error {
	s, err := c.check()
	if err != nil {
		return err
	}
	if !c.Embedded {
		syscall.Umask(s.umask())
	}
	srv := &server{settings: s, log: newLog(s, logs), metrics: newMetrics()}
	if srv.readyFile, err = prepareReadyFile(s.ReadyFile); err != nil {
		return err
	}
	defer srv.readyFile.withdraw()
	if srv.storage, err = openToServe(ctx, s.Storage, s.Engine); err != nil {
		return err
	}
	defer srv.storage.Close()
	// First of all, so that a start that fails for its port leaves no account, and
	// has touched no machine.
	listener, err := listen(s.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	defer srv.shut()
	if err := srv.open(ctx); err != nil {
		return err
	}
	return srv.run(ctx, listener, started)
}

// umask keeps whatever is written to its owner. Only who runs the machines, where
// that is somebody else, can go through folders.
func (s settings) umask() int {
	if s.real.vmUser != nil {
		return 0o066
	}
	return 0o077
}

func newLog(s settings, logs io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(logs, options))
	}
	return slog.New(slog.NewTextHandler(logs, options))
}

// open joins store, engine and control plane.
func (s *server) open(ctx context.Context) error {
	s.store = store.New(s.storage.db)
	if s.Engine == engineQEMU { // before a network is made of them, and machines are taken over
		if err := control.CheckAddresses(ctx, s.store, s.real.addresses); err != nil {
			return err
		}
	}
	r, err := s.openEngine(ctx)
	if err != nil {
		return err
	}
	s.closeEngine = r.close
	s.plane, err = control.New(ctx, control.Config{
		Store: s.store, Engine: r.engine, Catalog: r.catalog, Offers: r.offers, Addresses: r.addresses,
		Log: s.log, Owner: cloud.NewUUID(),
		Alone:       s.Database == "", // the folder's lock says so
		KeepActions: s.keep,
		Clock:       r.clock,
	})
	return err
}

// example fills in what a first Droplet can be made with.
func (s *server) example(ready *Started) {
	if s.Engine == engineSim {
		ready.Region, ready.Size, ready.Image = "nyc3", "s-1vcpu-1gb", "debian-12-x64"
		return
	}
	c := s.plane.Offered()
	ready.Region, ready.Size = c.Regions[0].Slug, c.Sizes[0].Slug
	ready.Image, ready.NoImages = "tiny", len(c.Images) == 0
	if !ready.NoImages {
		ready.Image = c.Images[0].Slug
	}
}

// shut closes the engine. Its machines run on. A start that has failed leaves
// nothing behind on this host that was not there before.
func (s *server) shut() {
	if s.closeEngine != nil {
		if err := s.closeEngine(); err != nil {
			s.log.Warn("close the engine", "error", err)
		}
	}
	if s.takeBack == nil || s.ready {
		return
	}
	if err := s.takeBack(); err != nil {
		s.log.Warn("not all that this start has made on the host could be taken back; cistern network clean does that", "error", err)
	}
}

// newAPI makes the API's handler, with its metrics and those of the store.
func (s *server) newAPI() *api.Server {
	s.storage.db.ObserveCommits(s.metrics.committed)
	s.metrics.registry.MustRegister(stateCollector{s})
	server := api.New(api.Config{
		Plane: s.plane, Log: s.log, PublicURL: s.PublicURL, RateLimit: s.limit,
		Metrics: s.metrics.handler(s.log), Served: s.metrics.served,
	})
	s.metrics.countRefusals(server.RefusalsDropped)
	return server
}

func (s *server) run(ctx context.Context, listener net.Listener, started func(Started)) error {
	var hangup chan os.Signal
	if !s.Embedded {
		var ignore func()
		hangup, ignore = hangups()
		defer ignore()
	}
	if err := s.readyFile.clear(); err != nil {
		return err
	}
	certificates, err := newCertificates(s.settings, s.storage, s.log)
	if err != nil {
		return err
	}
	ready := Started{
		URL: "http://" + reachable(listener.Addr()), Listen: listener.Addr().String(), PublicURL: s.PublicURL,
		Storage: s.storage.String(), Engine: s.Engine,
	}
	certificates.show(&ready)
	s.example(&ready)
	if ready.Token, ready.TokenFile, err = s.firstAccount(ctx); err != nil {
		return err
	}
	withdraw, err := s.storage.announce(Address{URL: ready.URL, Certificate: certificates.file()})
	if err != nil {
		return fmt.Errorf("say where the server is: %w", err)
	}
	defer withdraw()
	// Requests outlive ctx, so that they can end by themselves.
	requests, dropRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer dropRequests()
	handler := s.newAPI()
	web := newHTTPServer(handler)
	web.RegisterOnShutdown(handler.Stop)
	web.BaseContext = func(net.Listener) context.Context { return requests }
	web.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	operations, stopOperations := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOperations()
	var running sync.WaitGroup
	running.Go(func() { s.plane.Runner().Run(operations) })
	running.Go(func() { s.plane.Reconcile(operations) })
	failed := make(chan error, 1)
	go func() { failed <- serveOn(web, listener, certificates) }()

	if err := s.readyFile.publish(Ready{ready.URL, ready.Token, certificates.file(), os.Getpid()}); err != nil {
		return err
	}
	s.ready = true
	started(ready)
	if err := s.untilStopped(ctx, failed, hangup, certificates); err != nil {
		return err
	}
	s.readyFile.withdraw() // before it refuses anybody
	s.log.Info("stopping")
	s.stop(web, dropRequests, stopOperations, &running)
	return nil
}

// firstAccount sees to it that the first account is there, with its token and what
// the configuration gives it.
func (s *server) firstAccount(ctx context.Context) (token, file string, err error) {
	accounts := control.Accounts{Store: s.store}
	if token, file, err = firstToken(ctx, accounts, s.storage, s.Token); err != nil {
		return "", "", err
	}
	if err := s.seed(ctx); err != nil {
		return "", "", err
	}
	if s.Limits != (Limits{}) {
		first, err := chosen(ctx, s.store, 0)
		if err != nil {
			return "", "", err
		}
		if _, err := accounts.SetLimits(ctx, first, s.Limits); err != nil {
			return "", "", err
		}
	}
	return token, file, nil
}

// untilStopped returns when the server is told to stop, or with why it failed.
func (s *server) untilStopped(ctx context.Context, failed <-chan error, hangup <-chan os.Signal, certificates *certificates) error {
	terminal := hasTerminal()
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		case <-hangup:
			if terminal && !hasTerminal() { // somebody has closed the window that it ran in
				return nil
			}
			certificates.reload(s.log)
		}
	}
}

func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--listen %s: something listens there already, perhaps another cistern; stop it, or use another port", address)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return listener, nil
}

// stop ends requests, then operations, each within its time.
func (s *server) stop(web *http.Server, dropRequests, stopOperations func(), running *sync.WaitGroup) {
	grace, done := context.WithTimeout(context.Background(), requestGrace)
	defer done()
	if err := web.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		dropRequests()
		grace, done := context.WithTimeout(context.Background(), waiterGrace)
		defer done()
		if err := web.Shutdown(grace); err != nil {
			web.Close()
		}
	}
	stopOperations()
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(stepGrace):
		s.log.Warn("some steps did not end; their operations go on at the next start")
		return
	}
	if err := s.store.GiveBack(context.Background()); err != nil {
		s.log.Warn("give back unused IDs", "error", err)
	}
}
