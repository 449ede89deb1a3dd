package api

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// appender is a body that writes its own JSON. The bodies that clients ask for
// most do: an answer with 200 Droplets is half a megabyte, nearly all of it the
// same regions, sizes and images again, which are encoded once and copied.
// A test compares what they write with encoding/json.
type appender interface {
	appendTo(b []byte) []byte
}

// encode is JSON as all answers are written.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// encoded is JSON of what always can be encoded: our own types, without
// interfaces.
func encoded(v any) []byte {
	data, err := encode(v)
	if err != nil {
		panic(err)
	}
	return data
}

// appendString writes a string. Nearly all are plain and only copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return append(b, encoded(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// object writes an object field by field.
type object struct {
	b    []byte
	next byte // what comes before the next field
}

func newObject(b []byte) *object { return &object{b, '{'} }

func (o *object) end() []byte {
	if o.next == '{' {
		o.b = append(o.b, '{')
	}
	return append(o.b, '}')
}

func (o *object) key(name string) {
	o.b = append(o.b, o.next, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
	o.next = ','
}

func (o *object) raw(name string, json []byte) {
	o.key(name)
	o.b = append(o.b, json...)
}

func (o *object) string(name, v string) {
	o.key(name)
	o.b = appendString(o.b, v)
}

func (o *object) int(name string, v int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

func (o *object) bool(name string, v bool) {
	o.key(name)
	o.b = strconv.AppendBool(o.b, v)
}

func (o *object) null(name string) {
	o.key(name)
	o.b = append(o.b, "null"...)
}

// array writes a list with f for each item.
func array[T any](o *object, name string, items []T, f func([]byte, T) []byte) {
	o.key(name)
	o.b = appendArray(o.b, items, f)
}

func appendArray[T any](b []byte, items []T, f func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = f(b, item)
	}
	return append(b, ']')
}

func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }
