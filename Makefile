# `make` alone lists what there is. Needs Go, make and bash; the rest is installed or built when it is wanted.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-builtin-rules

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error this Makefile needs GNU make 3.82 or newer; on macOS: brew install make, then gmake)
endif

MODULES  := proto sql pkg services bench
PACKAGES := $(MODULES:%=rollcall.dev/%/...)
TOOLS    := $(CURDIR)/.tools
PAGES    := services/console/internal/pages

# One setting for everything but the race detector, so that linting, building and running share the build cache.
export CGO_ENABLED := 0

# Where git does not read this checkout (somebody else's, or none at all), Go cannot stamp the version.
ifneq ($(shell git rev-parse HEAD >/dev/null 2>&1 && echo readable),readable)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

COMPOSE = $(shell if docker compose version >/dev/null 2>&1; then echo docker compose; else echo docker-compose; fi)

##@ Try it

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9\/-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)); echo

.PHONY: demo
demo: deps-postgres build ## build all, mirror 1,000 users from the sandbox, and compare
	@exec bin/rollcall dev --demo

.PHONY: demo-giving
demo-giving: deps-postgres build ## build all, send 20 donations to the sandbox's Virtuous, and follow them for four days of a clock that is moved
	@exec bin/rollcall dev --demo-giving

##@ Work on it

.PHONY: build
build: ## build every service into bin/
	@echo "building every service into bin/"
	mkdir -p bin
	go build -trimpath -o bin/ rollcall.dev/services/...

# Packages share one throw-away Postgres; testkit gives each test a database of its own. What starts it is built with
# -race too, so that nothing is compiled twice. Its files and those of NATS are in memory where 4 GiB are free: on a disk, a quarter
# of the time goes into making and deleting the files of databases and streams that live for seconds. Three packages at once: tests
# wait more than they compute. The acceptance tests keep the cores busy alone, and have time limits of their own. `make lint` vets.
.PHONY: test
test: export CGO_ENABLED := 1
test: export GORACE := atexit_sleep_ms=20 # by default a program with the race detector sleeps for a second before it exits
test: deps ## run all tests, with the race detector
	free=$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1 || true)
	if (($${free:-0} > 4 << 20)); then in=/dev/shm; else in=; fi
	programs=$$(mktemp -d); trap 'rm -rf "$$programs"' EXIT
	export ROLLCALL_TEST_PROGRAMS=$$programs # what tests start: no test's time goes into compiling it
	go build -race -ldflags='-s -w' -o "$$programs" rollcall.dev/services/...
	acceptance=rollcall.dev/services/acceptance status=0
	others=$$(go list $(PACKAGES) | grep -vx "$$acceptance")
	tested() { go run -race rollcall.dev/pkg/testkit/withpostgres -in "$$in" -- go test -race -vet=off -timeout 14m "$$@" || status=1; }
	tested -p 3 $$others
	tested "$$acceptance"
	exit $$status

# By hand, for hours: every test at full size, outages of ten minutes, a hundred thousand customers, and the upgrade of
# an installation of the revision PREVIOUS.
.PHONY: test/long
test/long: deps ## by hand, for hours: all at full size, and the upgrade from PREVIOUS=<revision>
	@[[ -n "$${PREVIOUS:-}" ]] || { echo "PREVIOUS is missing: the revision to upgrade from" >&2; exit 1; }
	dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir"; git worktree prune' EXIT
	git worktree add --quiet --detach "$$dir" "$$PREVIOUS"
	mkdir -p bin/previous
	(cd "$$dir" && go build -trimpath -o $(CURDIR)/bin/previous/ rollcall.dev/services/...)
	go run rollcall.dev/pkg/testkit/withpostgres -- deploy/test-long $(CURDIR)/bin/previous

# What is measured, and how to read it: docs/benchmarks.md. BENCH_FLAGS may say -row, -rounds, -compare, and more: bench/README.md.
.PHONY: bench bench/giving
bench: ## measure what users have, such as backfills, polls and redrives, against the least that such a thing takes (most of an hour)
bench/giving: rows := -row giving
bench/giving: ## measure deliveries, inbound application and capture against the least that such a thing takes
bench bench/giving: deps-postgres
	@mkdir -p bin/bench
	go build -trimpath -o bin/bench/ $(addprefix rollcall.dev/services/,onboarding backfill poller dlqretry webhooks donations sandbox) rollcall.dev/bench/...
	bin/bench/bench -out bin/$(subst /,-,$@).json $(rows) $(BENCH_FLAGS)

.PHONY: bench/go
bench/go: deps-postgres ## run the Go benchmarks of single parts
	go run rollcall.dev/pkg/testkit/withpostgres -- \
		go test -run '^$$' -bench . -benchmem -p 1 -timeout 30m rollcall.dev/pkg/... rollcall.dev/services/...

.PHONY: lint
lint: lint-format lint-words lint-observability lint-modules lint-generated lint-proto lint-code ## check format, modules, generated code and every rule of the house

.PHONY: format
format: $(TOOLS)/.built ## format all code, and mend what the linters can mend by themselves
	$(TOOLS)/golangci-lint fmt $(MODULES:%=./%/...)
	$(TOOLS)/golangci-lint run --fix $(MODULES:%=./%/...)

.PHONY: generate
generate: $(TOOLS)/.built ## write the Go that buf, sqlc and templ make
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT
	$(call generate-into,"$$dir")
	find proto -name '*.pb.go' -delete; rm -f pkg/store/internal/db/*.go pkg/store/internal/direct/*.go
	cp -R "$$dir/proto" "$$dir/pkg" .
	$(TOOLS)/templ generate -path $(PAGES)

.PHONY: deps
deps: deps-postgres deps-pooler deps-race ## install what tests and the demo need: Postgres, PgBouncer, a C compiler for -race

.PHONY: tools
tools: $(TOOLS)/.built ## build the pinned tools into .tools/

.PHONY: clean
clean: ## remove what was built (not .rollcall/, the data of `rollcall dev`, nor .env)
	rm -rf bin .tools

##@ Run it in containers

BACKFILL ?= 1

# What the image says of itself.
up images: export VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
up images: export REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)

.PHONY: up
up: ## build the image and bring everything up, sandbox included; BACKFILL=3: with three workers
	$(COMPOSE) up --detach --build --remove-orphans --scale backfill=$(BACKFILL)

.PHONY: down
down: ## stop everything; the volumes stay
	$(COMPOSE) down --remove-orphans

.PHONY: migrate
migrate: ## create or update tables, streams and consumers; may be run at any time
	$(COMPOSE) run --rm migrate

.PHONY: images
images: ## build the image with all programs
	$(COMPOSE) build

.PHONY: offline
offline: ## build what a registry would have (Go, NATS, Postgres) on this machine, and use it from now on
	@deploy/offline/build
	umask 077
	touch .env
	grep -q '^COMPOSE_FILE=' .env || echo 'COMPOSE_FILE=docker-compose.yml:docker-compose.offline.yml' >> .env
	grep -q '^BUILD_IMAGE=' .env || echo 'BUILD_IMAGE=localhost/rollcall-golang' >> .env
	echo "Go, NATS and Postgres come from this machine's own images: .env says so"

# Chromium drives the console of a whole installation. The programs are built before the clock starts. The short journey is for CI.
.PHONY: test/e2e test/e2e-long
test/e2e-long: e2e := -tags e2e,long -timeout 15m
test/e2e test/e2e-long: e2e ?= -tags e2e -timeout 4m
test/e2e: ## use the console as people do: every service, a browser, one journey
test/e2e-long: ## by hand: the long journey, too, through every page and act; pictures of each page are in screenshots/
test/e2e-long: export ROLLCALL_SCREENSHOTS ?= $(CURDIR)/screenshots
test/e2e test/e2e-long: deps-postgres deps-chromium
	programs=$$(mktemp -d); trap 'rm -rf "$$programs"' EXIT
	export ROLLCALL_TEST_PROGRAMS=$$programs
	go build -ldflags='-s -w' -o "$$programs" rollcall.dev/services/...
	free=$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1 || true)
	if (($${free:-0} > 4 << 20)); then in=/dev/shm; else in=; fi
	go run rollcall.dev/pkg/testkit/withpostgres -in "$$in" -- go test -count=1 $(e2e) rollcall.dev/services/acceptance/browser

.PHONY: test/compose
test/compose: ## bring it up in containers of its own, crash and restart it, remove it; nothing without an engine
	@deploy/test-compose

# What stands below is not for the help text.

.PHONY: deps-postgres deps-pooler deps-race deps-chromium
deps-postgres:
	@.ci/deps postgres
deps-pooler:
	@.ci/deps pooler
deps-race:
	@.ci/deps race
deps-chromium:
	@.ci/deps chromium

.PHONY: lint-format lint-words lint-observability lint-modules lint-generated lint-proto lint-code
lint-format:
	@unformatted=$$(gofmt -l $(MODULES))
	if [[ -n $$unformatted ]]; then printf 'not formatted by gofmt:\n%s\n' "$$unformatted" >&2; exit 1; fi

# The checker's own test runs here, since `make test` leaves the tools' module out.
lint-words:
	GOWORK=off go -C tools test ./words
	GOWORK=off go -C tools run ./words ..

# The rules and dashboards, in a module of its own for the sake of Prometheus' parser.
lint-observability:
	GOWORK=off go -C deploy/observability/check test -count=1 ./... # it reads files outside of its module, which the cache does not know

# Each module also stands alone, outside the workspace.
lint-modules:
	@for module in $(MODULES) tools deploy/observability/check; do
		GOWORK=off go -C $$module mod tidy -diff || { echo "$$module: run 'GOWORK=off go -C $$module mod tidy'" >&2; exit 1; }
	done
	for module in $(MODULES); do GOWORK=off go build -C $$module ./...; done

# Made aside and compared: lint writes nothing, and works without git.
lint-generated: $(TOOLS)/.built
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT
	$(call generate-into,"$$dir")
	diff --recursive --brief proto "$$dir/proto" && \
	diff --recursive --brief pkg/store/internal "$$dir/pkg/store/internal" && \
	cp -R $(PAGES) "$$dir/pages" && $(TOOLS)/templ generate -path "$$dir/pages" >/dev/null 2>&1 && \
	diff --recursive --brief $(PAGES) "$$dir/pages" || \
		{ echo "generated code is not what its sources make: run 'make generate'" >&2; exit 1; }

lint-proto: $(TOOLS)/.built
	cd proto && $(TOOLS)/buf lint

lint-code: $(TOOLS)/.built
	go vet -tags compose,e2e,long $(PACKAGES)
	$(TOOLS)/golangci-lint run $(MODULES:%=./%/...)

# A target's lines are one script, so that traps and variables hold.
.ONESHELL:

define generate-into
mkdir -p $(1)/pkg/store/internal/db $(1)/pkg/store/internal/direct
cp -R proto sql $(1)
find $(1)/proto -name '*.pb.go' -delete
(cd $(1)/proto && PATH="$(TOOLS):$$PATH" buf generate)
(cd $(1)/sql && $(TOOLS)/sqlc generate)
rm -rf $(1)/sql
endef

$(TOOLS)/.built: tools/go.mod tools/go.sum
	@echo "building the pinned tools into .tools/ (minutes, the first time)"
	mkdir -p $(TOOLS)
	GOWORK=off go build -C tools -o $(TOOLS)/ tool
	touch $@
