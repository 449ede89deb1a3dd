package control

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// NewVPC is a request for a VPC.
type NewVPC struct {
	Name, Description string
	Region            string
	IPRange           string // empty for one that is free
}

// VPCChange is what is to change about a VPC; nil stays as it is.
type VPCChange struct {
	Name, Description *string
	Default           *bool
}

// CreateVPC makes a VPC. It is never its region's default, as there is one in
// every region from the start.
func (p *Plane) CreateVPC(ctx context.Context, who cloud.Actor, n NewVPC) (v cloud.VPC, err error) {
	if err := cloud.CheckVPCName(n.Name); err != nil {
		return v, err
	}
	if err := cloud.CheckVPCDescription(n.Description); err != nil {
		return v, err
	}
	region, err := p.vpcRegion(n.Region)
	if err != nil {
		return v, err
	}
	id := cloud.NewUUID()
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		ipRange, err := vpcRange(tx, who.Account, n.IPRange)
		if err != nil {
			return err
		}
		v = cloud.VPC{
			ID: id, Account: who.Account, Name: n.Name, Description: n.Description, Region: region,
			IPRange: ipRange.String(), CreatedAt: tx.Now,
		}
		added, err := tx.AddVPC(v)
		if err == nil && !added {
			err = vpcNameTaken(n.Name)
		}
		return err
	})
	return v, err
}

func vpcNameTaken(name string) error {
	return cloud.Invalid("a VPC with the name %s already exists in your account", name)
}

func (p *Plane) vpcRegion(slug string) (string, error) {
	if slug == "" {
		return "", cloud.Invalid("region is required")
	}
	region, err := p.openRegion(strings.TrimSpace(slug), slug)
	return region.Slug, err
}

// vpcRange is the range that was asked for, unless some of it is another VPC's,
// or one that is free when none was.
func vpcRange(tx *store.Tx, account int64, text string) (prefix netip.Prefix, err error) {
	if text == "" {
		taken, err := tx.VPCRanges(account)
		if err != nil {
			return prefix, err
		}
		prefix, free := cloud.FreeRange(taken)
		if !free {
			return prefix, cloud.Invalid("No free range is left for a VPC; delete one that is not used.")
		}
		return prefix, nil
	}
	if prefix, err = cloud.CheckVPCRange(text); err != nil {
		return prefix, err
	}
	other, overlaps, err := tx.OverlappingVPC(account, prefix)
	if err == nil && overlaps {
		err = cloud.Invalid("This range/size overlaps with another VPC network in your account: %s %s.", other.Name, other.IPRange)
	}
	return prefix, err
}

// VPC reads a VPC.
func (p *Plane) VPC(ctx context.Context, who cloud.Actor, id string) (v cloud.VPC, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		v, err = tx.VPC(who.Account, id)
		return err
	})
	return v, err
}

// VPCs lists the account's VPCs, oldest first.
func (p *Plane) VPCs(ctx context.Context, who cloud.Actor, page cloud.Page) (vpcs []cloud.VPC, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		vpcs, total, err = tx.VPCs(who.Account, page)
		return err
	})
	return vpcs, total, err
}

// ChangeVPC changes a VPC's name or description, or makes it its region's
// default.
func (p *Plane) ChangeVPC(ctx context.Context, who cloud.Actor, id string, change VPCChange) (v cloud.VPC, err error) {
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := tx.LockAccount(who.Account); err != nil {
			return err
		}
		if v, err = tx.LockVPC(who.Account, id); err != nil {
			return err
		}
		if err := describeVPC(tx, &v, change); err != nil {
			return err
		}
		return setDefaultVPC(tx, &v, change.Default)
	})
	return v, err
}

func describeVPC(tx *store.Tx, v *cloud.VPC, change VPCChange) error {
	if change.Name != nil {
		if err := cloud.CheckVPCName(*change.Name); err != nil {
			return err
		}
		taken, err := tx.VPCNamed(v.Account, *change.Name, v.ID)
		if err != nil {
			return err
		}
		if taken {
			return vpcNameTaken(*change.Name)
		}
		v.Name = *change.Name
	}
	if change.Description != nil {
		if err := cloud.CheckVPCDescription(*change.Description); err != nil {
			return err
		}
		v.Description = *change.Description
	}
	return tx.DescribeVPC(*v)
}

// setDefaultVPC makes a VPC its region's default. Saying that one is not which
// is not changes nothing, as Terraform does with every change.
func setDefaultVPC(tx *store.Tx, v *cloud.VPC, wanted *bool) error {
	switch {
	case wanted == nil || *wanted == v.Default:
		return nil
	case v.Default:
		return cloud.Invalid("default cannot be unset; set it on another VPC in %s instead", v.Region)
	}
	v.Default = true
	return tx.SetDefaultVPC(*v)
}

// DeleteVPC deletes a VPC that has no members and is no region's default.
func (p *Plane) DeleteVPC(ctx context.Context, who cloud.Actor, id string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		v, err := tx.LockVPC(who.Account, id)
		if err != nil {
			return err
		}
		if v.Default {
			return cloud.Forbidden("Can not delete default VPC")
		}
		_, members, err := tx.VPCMembers(id, cloud.Page{Limit: 1})
		if err != nil {
			return err
		}
		if members > 0 {
			return cloud.Conflict("Can not delete VPC with members")
		}
		_, peerings, err := tx.VPCPeerings(who.Account, id, cloud.Page{Limit: 1})
		if err != nil {
			return err
		}
		if peerings > 0 {
			return cloud.Errorf(cloud.CodePrecondition, "Can not delete VPC with peerings")
		}
		return tx.DeleteVPC(id)
	})
}

// VPCMembers lists what is in a VPC and what the actor may see of that. A kind
// of resource, if one is named, is the only one listed.
func (p *Plane) VPCMembers(ctx context.Context, who cloud.Actor, id, kind string, page cloud.Page) (members []cloud.VPCMember, total int64, err error) {
	visible := who.Scopes.Has("droplet:read") && (kind == "" || kind == string(cloud.KindDroplet))
	err = p.store.Read(ctx, func(tx *store.Tx) error {
		members, total = nil, 0
		_, err := tx.VPC(who.Account, id)
		if err != nil || !visible {
			return err
		}
		members, total, err = tx.VPCMembers(id, page)
		return err
	})
	return members, total, err
}

// addMissingVPCs gives every account a default VPC in each region, for the
// regions that a new catalogue brings.
func (p *Plane) addMissingVPCs(ctx context.Context) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		for _, account := range accounts {
			// So that nobody else takes the ranges that are free. Accounts are
			// locked by ID, so that two of these do not wait for each other.
			if err := tx.LockAccount(account.ID); err != nil {
				return err
			}
			if err := addDefaultVPCs(tx, account.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// addDefaultVPCs makes the default VPCs that an account lacks in the regions of
// the stored catalogue, each with a range of its own. The transaction has locked
// the account, or made it. A region that there is no range left for has none, and
// Droplets there have to name their VPC.
func addDefaultVPCs(tx *store.Tx, account int64) error {
	regions, err := tx.RegionsWithoutVPC(account)
	if err != nil {
		return err
	}
	for _, region := range regions {
		taken, err := tx.VPCRanges(account)
		if err != nil {
			return err
		}
		ipRange, free := cloud.FreeDefaultRange(taken)
		if !free {
			return nil
		}
		v := cloud.VPC{
			ID: cloud.NewUUID(), Account: account, Region: region,
			IPRange: ipRange.String(), Default: true, CreatedAt: tx.Now,
		}
		if err := addNamedVPC(tx, v, "default-"+region); err != nil {
			return err
		}
	}
	return nil
}

// addNamedVPC adds a VPC under a name, or the next that is free where its
// owner has given that name to another.
func addNamedVPC(tx *store.Tx, v cloud.VPC, name string) error {
	v.Name = name
	for n := 2; ; n++ {
		added, err := tx.AddVPC(v)
		if err != nil || added {
			return err
		}
		v.Name = fmt.Sprintf("%s-%d", name, n)
	}
}
