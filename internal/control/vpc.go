package control

import (
	"context"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// addMissingVPCs gives every account a default VPC in each region, for the
// regions that a new catalogue brings.
func (p *Plane) addMissingVPCs(ctx context.Context) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if err := addDefaultVPCs(tx, account.ID, p.catalog); err != nil {
				return err
			}
		}
		return nil
	})
}

// addDefaultVPCs makes the default VPCs that an account lacks, each with a
// range that none of its VPCs has.
func addDefaultVPCs(tx *store.Tx, account int64, catalog cloud.Catalog) error {
	have, err := tx.VPCs(account)
	if err != nil {
		return err
	}
	for _, region := range catalog.Regions {
		if slices.ContainsFunc(have, func(v cloud.VPC) bool { return v.Default && v.Region == region.Slug }) {
			continue
		}
		ipRange, err := freeRange(have)
		if err != nil {
			return err
		}
		v := cloud.VPC{
			ID: cloud.NewUUID(), Account: account, Name: "default-" + region.Slug, Region: region.Slug,
			IPRange: ipRange, Default: true, CreatedAt: tx.Now,
		}
		if err := tx.AddVPC(v); err != nil {
			return err
		}
		have = append(have, v)
	}
	return nil
}

func freeRange(have []cloud.VPC) (string, error) {
	for n := 0; ; n++ {
		ipRange, err := cloud.DefaultVPCRange(n)
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(have, func(v cloud.VPC) bool { return v.IPRange == ipRange }) {
			return ipRange, nil
		}
	}
}
