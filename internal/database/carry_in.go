package database

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// carriage is what an import knows of the rows that it carries.
type carriage struct {
	t       *Tx
	rows    Rows
	columns map[string][]column
	keys    map[string]map[string]bool // of "table.column": the values there
	// looked are what was looked for in the database, and may be referred to.
	looked map[looked]bool
}

type looked struct {
	table, value string
	loose        bool
}

// check finds out whether each row has the columns of its table, and in them
// what they may hold. Numbers become what the database takes.
func (c *carriage) check(table Table) (err error) {
	if c.columns[table.Name], err = c.t.carried(table); err != nil {
		return err
	}
	seen := map[string]int{}
	for i, row := range c.rows[table.Name] {
		place := fmt.Sprintf("%s[%d]", table.Name, i)
		if err := c.checkRow(table, row, place); err != nil {
			return err
		}
		var key []string
		for _, name := range table.Key {
			key = append(key, fmt.Sprint(row[name]))
		}
		first, again := seen[strings.Join(key, "\x00")]
		if again {
			return fmt.Errorf("%s: it is the same as %s[%d], by %s", place, table.Name, first, strings.Join(table.Key, " and "))
		}
		seen[strings.Join(key, "\x00")] = i
	}
	return nil
}

func (c *carriage) checkRow(table Table, row Row, place string) error {
	for _, name := range slices.Sorted(maps.Keys(row)) {
		if !slices.ContainsFunc(c.columns[table.Name], func(c column) bool { return c.name == name }) {
			return fmt.Errorf("%s: there is no field %q", place, name)
		}
	}
	for _, column := range c.columns[table.Name] {
		v, there := row[column.name]
		if !there && column.defaulted {
			continue
		}
		if !there {
			return fmt.Errorf("%s: the field %q is missing", place, column.name)
		}
		v, err := column.value(v)
		if err == nil {
			err = table.allows(column.name, v)
		}
		if err != nil {
			return fmt.Errorf("%s.%s: %w", place, column.name, err)
		}
		row[column.name] = v
		c.note(table.Name+"."+column.name, v)
	}
	return nil
}

func (c *carriage) note(where string, v any) {
	if c.keys[where] == nil {
		c.keys[where] = map[string]bool{}
	}
	c.keys[where][fmt.Sprint(v)] = true
}

// kinds are what the kinds of columns are called.
var kinds = map[string]string{integer: "a whole number", number: "a number", text: "text", boolean: "true or false"}

// value makes what JSON has into what the column holds.
func (c column) value(v any) (any, error) {
	if v == nil {
		if c.required {
			return nil, fmt.Errorf("it is null, and has to be %s", kinds[c.kind])
		}
		return nil, nil
	}
	wrong := fmt.Errorf("it is %v, and has to be %s", v, kinds[c.kind])
	if n, is := v.(json.Number); is {
		var err error
		switch c.kind {
		case integer:
			v, err = n.Int64()
		case number:
			v, err = n.Float64()
		}
		if err != nil {
			return nil, wrong
		}
	}
	ok := false
	switch v := v.(type) {
	case int64:
		ok = c.kind == integer
	case float64:
		ok = c.kind == number
	case bool:
		ok = c.kind == boolean
	case string:
		ok = c.kind == text
		if strings.ContainsRune(v, 0) {
			return nil, errors.New("a text cannot have NUL in it")
		}
	}
	if !ok {
		return nil, wrong
	}
	return v, nil
}

// allows checks what a column may hold beyond its kind.
func (table Table) allows(name string, v any) error {
	if values, limited := table.Values[name]; limited && !slices.Contains(values, fmt.Sprint(v)) {
		return fmt.Errorf("%q is not one of %q", fmt.Sprint(v), values)
	}
	sample, is := table.JSON[name]
	if !is {
		return nil
	}
	holds := reflect.New(reflect.TypeOf(sample))
	if err := json.Unmarshal([]byte(fmt.Sprint(v)), holds.Interface()); err != nil {
		return fmt.Errorf("not the JSON that belongs there: %w", err)
	}
	return nil
}

// checkRefs finds what every row refers to.
func (c *carriage) checkRefs(table Table) error {
	for _, ref := range table.Refs {
		for i, row := range c.rows[table.Name] {
			v := fmt.Sprint(row[ref.Column])
			if ref.Where != "" && fmt.Sprint(row[ref.Where]) != ref.Is || v == ref.None || row[ref.Column] == nil {
				continue
			}
			if c.keys[ref.Table+"."+ref.To][v] {
				continue
			}
			looked := looked{ref.Table, v, ref.Loose}
			if c.looked[looked] {
				continue
			}
			if err := c.findRef(ref, v); err != nil {
				return fmt.Errorf("%s[%d].%s: %w", table.Name, i, ref.Column, err)
			}
			c.looked[looked] = true
		}
	}
	return nil
}

// findRef looks in the database for what the carried rows do not have.
func (c *carriage) findRef(ref Ref, v string) error {
	if !ref.Loose && ref.Else == "" {
		return fmt.Errorf("it refers to %s that is not among %s", v, ref.Table)
	}
	there, err := c.inDatabase(ref, v)
	switch {
	case err != nil:
		return err
	case ref.Loose && there:
		return fmt.Errorf("%s is among the %s of another account here", v, ref.Table)
	case !ref.Loose && !there:
		return fmt.Errorf("it refers to %s that is not among %s; %s", v, ref.Table, ref.Hint)
	}
	return nil
}

func (c *carriage) inDatabase(ref Ref, v string) (bool, error) {
	columns, err := c.t.columns(ref.Table)
	if err != nil {
		return false, err
	}
	var arg any = v
	for _, column := range columns {
		if column.name == ref.To && column.kind == integer {
			if arg, err = strconv.ParseInt(v, 10, 64); err != nil {
				return false, fmt.Errorf("%q is no number of any of %s", v, ref.Table)
			}
		}
	}
	condition := ref.To + ` = $1`
	if ref.Else != "" {
		condition += ` AND ` + ref.Else
	}
	n, err := One(c.t, Value[int64], `SELECT COUNT(*) FROM `+ref.Table+` WHERE `+condition, arg)
	return n > 0, err
}

// insert adds the rows of a table.
func (c *carriage) insert(table Table, owner int64) error {
	fixed := Row{}
	maps.Copy(fixed, table.Fixed)
	if table.Owner != "" {
		fixed[table.Owner] = owner
	}
	for i, row := range c.rows[table.Name] {
		whole := maps.Clone(fixed)
		maps.Copy(whole, row)
		_, err := c.t.insertRow(table.Name, whole)
		if errors.Is(err, ErrUnique) {
			return fmt.Errorf("%s[%d]: it, or what it alone can have, is here already (%s)", table.Name, i, table.describe(row))
		}
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", table.Name, i, err)
		}
	}
	return nil
}

func (t *Tx) insertRow(table string, row Row) (int64, error) {
	names := slices.Sorted(maps.Keys(row))
	places, args := make([]string, len(names)), make([]any, len(names))
	for i, name := range names {
		places[i], args[i] = "$"+strconv.Itoa(i+1), row[name]
	}
	return t.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(places, ", ")+`)`, args...)
}

// describe names a row by its key.
func (table Table) describe(row Row) string {
	var parts []string
	for _, name := range table.Key {
		parts = append(parts, fmt.Sprintf("%s %v", name, row[name]))
	}
	return strings.Join(parts, ", ")
}
