package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/cistern-cloud/cistern/internal/control"
	"github.com/cistern-cloud/cistern/internal/store"
)

// Accounts administers accounts and tokens.
type Accounts = control.Accounts

// Limits is how much an account may have.
type Limits = control.Limits

// WithAccounts opens the storage beside a server that may run, and calls f with
// its accounts.
func WithAccounts(ctx context.Context, s Storage, f func(Accounts) error) error {
	return withStore(ctx, s, func(db *store.DB) error { return f(Accounts{Store: db}) })
}

func withStore(ctx context.Context, s Storage, f func(*store.DB) error) error {
	return withOpened(ctx, s, func(*opened) error { return nil }, f)
}

// withSimulated is withStore for what real machines cannot be asked.
func withSimulated(ctx context.Context, s Storage, what string, f func(*store.DB) error) error {
	return withOpened(ctx, s, func(o *opened) error { return o.refuseReal(what) }, f)
}

func withOpened(ctx context.Context, s Storage, check func(*opened) error, f func(*store.DB) error) error {
	o, err := openBeside(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := check(o); err != nil {
		return err
	}
	n, err := pending(ctx, o.db)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Storage, err)
	}
	if n == files() {
		return fmt.Errorf("%s: there is no Cistern yet; start one with cistern serve", o.Storage)
	}
	if n > 0 {
		return fmt.Errorf("%s: the schema is of an earlier version; run cistern migrate, or start the server", o.Storage)
	}
	if err := o.clock.Restore(ctx, o.db); err != nil {
		return fmt.Errorf("%s: read the clock: %w", o.Storage, err)
	}
	db := store.New(o.db)
	err = f(db)
	return errors.Join(err, db.GiveBack(ctx))
}

// Migrate brings the schema up to date and returns how many steps that took. It
// refuses to change the schema under a server that runs.
func Migrate(ctx context.Context, s Storage) (int, error) {
	o, err := openBeside(ctx, s)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	n, err := pending(ctx, o.db)
	if err != nil || n == 0 {
		return 0, err
	}
	if o.Database == "" {
		release, err := lockFolder(o.Data)
		if err != nil {
			return 0, err
		}
		defer release()
	}
	return migrate(ctx, o.db)
}
