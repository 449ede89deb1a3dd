// Command bench measures the built binary and prints its figures, each beside
// something measured in the same run: these machines are noisy, and a ratio
// says more than a number.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
)

// config is what a run is told.
type config struct {
	binary   string
	postgres string
	many     int // Droplets in the large store
	few      int // and in the small one
	creates  int
	requests int
	waiting  int
	qemu     bool   // real machines, and nothing else
	only     string // the parts to measure, separated by commas; empty for all
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "bare" {
		serveBare(os.Args[2])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "connect" {
		connect(os.Args[2])
		return
	}
	var c config
	flag.StringVar(&c.binary, "cistern", "bin/cistern", "the binary to measure")
	flag.StringVar(&c.postgres, "postgres", os.Getenv("CISTERN_TEST_POSTGRES"), "PostgreSQL to measure on too")
	flag.IntVar(&c.many, "many", 100_000, "Droplets in the large store")
	flag.IntVar(&c.few, "few", 10_000, "Droplets in the small store")
	flag.IntVar(&c.creates, "creates", 8_000, "Droplets to create for one figure")
	flag.IntVar(&c.requests, "requests", 20_000, "GETs for one figure; lists take a fiftieth")
	flag.IntVar(&c.waiting, "waiting", 10_000, "operations to wait at once")
	flag.StringVar(&c.only, "only", "", "measure these parts only, of: "+strings.Join(partNames(), ","))
	flag.BoolVar(&c.qemu, "qemu", false, "measure real machines instead: minutes under emulation")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	fmt.Printf("%d processors, %s, %s\n", runtime.NumCPU(), runtime.Version(), c.binary)
	if c.qemu {
		fmt.Println("\nreal machines")
		return (&bench{config: c}).machines(ctx)
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		if kind == "postgres" && c.postgres == "" {
			fmt.Println("\npostgres: skipped, as no server is named (-postgres)")
			continue
		}
		fmt.Printf("\n%s\n", kind)
		b := &bench{config: c, kind: kind}
		if err := b.all(ctx); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}
