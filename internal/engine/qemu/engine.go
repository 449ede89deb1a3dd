// Package qemu runs machines as virtual machines of QEMU on this host, one
// process each. It keeps a world of its own: records in a database of its own,
// and the files of machines, volumes and images beside it. Machines outlive the
// program: they run on when it ends, and are taken over when it starts again.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cistern-cloud/cistern/internal/database"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/image"
	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// Options say what an engine works with.
type Options struct {
	// Dir is the folder for records, machines, volumes and images.
	Dir string
	// Images are the base images that machines are made from.
	Images *image.Store
	// Network joins the machines. The engine closes it.
	Network vnet.Network
	// Host is the name that this host goes by; empty is the system's.
	Host string
	// Region is where this host is, for machines to read in their metadata.
	Region string
	// Accel is how instructions are carried out: kvm or tcg.
	Accel string
	// User runs the machines' processes where this process is root; nil leaves
	// them to whoever runs this.
	User *User
	// ImportAllow are networks that images may be fetched from although they are
	// not public.
	ImportAllow []netip.Prefix
	// DiskOvercommit is how many times the disk that there is may be promised, as
	// machines seldom use all of theirs; less than 1 is 1.
	DiskOvercommit float64
	// Tags tells the tags that a machine bears now; nil knows none.
	Tags func(ctx context.Context, id string) ([]string, error)
	Log  *slog.Logger
	// startAgainAfter is for tests; 0 is the constant of this name.
	startAgainAfter time.Duration
	// Unsafe leaves out waiting for the disk, for tests that lose no power.
	Unsafe bool
}

// Engine drives the machines of one host. It is an engine.Engine, an
// engine.Accessor, an engine.Watcher, an engine.Bounded and an engine.Pruner.
type Engine struct {
	Options
	db       *database.DB
	log      *slog.Logger
	programs programs
	boot     string // which start of the host this is

	life    context.Context // ends when the engine closes
	end     context.CancelFunc
	running sync.WaitGroup
	locks   locks

	mu     sync.Mutex
	jobs   map[string]*job
	vms    map[string]*vm
	closed bool

	watcher atomic.Pointer[func(id string)]
}

var (
	_ engine.Engine   = (*Engine)(nil)
	_ engine.Accessor = (*Engine)(nil)
	_ engine.Watcher  = (*Engine)(nil)
	_ engine.Bounded  = (*Engine)(nil)
	_ engine.Pruner   = (*Engine)(nil)
)

var errClosed = errors.New("the engine is closed")

// Open opens the records, takes over the machines that run, and starts again
// those that ran when the host went down.
func Open(ctx context.Context, o Options) (*Engine, error) {
	e := &Engine{Options: o, log: o.Log, jobs: map[string]*job{}, vms: map[string]*vm{}, locks: locks{held: map[string]chan struct{}{}}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.life, e.end = context.WithCancel(context.Background())
	if err := e.prepare(ctx); err != nil {
		e.end()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	if err := e.adoptAll(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	e.running.Go(e.lookAfterMachines)
	return e, nil
}

// prepare finds the programs and opens the records.
func (e *Engine) prepare(ctx context.Context) (err error) {
	if e.programs, err = findPrograms(); err != nil {
		return err
	}
	if e.boot, err = bootID(); err != nil {
		return err
	}
	if e.Host == "" {
		if e.Host, err = os.Hostname(); err != nil {
			return err
		}
	}
	for _, k := range []kind{machines, volumes, images, snapshots} {
		if err := os.MkdirAll(e.folder(k, ""), 0o711); err != nil {
			return err
		}
	}
	if e.db, err = database.Open(ctx, database.Config{Path: filepath.Join(e.Dir, "engine.db"), Unsafe: e.Unsafe}); err != nil {
		return err
	}
	if _, err := e.db.Migrate(ctx, schema()); err != nil {
		e.db.Close()
		return err
	}
	return e.Prune(ctx)
}

// Close ends what runs in this process. Machines run on.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end()
	e.running.Wait()
	return errors.Join(e.Network.Close(), e.db.Close())
}

// Name is "qemu".
func (e *Engine) Name() string { return "qemu" }

// folder is where a thing's files are; with no ID, where all of its kind are.
func (e *Engine) folder(k kind, id string) string {
	return filepath.Join(e.Dir, string(k)+"s", id)
}

// bootID names this start of the host. A machine that ran under another one
// cannot be running.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(text), err
}

// refuse makes an error that the engine explains and that is final.
func refuse(format string, args ...any) error {
	return &engine.Error{Message: fmt.Sprintf(format, args...)}
}
