package databasetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	goosedb "github.com/pressly/goose/v3/database"

	"github.com/cistern-cloud/cistern/internal/database"
)

// Dump writes a SQLite database as SQL that both databases understand: its
// tables and indexes as they were made, and every row. The tables that remember
// migrations are left out, since each database has its own.
func Dump(t testing.TB, c database.Config) string {
	t.Helper()
	db := openRaw(t, c)
	var tables []string
	var text strings.Builder
	eachRow(t, db, `SELECT type, name, sql FROM sqlite_schema
		WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%\_schema' ESCAPE '\' ORDER BY rowid`,
		func(row []any, _ []*sql.ColumnType) {
			if row[0] == "table" {
				tables = append(tables, fmt.Sprint(row[1]))
			}
			fmt.Fprintf(&text, "%s;\n", row[2])
		})
	for _, table := range tables {
		rows := 0
		text.WriteString("\n")
		eachRow(t, db, "SELECT * FROM "+table, func(row []any, types []*sql.ColumnType) {
			values := make([]string, len(row))
			for i, v := range row {
				values[i] = literal(v, types[i])
			}
			fmt.Fprintf(&text, "INSERT INTO %s VALUES (%s);\n", table, strings.Join(values, ", "))
			rows++
		})
		if rows == 0 {
			t.Errorf("the sample has no row in %s", table)
		}
	}
	return text.String()
}

// Restore fills the empty database that c names with a dump, as a program left
// it whose newest migration was the given one.
func Restore(t testing.TB, c database.Config, m database.Migrations, version int64, dump string) {
	t.Helper()
	db := openRaw(t, c)
	if _, err := db.Exec(dump); err != nil {
		t.Fatalf("restore the dump: %v", err)
	}
	dialect := goosedb.DialectSQLite3
	if c.URL != "" {
		dialect = goosedb.DialectPostgres
	}
	versions, err := goosedb.NewStore(dialect, m.Table)
	if err != nil {
		t.Fatal(err)
	}
	if err := versions.CreateVersionTable(context.Background(), db); err != nil {
		t.Fatal(err)
	}
	for v := range version + 1 { // the first is what an empty database has
		if err := versions.Insert(context.Background(), db, goosedb.InsertRequest{Version: v}); err != nil {
			t.Fatal(err)
		}
	}
}

// openRaw opens a database with nothing between it and the test.
func openRaw(t testing.TB, c database.Config) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", c.Path
	if c.URL != "" {
		driver, dsn = "pgx", c.URL
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func eachRow(t testing.TB, db *sql.DB, query string, f func([]any, []*sql.ColumnType)) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row, places := make([]any, len(types)), make([]any, len(types))
		for i := range row {
			places[i] = &row[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		f(row, types)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// literal writes a value as both databases read it. SQLite keeps truth as a
// number, which PostgreSQL does not take.
func literal(v any, column *sql.ColumnType) string {
	number, _ := v.(int64)
	switch {
	case v == nil:
		return "NULL"
	case column.DatabaseTypeName() == "BOOLEAN":
		return strings.ToUpper(fmt.Sprint(v == true || number != 0))
	}
	if text, ok := v.(string); ok {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return fmt.Sprint(v)
}
