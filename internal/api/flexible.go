package api

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/cistern-cloud/cistern/internal/cloud"
)

// The types below read JSON as the many clients of the API write it.

// boolean is true or false, also as a string: DOBOTO sends "true".
type boolean bool

// UnmarshalJSON reads a boolean.
func (b *boolean) UnmarshalJSON(data []byte) error {
	text := strings.ToLower(strings.Trim(string(data), `"`))
	switch text {
	case "true", "1":
		*b = true
	case "false", "0", "null", "":
		*b = false
	default:
		return wrongType[boolean](data)
	}
	return nil
}

// integer is a whole number, also as a string or with a fraction of zero.
type integer int64

// UnmarshalJSON reads a whole number.
func (i *integer) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "null" || text == "" {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*i = integer(n)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return wrongType[integer](data)
	}
	*i = integer(f)
	return nil
}

// identifier is an ID or a name: a string, or a number as its digits. A UUID is
// in lower case, however it is written.
type identifier string

// UnmarshalJSON reads an identifier.
func (i *identifier) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var text string
		err := json.Unmarshal(data, &text)
		*i = identifier(cloud.LowerUUID(text))
		return err
	}
	var n integer
	if err := n.UnmarshalJSON(data); err != nil {
		return wrongType[identifier](data)
	}
	if n != 0 {
		*i = identifier(strconv.FormatInt(int64(n), 10))
	}
	return nil
}

// volumeName names a volume as a string, or as godo does, as an object with an
// id or a name.
type volumeName string

// UnmarshalJSON reads a volume's name.
func (v *volumeName) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return (*identifier)(v).UnmarshalJSON(data)
	}
	var object struct {
		ID   identifier `json:"id"`
		Name string     `json:"name"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*v = volumeName(object.ID)
	if *v == "" {
		*v = volumeName(object.Name)
	}
	return nil
}

// uuid is a string that names something by its UUID, in lower case.
type uuid string

// UnmarshalJSON reads a UUID.
func (u *uuid) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	*u = uuid(cloud.LowerUUID(text))
	return err
}

// wrongType is of a value that a T cannot be read from. The decoder adds which
// field that was.
func wrongType[T any](data []byte) error {
	return &json.UnmarshalTypeError{Value: string(data), Type: reflect.TypeFor[T]()}
}

// maxListed is how many keys or tags a request may list. Each is looked up by
// itself, in a transaction that others wait for.
const maxListed = 1000

func checkListed(field string, n int) error {
	if n > maxListed {
		return cloud.Invalid("%s lists %d items; at most %d can be given", field, n, maxListed)
	}
	return nil
}

// strs turns a list of names into strings.
func strs[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = string(name)
	}
	return out
}

// clip keeps what a message repeats of a request short.
func clip(text string) string { return cloud.Clip(text, 60) }
