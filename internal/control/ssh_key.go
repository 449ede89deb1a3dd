package control

import (
	"context"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// AddSSHKey adds a public key to the account.
func (p *Plane) AddSSHKey(ctx context.Context, who cloud.Actor, name, publicKey string) (cloud.SSHKey, error) {
	if name == "" || publicKey == "" {
		return cloud.SSHKey{}, cloud.Invalid("Both name and public_key are required")
	}
	if err := cloud.CheckKeyName(name); err != nil {
		return cloud.SSHKey{}, err
	}
	fingerprint, err := cloud.KeyFingerprint(publicKey)
	if err != nil {
		return cloud.SSHKey{}, err
	}
	id, err := p.store.ID(ctx, store.KeyIDs)
	if err != nil {
		return cloud.SSHKey{}, err
	}
	key := cloud.SSHKey{ID: id, Account: who.Account, Name: name, PublicKey: publicKey, Fingerprint: fingerprint}
	err = p.store.Write(ctx, func(tx *store.Tx) error {
		added, err := tx.AddSSHKey(key)
		if err == nil && !added {
			err = cloud.Invalid("SSH Key is already in use on your account")
		}
		return err
	})
	return key, err
}

// SSHKey finds a key by its ID or fingerprint.
func (p *Plane) SSHKey(ctx context.Context, who cloud.Actor, identifier string) (key cloud.SSHKey, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		key, err = tx.SSHKey(who.Account, identifier)
		return err
	})
	return key, err
}

// SSHKeys lists the account's keys.
func (p *Plane) SSHKeys(ctx context.Context, who cloud.Actor, page cloud.Page) (keys []cloud.SSHKey, total int64, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		keys, total, err = tx.SSHKeys(who.Account, page)
		return err
	})
	return keys, total, err
}

// RenameSSHKey changes a key's name.
func (p *Plane) RenameSSHKey(ctx context.Context, who cloud.Actor, identifier, name string) (key cloud.SSHKey, err error) {
	err = p.store.Write(ctx, func(tx *store.Tx) (err error) {
		if key, err = tx.SSHKey(who.Account, identifier); err != nil {
			return err
		}
		if name == "" {
			return cloud.Invalid("name is required")
		}
		if err := cloud.CheckKeyName(name); err != nil {
			return err
		}
		key.Name = name
		return tx.RenameSSHKey(key.ID, name)
	})
	return key, err
}

// DeleteSSHKey removes a key from the account. Droplets keep it.
func (p *Plane) DeleteSSHKey(ctx context.Context, who cloud.Actor, identifier string) error {
	return p.store.Write(ctx, func(tx *store.Tx) error {
		key, err := tx.SSHKey(who.Account, identifier)
		if err != nil {
			return err
		}
		return tx.DeleteSSHKey(key.ID)
	})
}
