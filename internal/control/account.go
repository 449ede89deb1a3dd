package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Authenticate finds who a bearer token belongs to. It asks the store each
// time, so that a token revoked is a token refused.
func (p *Plane) Authenticate(ctx context.Context, secret string) (cloud.Actor, error) {
	refused := cloud.Errorf(cloud.CodeUnauthorized, "Unable to authenticate you.")
	var token cloud.Token
	err := p.store.Peek(ctx, func(tx *store.Tx) (err error) {
		token, err = tx.TokenByHash(cloud.HashSecret(secret))
		return err
	})
	if cloud.IsNotFound(err) || err == nil && token.Expired(p.store.Now()) {
		return cloud.Actor{}, refused
	}
	return cloud.Actor{Account: token.Account, Token: token.ID, TokenName: token.Name, Scopes: token.Scopes}, err
}

// Account reads the actor's own account.
func (p *Plane) Account(ctx context.Context, who cloud.Actor) (account cloud.Account, err error) {
	err = p.store.Read(ctx, func(tx *store.Tx) (err error) {
		account, err = tx.Account(who.Account)
		return err
	})
	return account, err
}

// Accounts administers accounts and their tokens. The commands of the binary
// use it beside a running server.
type Accounts struct {
	Store *store.DB
}

// Add makes an account. Its email tells it apart from the others.
func (a Accounts) Add(ctx context.Context, name, email string) (cloud.Account, error) {
	if err := cloud.CheckEmail(email); err != nil {
		return cloud.Account{}, err
	}
	id, err := a.Store.ID(ctx, store.AccountIDs)
	if err != nil {
		return cloud.Account{}, err
	}
	account := cloud.Account{
		ID: id, UUID: cloud.NewUUID(), Name: name, Email: email, ProjectID: cloud.NewUUID(), CreatedAt: a.Store.Now(),
		DropletLimit: cloud.DefaultLimit, VolumeLimit: cloud.DefaultLimit, ReservedIPLimit: cloud.DefaultLimit,
	}
	err = a.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.AddAccount(account); err != nil {
			return err
		}
		return addDefaultVPCs(tx, account.ID)
	})
	if errors.Is(err, store.ErrUnique) {
		return account, fmt.Errorf("there is an account with the email %s already", email)
	}
	if err != nil {
		return account, err
	}
	// A server that has set another catalogue meanwhile did not see the account
	// yet: its new regions are made up for.
	return account, a.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockAccount(account.ID); err != nil {
			return err
		}
		return addDefaultVPCs(tx, account.ID)
	})
}

// List lists all accounts.
func (a Accounts) List(ctx context.Context) (accounts []cloud.Account, err error) {
	err = a.Store.Read(ctx, func(tx *store.Tx) (err error) {
		accounts, err = tx.Accounts()
		return err
	})
	return accounts, err
}

// Limits is how much an account may have; what is nil stays as it is.
type Limits struct {
	Droplets, Volumes, ReservedIPs *int64
}

// SetLimits changes how much an account may have. What it has above that stays;
// it gets no more until it has less.
func (a Accounts) SetLimits(ctx context.Context, id int64, l Limits) (account cloud.Account, err error) {
	err = a.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := tx.LockAccount(id); err != nil {
			return err
		}
		if account, err = tx.Account(id); err != nil {
			return err
		}
		for _, change := range []struct{ limit, to *int64 }{
			{&account.DropletLimit, l.Droplets}, {&account.VolumeLimit, l.Volumes}, {&account.ReservedIPLimit, l.ReservedIPs},
		} {
			if change.to != nil {
				*change.limit = *change.to
			}
		}
		return tx.SetLimits(id, account.DropletLimit, account.VolumeLimit, account.ReservedIPLimit)
	})
	if cloud.IsNotFound(err) {
		err = fmt.Errorf("there is no account %d; see cistern account list", id)
	}
	return account, err
}

// AddToken makes a token with a secret and returns it. A secret that is in use
// is refused.
func (a Accounts) AddToken(ctx context.Context, account int64, name, secret string, scopes cloud.Scopes, lives time.Duration) (cloud.Token, error) {
	id, err := a.Store.ID(ctx, store.TokenIDs)
	if err != nil {
		return cloud.Token{}, err
	}
	token := cloud.Token{ID: id, Account: account, Name: name, Scopes: scopes, CreatedAt: a.Store.Now()}
	if lives > 0 {
		token.ExpiresAt = token.CreatedAt.Add(lives)
	}
	err = a.Store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Account(account); err != nil {
			return fmt.Errorf("there is no account %d; see cistern account list", account)
		}
		return tx.AddToken(token, cloud.HashSecret(secret))
	})
	if errors.Is(err, store.ErrUnique) {
		return token, fmt.Errorf("this token exists already")
	}
	return token, err
}

// Tokens lists all tokens; nobody can read their secrets again.
func (a Accounts) Tokens(ctx context.Context) (tokens []cloud.Token, err error) {
	err = a.Store.Read(ctx, func(tx *store.Tx) (err error) {
		tokens, err = tx.Tokens()
		return err
	})
	return tokens, err
}

// RevokeToken ends a token at once.
func (a Accounts) RevokeToken(ctx context.Context, id int64) error {
	err := a.Store.Write(ctx, func(tx *store.Tx) error { return tx.DeleteToken(id) })
	if cloud.IsNotFound(err) {
		return fmt.Errorf("there is no token %d; see cistern token list", id)
	}
	return err
}

// First is the account that `serve` made at its first start. It reports
// whether there is one.
func (a Accounts) First(ctx context.Context) (account cloud.Account, ok bool, err error) {
	err = a.Store.Read(ctx, func(tx *store.Tx) (err error) {
		account, err = tx.FirstAccount()
		return err
	})
	if cloud.IsNotFound(err) {
		return account, false, nil
	}
	return account, err == nil, err
}

// HasToken reports whether a secret is a token of the account with full access
// and no end.
func (a Accounts) HasToken(ctx context.Context, account int64, secret string) (bool, error) {
	var token cloud.Token
	err := a.Store.Read(ctx, func(tx *store.Tx) (err error) {
		token, err = tx.TokenByHash(cloud.HashSecret(secret))
		return err
	})
	if cloud.IsNotFound(err) {
		return false, nil
	}
	return token.Account == account && token.Scopes.Has(cloud.FullAccess) && token.ExpiresAt.IsZero(), err
}
