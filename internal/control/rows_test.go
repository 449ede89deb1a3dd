package control

import (
	"slices"

	"github.com/cistern-cloud/cistern/internal/database"
)

// Setting a scene takes longer than most tests of it. Those that need the same
// one many times over keep a copy of all rows, and put it back.

// tables lists the tables of the cloud and of the hypervisor in the order in
// which they were made, so that what a row refers to comes before it.
func (c *testCloud) tables(t *database.Tx) ([]string, error) {
	list := `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid`
	if c.db.Postgres() {
		list = `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid`
	}
	all, err := database.All(t, database.Value[string], list)
	return slices.DeleteFunc(all, func(name string) bool {
		return len(name) > 5 && name[:5] == "kept_" || name == "cistern_schema" || name == "sim_schema" || name == "sqlite_sequence"
	}), err
}

// keepRows copies every row.
func (c *testCloud) keepRows() {
	c.Helper()
	c.eachTable(func(t *database.Tx, tables []string) error {
		for _, table := range tables {
			if _, err := t.Exec(`CREATE TABLE kept_` + table + ` AS SELECT * FROM ` + table); err != nil {
				return err
			}
		}
		return nil
	})
}

// putRowsBack makes all tables what they were when their rows were kept.
func (c *testCloud) putRowsBack() {
	c.Helper()
	c.eachTable(func(t *database.Tx, tables []string) error {
		for _, table := range slices.Backward(tables) {
			if _, err := t.Exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		for _, table := range tables {
			if _, err := t.Exec(`INSERT INTO ` + table + ` SELECT * FROM kept_` + table); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *testCloud) eachTable(do func(t *database.Tx, tables []string) error) {
	c.Helper()
	err := c.db.Write(c.Context(), func(t *database.Tx) error {
		tables, err := c.tables(t)
		if err != nil {
			return err
		}
		return do(t, tables)
	})
	if err != nil {
		c.Fatal(err)
	}
}
