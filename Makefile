# The front door. `make help` lists what there is.
#
# Cargo always gets --workspace and one target folder: without it the feature sets change, and a
# touched file rebuilds for minutes instead of seconds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Cargo.lock is committed: a build that would change it is an error. Overridden while working on it.
CARGO_FLAGS ?= --locked
# Arguments for the server: make run ARGS="--listen 127.0.0.1:9000"
ARGS ?=
# Arguments for the load generator: make bench BENCH="turns --sockets 200 --out result.md"
BENCH ?=
# Whether bench-retrieval tells what it missed.
MISSES ?=
# A folder with a sentence model for bench-retrieval, as sentence-transformers writes it.
MODEL ?=
# Inputs for each parser in `make fuzz`.
FUZZ ?= 1000000
# Megabytes of logs for bench-logs.
LOGS ?= 800
# The folder of labelled logs for bench-patterns: one folder a system, as loghub lays them out.
LOGHUB ?= ../shared/data/loghub

target := $(or $(CARGO_TARGET_DIR),target)
binary := $(target)/debug/callboard
page := web/dist/index.html
packages := web/node_modules/.package-lock.json
page_sources := $(shell find web/src web/public web/build web/index.html web/*.json web/*.ts \
	-type f 2>/dev/null)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: build ## Build what changed and start the server on 127.0.0.1:8080
	exec $(binary) serve $(ARGS)

.PHONY: build
build: $(page) ## Build the page, if its sources changed, and the server
	cargo build --workspace --bins $(CARGO_FLAGS)

$(packages): web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	touch $@

$(page): $(packages) $(page_sources)
	cd web && npm run build
	touch $@

.PHONY: test
test: ## Run everything: installs what it lacks, SQLite and PostgreSQL, page, browser
	scripts/test

.PHONY: wall
wall: $(page) ## Meet every fault a thousand times, and hold 10,000 calls against the bills
	CALLBOARD_WALL_REPETITIONS=1000 scripts/with-services \
		cargo test --workspace --test api $(CARGO_FLAGS) -- wall:: --nocapture
	CALLBOARD_TEST_CALLS=10000 scripts/with-services \
		cargo test --workspace --test api $(CARGO_FLAGS) -- bills:: --nocapture

.PHONY: test-fast
test-fast: $(page) ## Run the unit tests of the crates and of the page, without services
	cargo test --workspace --lib --bins $(CARGO_FLAGS)
	cd web && npm test

.PHONY: lint
lint: $(packages) ## Check formatting, clippy, the page, the scripts, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(CARGO_FLAGS) -- -D warnings
	cd web && npm run lint
	scripts/check-layers
	@if command -v shellcheck >/dev/null; then \
		shellcheck -x -P scripts scripts/* .ci/run; \
	else echo "shellcheck is not installed: the scripts were not checked"; fi
	@if command -v cargo-deny >/dev/null; then \
		cargo deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: the licences were not checked"; fi

.PHONY: fmt
fmt: $(packages) ## Format the Rust code and the page
	cargo fmt --all
	cd web && npm run format

.PHONY: bench
bench: $(page) ## Run the benchmarks of the crates and the load generator
	cargo build --release --workspace --bins $(CARGO_FLAGS)
	cargo bench --workspace --bench logs $(CARGO_FLAGS)
	$(target)/release/callboard-bench --server $(target)/release/callboard $(BENCH)

.PHONY: bench-gateway
bench-gateway: $(page) ## Measure the gateway on one core, beside the direct call
	cargo build --profile dist --workspace --bins $(CARGO_FLAGS)
	$(target)/dist/callboard-bench gateway --server $(target)/dist/callboard $(BENCH)

.PHONY: bench-patterns
bench-patterns: ## Measure template mining on the samples in LOGHUB
	cargo bench --workspace --bench patterns $(CARGO_FLAGS) -- $(abspath $(LOGHUB))

.PHONY: bench-logs
bench-logs: ## Measure indexing and searching of 800 MB, beside plain tantivy: LOGS=100 for 100 MB
	cargo bench --workspace --bench corpus $(CARGO_FLAGS) -- $(LOGS)

.PHONY: bench-retrieval
bench-retrieval: ## Measure how well questions find their lines: MODEL=FOLDER for meaning, MISSES=--misses to see
	cargo bench --workspace --bench retrieval $(CARGO_FLAGS) -- $(MISSES) $(if $(MODEL),--model $(MODEL))

.PHONY: fuzz
fuzz: ## Give every parser, decoder and query a million inputs: FUZZ=1000 for fewer
	PROPTEST_CASES=$(FUZZ) cargo test --release --lib $(CARGO_FLAGS) -p callboard-logs -- \
		any_ no_bytes no_text no_words nor_do nearly_right what_is_read joined_lines no_line_is_over

.PHONY: generate
generate: build ## Write the generated files: OpenAPI, the page's types, errors, configuration
	scripts/generate $(binary)

.PHONY: docs-check
docs-check: build ## Check that the generated files are up to date and the docs' links lead somewhere
	scripts/check-generated $(binary)
	scripts/check-links

.PHONY: clean
clean: ## Remove what was built; keeps the data folder
	cargo clean
	rm -rf web/dist web/node_modules .run
