package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/engine"
	"github.com/cistern-cloud/cistern/internal/op"
	"github.com/cistern-cloud/cistern/internal/store"
)

// The API shows peerings' statuses and no actions for them. One that cannot be
// made is gone; one that cannot be deleted is active again.
var (
	vpcPeeringCreate = op.Define("vpc_peering.create",
		op.Step[*Plane, peeringArgs]{Name: "create", Do: (*Plane).makePeering, Undo: (*Plane).unmakePeering, Save: (*Plane).savePeeringActive},
	).Failed((*Plane).savePeeringGone)

	vpcPeeringDelete = op.Define("vpc_peering.delete",
		op.Step[*Plane, peeringArgs]{Name: "delete", Do: (*Plane).removePeering, Save: (*Plane).savePeeringGone},
	).Failed((*Plane).savePeeringActive)
)

type peeringArgs struct {
	Peering string    `json:"peering"`
	Name    string    `json:"name"`
	VPCs    [2]string `json:"vpcs"`
	Ranges  [2]string `json:"ranges"`
}

func (a peeringArgs) ref(account int64) engine.Ref {
	return engine.Ref{Account: account, ID: a.Peering, Name: a.Name}
}

// CreateVPCPeering starts to join two VPCs.
func (p *Plane) CreateVPCPeering(ctx context.Context, who cloud.Actor, name string, vpcs []string) (peering cloud.VPCPeering, err error) {
	id, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return peering, err
	}
	uuid := cloud.NewUUID()
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil { // before the VPCs, as who changes those does
			return err
		}
		ends, err := peeredVPCs(tx, who.Account, vpcs)
		if err != nil {
			return err
		}
		if err := cloud.CheckPeeringName(name); err != nil {
			return err
		}
		peering = cloud.VPCPeering{
			ID: uuid, Account: who.Account, Name: name, VPCs: [2]string{ends[0].ID, ends[1].ID},
			Status: cloud.PeeringProvisioning, CreatedAt: tx.Now,
		}
		if err := addPeering(tx, peering); err != nil {
			return err
		}
		_, err = begin(tx, p, vpcPeeringCreate, op.New{
			ID: id, Account: who.Account, About: peering.Ref(), Region: ends[0].Region, Holds: []cloud.Ref{peering.Ref()},
		}, peeringArgs{uuid, name, peering.VPCs, [2]string{ends[0].IPRange, ends[1].IPRange}})
		return err
	})
	return peering, err
}

// peeredVPCs reads the two VPCs of a peering. Neither can be deleted before the
// transaction's end.
func peeredVPCs(tx *store.Tx, account int64, ids []string) (ends [2]cloud.VPC, err error) {
	if len(ids) != len(ends) {
		return ends, cloud.Invalid("vpc_ids must name two VPCs")
	}
	if ids[0] == ids[1] {
		return ends, cloud.Invalid("a VPC cannot be peered with itself")
	}
	for _, id := range slices.Sorted(slices.Values(ids)) { // in one order for everyone
		v, err := tx.LockVPC(account, id)
		if cloud.IsNotFound(err) {
			err = cloud.Errorf(cloud.CodeNotFound, "VPC ID %s not found", id)
		}
		if err != nil {
			return ends, err
		}
		ends[slices.Index(ids, id)] = v
	}
	return ends, nil
}

func addPeering(tx *store.Tx, peering cloud.VPCPeering) error {
	peered, err := tx.VPCsPeered(peering.VPCs)
	if err != nil {
		return err
	}
	if peered {
		return cloud.Invalid("the VPCs %s and %s are peered already", peering.VPCs[0], peering.VPCs[1])
	}
	added, err := tx.AddVPCPeering(peering)
	if err == nil && !added {
		err = peeringNameTaken(peering.Name)
	}
	return err
}

func peeringNameTaken(name string) error {
	return cloud.Invalid("a VPC peering with the name %s already exists in your account", name)
}

// VPCPeering reads a peering, which has to be one of a VPC's if that is named.
func (p *Plane) VPCPeering(ctx context.Context, who cloud.Actor, vpc, id string) (peering cloud.VPCPeering, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		peering, err = ofVPC(vpc)(tx.VPCPeering(who.Account, id))
		return err
	})
	return peering, err
}

// ofVPC makes a peering that is not one of a VPC's unknown.
func ofVPC(vpc string) func(cloud.VPCPeering, error) (cloud.VPCPeering, error) {
	return func(peering cloud.VPCPeering, err error) (cloud.VPCPeering, error) {
		if err == nil && vpc != "" && !slices.Contains(peering.VPCs[:], vpc) {
			err = cloud.NotFound()
		}
		return peering, err
	}
}

// VPCPeerings lists the account's peerings, or those of one VPC.
func (p *Plane) VPCPeerings(ctx context.Context, who cloud.Actor, vpc string, page cloud.Page) (peerings []cloud.VPCPeering, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		if vpc != "" {
			if _, err := tx.VPC(who.Account, vpc); err != nil {
				return err
			}
		}
		peerings, total, err = tx.VPCPeerings(who.Account, vpc, page)
		return err
	})
	return peerings, total, err
}

// RenameVPCPeering changes the name of a peering.
func (p *Plane) RenameVPCPeering(ctx context.Context, who cloud.Actor, vpc, id, name string) (peering cloud.VPCPeering, err error) {
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if peering, err = ofVPC(vpc)(tx.LockVPCPeering(who.Account, id)); err != nil {
			return err
		}
		if err := cloud.CheckPeeringName(name); err != nil {
			return err
		}
		taken, err := tx.PeeringNamed(who.Account, name, id)
		if err == nil && taken {
			err = peeringNameTaken(name)
		}
		if err != nil {
			return err
		}
		peering.Name = name
		return tx.RenameVPCPeering(id, name)
	})
	return peering, err
}

// DeleteVPCPeering starts to part two VPCs.
func (p *Plane) DeleteVPCPeering(ctx context.Context, who cloud.Actor, id string) (peering cloud.VPCPeering, err error) {
	action, err := p.store.ID(ctx, store.ActionIDs)
	if err != nil {
		return peering, err
	}
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		if peering, err = tx.LockVPCPeering(who.Account, id); err != nil {
			return err
		}
		if peering.Status != cloud.PeeringActive {
			return cloud.Conflict("The VPC peering is %s; it can be deleted when it is %s.", peering.Status, cloud.PeeringActive)
		}
		peering.Status = cloud.PeeringDeleting
		if err := tx.SetPeeringStatus(id, peering.Status); err != nil {
			return err
		}
		_, err = begin(tx, p, vpcPeeringDelete, op.New{
			ID: action, Account: who.Account, About: peering.Ref(), Holds: []cloud.Ref{peering.Ref()},
		}, peeringArgs{Peering: id, Name: peering.Name, VPCs: peering.VPCs})
		return err
	})
	return peering, err
}

func (p *Plane) makePeering(ctx context.Context, run *op.Run[peeringArgs]) error {
	a := run.Args
	return work(p.engine.CreatePeering(ctx, do(run), engine.Peering{Ref: a.ref(run.Account), VPCs: a.VPCs, Ranges: a.Ranges}))
}

func (p *Plane) unmakePeering(ctx context.Context, run *op.Run[peeringArgs]) error {
	return work(p.engine.DeletePeering(ctx, undo(run), run.Args.ref(run.Account)))
}

func (p *Plane) removePeering(ctx context.Context, run *op.Run[peeringArgs]) error {
	return work(p.engine.DeletePeering(ctx, do(run), run.Args.ref(run.Account)))
}

func (p *Plane) savePeeringActive(tx *store.Tx, run *op.Run[peeringArgs]) error {
	return tx.SetPeeringStatus(run.Args.Peering, cloud.PeeringActive)
}

func (p *Plane) savePeeringGone(tx *store.Tx, run *op.Run[peeringArgs]) error {
	return tx.DeleteVPCPeering(run.Args.Peering)
}
