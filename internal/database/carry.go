package database

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table says which rows of a table are one owner's, and what they refer to:
// what it takes to carry them into another database. All columns are carried
// that the table has, whichever those are.
type Table struct {
	Name string
	// Owned is the condition on the rows of the owner whose number is $1.
	Owned string
	// Owner is the column of that number, or empty.
	Owner string
	// Fixed are columns that have one value in all rows that are carried. Neither
	// they nor the owner's number go with a row.
	Fixed map[string]any
	// Key are the columns that tell rows apart.
	Key []string
	// Values are what some columns may hold, as text; JSON is a value of what
	// others hold the JSON of.
	Values map[string][]string
	JSON   map[string]any
	Refs   []Ref
}

// Ref says that a column refers to a row of a table.
type Ref struct {
	Column    string
	Table, To string
	// Where limits it to rows that have a value in another column.
	Where, Is string
	// None is what refers to nothing, as text.
	None string
	// Loose refers to something that may be gone by now. If it is there, it must
	// not be another owner's.
	Loose bool
	// Else is the condition on rows of the database that are meant if those that
	// are carried have none, and Hint says what to do if there is none either.
	Else, Hint string
}

// Row is a row by its columns: int64, float64, string, bool or nil.
type Row map[string]any

// Rows are the rows of each table.
type Rows map[string][]Row

// column is one column of a table, and which of the four kinds it holds.
type column struct {
	name     string
	kind     string
	required bool // it cannot be NULL
	// defaulted says that rows need not have it: an older version did not.
	defaulted bool
}

// The kinds of columns that tables have.
const (
	integer = "integer"
	number  = "number"
	text    = "text"
	boolean = "boolean"
)

func scanColumn(row Scanner) (c column, err error) {
	var kind string
	if err := row.Scan(&c.name, &kind, &c.required, &c.defaulted); err != nil {
		return c, err
	}
	switch strings.ToLower(kind) {
	case "bigint":
		c.kind = integer
	case "double precision":
		c.kind = number
	case "boolean":
		c.kind = boolean
	default:
		c.kind = text
	}
	return c, nil
}

// columns reads which columns a table has.
func (t *Tx) columns(table string) ([]column, error) {
	query := `SELECT name, type, "notnull" <> 0, "notnull" = 0 OR dflt_value IS NOT NULL FROM pragma_table_info($1) ORDER BY cid`
	if t.db.postgres {
		query = `SELECT column_name, data_type, is_nullable = 'NO', is_nullable = 'YES' OR column_default IS NOT NULL
			FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`
	}
	return All(t, scanColumn, query, table)
}

// carried reads the columns of a table that go with a row.
func (t *Tx) carried(table Table) ([]column, error) {
	all, err := t.columns(table.Name)
	return slices.DeleteFunc(all, func(c column) bool {
		_, fixed := table.Fixed[c.name]
		return fixed || c.name == table.Owner
	}), err
}

// Export reads the rows of an owner. Their order is the same on both databases.
func (t *Tx) Export(tables []Table, owner int64) (Rows, error) {
	rows := Rows{}
	for _, table := range tables {
		columns, err := t.carried(table)
		if err != nil {
			return nil, err
		}
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.name
		}
		list, err := All(t, func(row Scanner) (Row, error) { return scanRow(row, columns) },
			`SELECT `+strings.Join(names, ", ")+` FROM `+table.Name+` WHERE `+table.Owned, owner)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", table.Name, err)
		}
		slices.SortFunc(list, table.compare)
		rows[table.Name] = list
	}
	return rows, nil
}

// scanRow reads a row as both databases would have it: SQLite keeps truth as a
// number.
func scanRow(row Scanner, columns []column) (Row, error) {
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range columns {
		places[i] = &values[i]
	}
	if err := row.Scan(places...); err != nil {
		return nil, err
	}
	r := Row{}
	for i, c := range columns {
		switch v := values[i].(type) {
		case []byte:
			r[c.name] = string(v)
		case int64:
			r[c.name] = v
			if c.kind == boolean {
				r[c.name] = v != 0
			}
		default:
			r[c.name] = v
		}
	}
	return r, nil
}

// compare orders rows by their keys.
func (table Table) compare(a, b Row) int {
	for _, name := range table.Key {
		order := 0
		if n, is := a[name].(int64); is {
			order = cmp.Compare(n, b[name].(int64))
		} else {
			order = strings.Compare(fmt.Sprint(a[name]), fmt.Sprint(b[name]))
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// Import adds rows that were exported from another database as those of an
// owner who has none. It trusts them in nothing: they cannot become another
// owner's, nor refer to anything of theirs.
func (t *Tx) Import(tables []Table, owner int64, rows Rows) error {
	c, err := t.checkRows(tables, rows)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := c.checkRefs(table); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if err := c.insert(table, owner); err != nil {
			return err
		}
	}
	return nil
}

// CheckRows finds out whether the rows of the tables are such as Export gives.
func (t *Tx) CheckRows(tables []Table, rows Rows) error {
	_, err := t.checkRows(tables, rows)
	return err
}

func (t *Tx) checkRows(tables []Table, rows Rows) (*carriage, error) {
	c := &carriage{
		t: t, rows: rows, columns: map[string][]column{}, keys: map[string]map[string]bool{}, looked: map[looked]bool{},
	}
	known := map[string]bool{}
	for _, table := range tables {
		known[table.Name] = true
		if err := c.check(table); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if !known[name] {
			return nil, fmt.Errorf("%s: there is no such table", name)
		}
	}
	return c, nil
}
