# make run    build the server and serve on http://127.0.0.1:7480 (ARGS='--flag value' are passed on)
# make run-qemu   serve real machines with one Droplet, and say how to log in (QEMU_DATA names the folder)
# make test   run every test, PostgreSQL included (PKG=./internal/store TESTFLAGS='-run Name' narrow it down)
# make test-clients  drive the built binary with the clients that people use
# make test-debian  build an image of Debian and start it: minutes, most of them once
# make fuzz   send what no test thought of for FUZZTIME, 20s by default (FUZZ_COVERAGE=on: guided by coverage, for longer runs)
# make lint   check the formatting and what the linters find
# make bench  measure the built binary, each figure beside a yardstick of the same run (ARGS are passed on)
# make bench-qemu  measure real machines, beside the same command line started by hand

PKG       ?= ./...

# A checkout without git, without commits or owned by someone else is "dev".
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/cistern-cloud/cistern/internal/cli.version=$(VERSION)

# Go's own stamp fails in a checkout that someone else owns, as in many containers; the version is stamped above.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)

.PHONY: build run run-qemu test test-clients test-debian fuzz lint bench bench-qemu clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/cistern ./cmd/cistern
	@if [ "$$(go env GOOS)" = linux ]; then GOOS= GOARCH= go run ./scripts/checkstatic bin/cistern; fi

run: build
	./bin/cistern serve $(ARGS)

run-qemu: build
	@scripts/with-qemu scripts/run-qemu $(ARGS)

test:
	@scripts/with-postgres scripts/with-clients scripts/with-qemu scripts/test $(TESTFLAGS) $(PKG)
ifeq ($(PKG),./...)
	@RACE=off scripts/with-postgres scripts/test $(TESTFLAGS) ./internal/cli # what cannot run with the race detector
endif

test-clients:
	@RACE=off scripts/with-clients scripts/test $(TESTFLAGS) ./test/clients
	@RACE=off scripts/test $(TESTFLAGS) -run Godo ./internal/api

test-debian: # with what it measures
	@CISTERN_TEST_DEBIAN=on scripts/with-qemu go test -count=1 -timeout 60m -v $(TESTFLAGS) -run Debian ./internal/engine/qemu/image ./internal/engine/qemu

fuzz:
	@scripts/fuzz

lint:
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "These files need gofmt -w:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	scripts/golangci-lint run

bench: build
	@scripts/with-postgres go run ./test/bench -cistern bin/cistern $(ARGS)

bench-qemu: build
	@scripts/with-qemu go run ./test/bench -cistern bin/cistern -qemu $(ARGS)

clean:
	rm -rf bin
