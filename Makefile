# `make` lists what there is. Everything a target needs it makes or installs itself; what was made before is not made again.

SHELL := /bin/bash
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release/mapweave
DATA ?= ./data
LISTEN ?= 127.0.0.1:8080
CHROMIUM ?= /usr/bin/chromium
CRASH_ROUNDS ?= 200
POWER_CUTS ?= 200
KILL_ROUNDS ?= 100
MATRIX ?=
FUZZ_ITERATIONS ?= 20000
ROUNDS ?= 2500
SEED ?=
T ?= update_path

MAPDOC_SOURCES := $(shell find web/src/mapdoc -type f -not -name '*.test.ts')
PROVIDER_SOURCES := $(shell find web/src/provider -type f -not -name '*.test.ts')
WEB_SOURCES := $(shell find web/src web/index.html web/vite.config.ts web/tsconfig.json -type f -not -path '*/generated/*')
NPM := npm --no-update-notifier --loglevel=error

.PHONY: help run test bench crash crash-clients interop converge fuzz fuzz-smoke web lint deny release demo-data client-tests chromium gdal kosoku pycrdt proxies need-space need-node need-cargo

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What a build from nothing takes on the disk, in GiB.
run: SPACE_GIB := 4
test: SPACE_GIB := 8

run: need-space release demo-data ## Build everything and serve on http://127.0.0.1:8080 with ./data and a demo map
	@scripts/run.sh "$(RELEASE)" "$(DATA)" "$(LISTEN)"

test: need-space need-cargo web demo-data client-tests chromium gdal kosoku pycrdt proxies ## Install what the tests need and run every test, cheap ones first
	@CHROMIUM="$(CHROMIUM)" scripts/test.sh

bench: release ## Measure appends, restarts, the spatial index, checks and documents; with LOADGEN=FOLDER also load beside other servers
	@mkdir -p bench-results
	@for bench in store geometry model formats hostile; do \
	  cargo bench --locked -p mapweave --bench $$bench > bench-results/$$bench.txt || exit 1; \
	  cat bench-results/$$bench.txt; \
	  tail -n 1 bench-results/$$bench.txt > bench-results/$$bench.json; \
	done
	@[ -z "$(LOADGEN)" ] || LOADGEN="$(LOADGEN)" benches/load.sh $(SCENARIOS) $(PEERS)

crash: need-cargo web ## Kill the server under load CRASH_ROUNDS times (200), cut the power POWER_CUTS times (200)
	CRASH_ROUNDS=$(CRASH_ROUNDS) cargo test --locked -p mapweave --test e2e -- --nocapture crash
	POWER_CUTS=$(POWER_CUTS) cargo test --locked -p mapweave-storage -- --nocapture power

crash-clients: need-cargo web client-tests ## Kill the server KILL_ROUNDS times (100) under stock Hocuspocus and y-sweet clients that say what is saved
	cargo build --locked
	cd tests/clients && MAPWEAVE_BIN="$(abspath $(TARGET))/debug/mapweave" KILL_ROUNDS=$(KILL_ROUNDS) node --test test/kill-rounds.test.mjs

interop: need-cargo web client-tests pycrdt ## Put every stock client through every scenario and print the table; MATRIX=y-sweet or MATRIX=idle for a part
	cargo build --locked
	cd tests/clients && MAPWEAVE_BIN="$(abspath $(TARGET))/debug/mapweave" MATRIX="$(MATRIX)" node --test test/matrix.test.mjs

converge: need-cargo client-tests ## Let Rust, Yjs 13 and Yjs 14 edit maps at random for ROUNDS scenarios (2500), from SEED on
	cargo build --locked -p mapweave-sim --bin mapweave-replica
	MAPWEAVE_REPLICA_BIN="$(TARGET)/debug/mapweave-replica" node tests/clients/converge/main.mjs $(ROUNDS) $(SEED)

fuzz-smoke: need-cargo ## Attack every law with FUZZ_ITERATIONS inputs (20000)
	FUZZ_ITERATIONS=$(FUZZ_ITERATIONS) cargo test --release -p mapweave-fuzz

fuzz: ## Attack the law T (update_path) with cargo-fuzz until stopped
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked; rustup toolchain install nightly" >&2; exit 1; }
	cargo +nightly fuzz run -s none --fuzz-dir fuzz/cargo-fuzz $(T) fuzz/corpus/$(T)

web: web/dist/index.html ## Build the web page

lint: need-cargo web/node_modules/.ready ## Formatting, clippy, documentation, web lint and types
	@scripts/test.sh lint

deny: need-cargo ## Check licences, sources and known advisories of all dependencies
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1; }
	cargo deny check

release: need-cargo web
	cargo build --release --locked

demo-data: target/demo/us-counties.geojson

client-tests: tests/clients/node_modules/.ready web/dist-mapdoc/index.js web/dist-provider/index.js

# --- what the targets above are made of ---

# The page becomes part of the binary; touching its source file makes cargo look at it again.
web/dist/index.html: web/node_modules/.ready web/scripts/basemap.mjs web/scripts/antimeridian.mjs $(WEB_SOURCES)
	cd web && $(NPM) run build
	@touch $@ src/server/page.rs

# The packages of the map document and of the provider, as they would be published.
web/dist-mapdoc/index.js: web/node_modules/.ready web/scripts/package.mjs $(MAPDOC_SOURCES)
	cd web && $(NPM) run build:mapdoc

web/dist-provider/index.js: web/node_modules/.ready web/scripts/package.mjs $(PROVIDER_SOURCES)
	cd web && $(NPM) run build:provider

target/demo/us-counties.geojson: web/node_modules/.ready web/scripts/demo-data.mjs web/scripts/antimeridian.mjs
	node web/scripts/demo-data.mjs target/demo

%/node_modules/.ready: %/package.json %/package-lock.json | need-node
	cd $* && $(NPM) ci
	@touch $@

chromium:
	@CHROMIUM="$(CHROMIUM)" scripts/need-chromium.sh

gdal:
	@scripts/need-gdal.sh

kosoku:
	@scripts/need-kosoku.sh

pycrdt:
	@scripts/need-pycrdt.sh

proxies:
	@scripts/need-proxies.sh

need-space:
	@scripts/need-space.sh $(SPACE_GIB) $(TARGET)

need-node:
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node.js is missing: install Node 20 or newer with npm (on Debian: https://nodejs.org/ or the package nodejs), then run make again." >&2; exit 1; }
	@node -e 'if (+process.versions.node.split(".")[0] < 20) { console.error("Node " + process.version + " is too old: Node 20 or newer is needed."); process.exit(1) }'

need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer (https://rustup.rs/), then run make again." >&2; exit 1; }
