// Package control is what users may ask of the cloud: one file for each family
// of resources, with its durable operations beside it. Its methods check who
// asks and what is legal, change the store, and begin operations; the steps of
// the operations call the engine.
package control

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Plane is the control plane: the store, the engine, and what joins them.
type Plane struct {
	store     *store.DB
	engine    engine.Engine
	runner    *op.Runner[*Plane]
	offered   atomic.Pointer[offered]
	addresses cloud.Addresses
	log       *slog.Logger

	keep        time.Duration     // see Config.KeepActions
	clock       engine.Timekeeper // nil keeps real time
	walk        *walk
	reconcilers []*Reconciler
	backups     *Reconciler
	firewalls   *Reconciler
	// machines and watch are nil where machines do nothing by themselves.
	machines *Reconciler
	watch    func(context.Context)
}

// Config is what a Plane is made of.
type Config struct {
	Store   *store.DB
	Engine  engine.Engine
	Catalog cloud.Catalog
	// Offers tells the catalogue now, where it changes while the cloud runs; nil
	// leaves it as it is.
	Offers func(context.Context) (cloud.Catalog, error)
	// Addresses are where public ones come from; the zero value is those of
	// simulated machines.
	Addresses cloud.Addresses
	Log       *slog.Logger
	// Owner names this process; no two that run have the same.
	Owner string
	// Alone says that no other process runs operations on this store, so that
	// whatever is leased was left by one that is dead.
	Alone bool
	// KeepActions is how long actions and destroys are kept after their end; 0
	// is for ever.
	KeepActions time.Duration
	// Clock is the cloud's clock where it can be moved on; nil elsewhere.
	Clock engine.Timekeeper
	// Intercept is for tests of operations.
	Intercept op.Intercept
}

// plans lists every kind of operation. One that is not here is not carried out.
var plans = []op.Runnable[*Plane]{
	dropletCreate, dropletPowerOn, dropletPowerOff, dropletShutdown, dropletReboot, dropletPowerCycle,
	dropletRename, dropletSnapshot, dropletResize, dropletRebuild, dropletRestore, dropletPasswordReset,
	dropletEnableIPv6, dropletEnablePrivateNetworking, dropletDestroy, dropletBackup, dropletBackupPolicy,
	imageImport, imageTransfer, imageConvert, imageDelete,
	volumeCreate, volumeDelete, volumeAttach, volumeDetach, volumeResize,
	volumeSnapshot, volumeSnapshotDelete,
	reservedIPAssign, reservedIPUnassign, reservedIPDelete, reservedIPv6Assign, reservedIPv6Unassign,
	vpcPeeringCreate, vpcPeeringDelete,
}

// New makes a control plane and brings the stored catalogue up to date.
func New(ctx context.Context, c Config) (*Plane, error) {
	p := &Plane{store: c.Store, engine: c.Engine, log: c.Log, addresses: c.Addresses, keep: c.KeepActions, clock: c.Clock,
		walk: &walk{settle: settleLimit}}
	if p.addresses == (cloud.Addresses{}) {
		p.addresses = cloud.SimulatedAddresses()
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.backups = newReconciler(p.log, "backups", backupsEvery, p.reconcileBackups).when(c.Store.Now, p.nextBackup)
	p.firewalls = newReconciler(p.log, "firewalls", firewallEvery, p.applyFirewalls).when(c.Store.Now, p.nextFirewall)
	c.Store.WhenFirewallsChange(p.firewalls.Wake)
	p.reconcilers = []*Reconciler{p.backups, p.firewalls, newReconciler(p.log, "prune", pruneEvery, p.prune)}
	p.runner = op.NewRunner(c.Store, p, op.Options{Log: p.log, Owner: c.Owner, Intercept: c.Intercept}, plans...)
	p.watchMachines()
	if c.Offers != nil {
		p.reconcilers = append(p.reconcilers, newReconciler(p.log, "catalogue", offersEvery, p.takeOffers(c.Offers)))
	}
	err := c.Store.Write(ctx, func(tx *store.Tx) error {
		if c.Alone {
			if err := tx.ClearLeases(); err != nil {
				return err
			}
		}
		return checkPools(tx, p.addresses)
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the store: %w", err)
	}
	return p, p.SetCatalog(ctx, c.Catalog)
}

// Runner is what carries the plane's operations out.
func (p *Plane) Runner() *op.Runner[*Plane] { return p.runner }

// begin queues an operation.
func begin[A any](tx *store.Tx, p *Plane, plan *op.Plan[*Plane, A], n op.New, args A) (cloud.Action, error) {
	return plan.Begin(tx, p.runner.Notify, n, args)
}

// await waits for an operation that a request does not answer before. Its
// failure is the engine's message in a server error.
func (p *Plane) await(ctx context.Context, action int64) error {
	ended, err := p.runner.Wait(ctx, action)
	switch {
	case ctx.Err() != nil:
		return cloud.Errorf(cloud.CodeUnavailable, "The server is stopping. What was asked for goes on when it starts again.")
	case err != nil:
		return err
	case ended.Status == cloud.Errored && ended.Error == op.Cancelled:
		return cloud.Pending() // a destroy came between
	case ended.Status == cloud.Errored:
		return cloud.Errorf(cloud.CodeInternal, "%s", ended.Error)
	}
	return nil
}

// work turns an engine's answer into what a step returns.
func work(progress engine.Progress, err error) error {
	switch {
	case engine.IsFinal(err):
		return op.Final(err)
	case err != nil:
		return err
	case !progress.Done:
		return op.Again(progress.After)
	}
	return nil
}

// do and undo name a step's work for the engine.
func do[A any](run *op.Run[A], parts ...string) engine.Work {
	return engine.Work{Key: run.Key(parts...)}
}

func undo[A any](run *op.Run[A], parts ...string) engine.Work {
	return engine.Work{Key: run.Key(parts...), Undo: true}
}
