package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/control"
)

// firstToken sees to it that the first account and its token are there, and
// returns the token if it is known, and the file that it is in.
func firstToken(ctx context.Context, accounts control.Accounts, o *opened, given string) (secret, path string, err error) {
	account, ok, err := accounts.First(ctx)
	if err != nil {
		return "", "", err
	}
	if !ok {
		if account, err = accounts.Add(ctx, "My Cistern", "owner@cistern.invalid"); err != nil {
			return "", "", err
		}
	}
	path = o.tokenFile()
	if given != "" {
		return given, path, useToken(ctx, accounts, account, given, path)
	}
	secret, err = keptToken(ctx, accounts, account, path)
	if err != nil || secret != "" {
		return secret, path, err
	}
	return addFirstToken(ctx, accounts, account, path)
}

// keptToken returns the token in the file if it is still one. A start that was
// cut off may have left it beside the file.
func keptToken(ctx context.Context, accounts control.Accounts, account cloud.Account, path string) (string, error) {
	for _, file := range []string{path + unfinished, path} {
		secret, err := readToken(file)
		if err != nil {
			return "", err
		}
		known, err := accounts.HasToken(ctx, account.ID, secret)
		if err != nil {
			return "", err
		}
		if known {
			return secret, os.Rename(file, path)
		}
	}
	return "", nil
}

// addFirstToken gives the first account a token if nobody has any. The row
// comes between the secret's file and that file's final name: cut off before
// the row, the secret is nobody's and the next start makes another; cut off
// after it, the next start finds the file.
func addFirstToken(ctx context.Context, accounts control.Accounts, account cloud.Account, path string) (secret, file string, err error) {
	tokens, err := accounts.Tokens(ctx)
	if err != nil || len(tokens) > 0 {
		return "", "", err // its owner knows the tokens, or makes one
	}
	secret = cloud.NewSecret()
	if err := writeToken(path+unfinished, secret); err != nil {
		return "", "", err
	}
	if err := addToken(ctx, accounts, account, secret); err != nil {
		return "", "", err
	}
	return secret, path, os.Rename(path+unfinished, path)
}

// useToken makes a secret that somebody chose a token of the account, unless it
// is one, and keeps it in the file.
func useToken(ctx context.Context, accounts control.Accounts, account cloud.Account, secret, path string) error {
	known, err := accounts.HasToken(ctx, account.ID, secret)
	if err != nil {
		return err
	}
	if !known {
		if err := addToken(ctx, accounts, account, secret); err != nil {
			return fmt.Errorf("--token: %w, with other rights or another account", err)
		}
	}
	if err := writeToken(path+unfinished, secret); err != nil {
		return err
	}
	return os.Rename(path+unfinished, path)
}

func addToken(ctx context.Context, accounts control.Accounts, account cloud.Account, secret string) error {
	_, err := accounts.AddToken(ctx, account.ID, "first", secret, cloud.Scopes{cloud.FullAccess}, 0)
	return err
}

// tokenFile is where the first token is kept.
func (o *opened) tokenFile() string { return o.file("token") }

func readToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(data)), err
}

// unfinished ends the name of a token's file until all is done.
const unfinished = ".new"

// writeToken writes a file for its owner's eyes only.
func writeToken(path, secret string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(secret+"\n"), 0o600)
}

// LocalToken reads the token that a server on this machine keeps beside its
// storage.
func LocalToken(s Storage) (string, error) {
	o, err := beside(s)
	if err != nil {
		return "", err
	}
	secret, err := readToken(o.tokenFile())
	if err == nil && secret == "" {
		err = fmt.Errorf("there is no token in %s; start a server with cistern serve, or name one with --api-url and --token", o.tokenFile())
	}
	return secret, err
}
