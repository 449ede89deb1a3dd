package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cistern-cloud/cistern/internal/database"
)

// template is a database file with the schema and nothing in it. To make the
// schema takes half of a start, so a process that starts one server after the
// other, as tests do, makes it once.
var template struct {
	sync.Mutex
	starts int
	file   []byte
}

// prefill puts the schema into an ephemeral server's folder, unless it is the
// process's first such server: most have one only.
func (o *opened) prefill(ctx context.Context) error {
	if !o.Ephemeral {
		return nil
	}
	file, err := templateFile(ctx)
	if err != nil || file == nil {
		return err
	}
	return os.WriteFile(o.config().Path, file, 0o600)
}

func templateFile(ctx context.Context) ([]byte, error) {
	template.Lock()
	defer template.Unlock()
	template.starts++
	if template.file != nil || template.starts == 1 {
		return template.file, nil
	}
	var err error
	template.file, err = makeTemplate(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the schema: %w", err)
	}
	return template.file, nil
}

func makeTemplate(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "cistern-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, databaseFile)
	db, err := database.Open(ctx, database.Config{Path: path, Unsafe: true})
	if err != nil {
		return nil, err
	}
	_, err = migrate(ctx, db)
	if closed := db.Close(); err == nil { // which also leaves all in one file
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
