// Command cistern is a Droplet cloud that people run themselves.
package main

import (
	"os"

	"github.com/cistern-cloud/cistern/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
