# One word per task; `make` alone lists them.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Tools are built from source once per machine and kept outside the checkout.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/otaria-tools
LINT_VERSION := v2.15.0
LINT := $(CACHE)/golangci-lint-$(LINT_VERSION)/golangci-lint

LISTEN ?= 127.0.0.1:8080
DATA ?= data
FUZZ_SECONDS ?= 60
BENCH_FLEETS ?= 10000,1000000
BENCH_FLAGS ?=

.PHONY: help run build test race lint format fuzz bench bench-micro e2e replay verify clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## build and start the server, with everything it keeps in ./data
	bin/otaria serve --listen $(LISTEN) --data $(DATA)

build: ## build the programs into bin/ (static; needs Go alone)
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: ## run all tests, on SQLite and PostgreSQL, with a real device client
	@scripts/need postgresql swupdate openssl
	go test -tags e2e ./...

# Those left out run one query after the other, which takes SQLite minutes under
# the detector, and no two goroutines meet; `make test` runs them.
race: ## run the tests under the race detector
	@scripts/need postgresql gcc
	go test -race -skip '^(TestFilterLimits|TestEveryFieldHasItsColumn|TestFiltersAreServedByIndexes)$$' ./...

lint: $(LINT) ## check style, likely bugs and the import rules
	$(LINT) run --allow-parallel-runners --build-tags e2e ./...

format: $(LINT) ## format the code as lint wants it
	$(LINT) fmt ./...

fuzz: ## fuzz every parser, FUZZ_SECONDS in all (default 60)
	@scripts/fuzz $(FUZZ_SECONDS)

bench: build ## measure the server under load, write docs/benchmarks.md (BENCH_FLEETS, BENCH_FLAGS)
	@scripts/need postgresql
	go run ./test/bench -fleets $(BENCH_FLEETS) -write docs/benchmarks.md $(BENCH_FLAGS)

bench-micro: ## measure single functions on the hot paths
	go test -run '^$$' -bench . -benchmem ./...

e2e: build ## update a real device (Debian's swupdate) end to end
	@scripts/need swupdate openssl
	go test -tags e2e -count 1 -v ./test/e2e/...

replay: build ## hold our answers against recorded conversations (RECORDINGS=DIR)
	@scripts/need python3
	test/replay/run

verify: ## fail when go.mod, generated files or downloaded modules are not as they should be
	go mod tidy -diff
	go mod verify
	go vet -tags e2e ./...

clean: ## remove what was built (not ./data)
	rm -rf bin dist

$(LINT):
	@echo "building golangci-lint $(LINT_VERSION) (a few minutes, once per machine)"
	GOBIN=$(dir $(LINT)) GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
