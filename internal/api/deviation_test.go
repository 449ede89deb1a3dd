package api_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// deviation is where answers leave the contract on purpose.
type deviation struct {
	operations string // those whose method and path begin so
	failure    string // a part of what the validator says
	reason     string

	occurred bool
}

// deviations is all of them. Each must occur while the tests run: one that no
// longer does is to be removed.
var deviations = []*deviation{
	{
		operations: "GET /v2/account", failure: `/account/droplet_limit: property "droplet_limit" is missing`,
		reason: "the contract's own text has it shown to tokens with droplet:read only",
	},
	{
		operations: "GET /v2/account", failure: `/account/floating_ip_limit: property "floating_ip_limit" is missing`,
		reason: "the contract's own text has it shown to tokens with reserved_ip:read only",
	},
	{
		operations: "POST /v2/images", failure: `/image/distribution: value is not one of the allowed values`,
		reason: "clients send the distribution Unknown OS and want it back",
	},
	{
		operations: "GET /v2/droplets", failure: `/image: property "image" is missing`,
		reason: "the contract's own text has it shown to tokens with image:read only",
	},
}

var deviationsMu sync.Mutex

// deviates reports whether a failure to fit the contract is on the list.
func deviates(operation, failure string) bool {
	deviationsMu.Lock()
	defer deviationsMu.Unlock()
	for _, d := range deviations {
		if strings.HasPrefix(operation, d.operations) && strings.Contains(failure, d.failure) {
			d.occurred = true
			return true
		}
	}
	return false
}

// reportUnusedDeviations fails a run of all tests in which a deviation did not
// occur.
func reportUnusedDeviations() (code int) {
	if c, _ := theContract(); c == nil {
		return 0
	}
	for _, d := range deviations {
		if !d.occurred {
			fmt.Fprintf(os.Stderr, "FAIL: the deviation %q of %s did not occur; remove it\n", d.failure, d.operations)
			code = 1
		}
	}
	return code
}

// failures lists what a validation found at the bottom of its errors, each with
// where it is.
func failures(err error) []string {
	if err == nil {
		return nil
	}
	if response, ok := errors.AsType[*openapi3filter.ResponseError](err); ok && response.Err != nil {
		err = response.Err
	}
	var all []string
	if many, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // one level at a time
		for _, one := range many {
			all = append(all, failures(one)...)
		}
		return all
	}
	if schema, ok := err.(*openapi3.SchemaError); ok && schema.Origin == nil { //nolint:errorlint // one level at a time
		return []string{"/" + strings.Join(schema.JSONPointer(), "/") + ": " + schema.Reason}
	}
	if inner := errors.Unwrap(err); inner != nil {
		return failures(inner)
	}
	return []string{err.Error()}
}
