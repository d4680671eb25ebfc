# `make` alone lists what there is. Steps are in one order, also under -j: cheap ones fail first.
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# CI builds what Cargo.lock says or fails.
LOCKED := $(if $(filter true,$(CI)),--locked)
# Guests are a workspace of their own; on this machine only their tests run.
IN_PLUGINS := cd plugins && CARGO_TARGET_DIR=target

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: tools guests ## Build server and guests, then serve portcell.toml
	cargo build $(LOCKED) -p portcell
	exec $(TARGET_DIR)/debug/portcell serve portcell.toml

.PHONY: test
test: test-tools fmt-check guests languages test-plugins clippy doc test-host ## Everything that CI runs

.PHONY: check
check: fmt-check clippy doc ## Formatting, lints and documentation only

.PHONY: build
build: ## The server to install, optimised: target/release/portcell
	cargo build $(LOCKED) --release -p portcell

.PHONY: guests
guests: ## The guests: plugins/*.wasm
	scripts/build-guests $(LOCKED)

.PHONY: languages
languages: ## Guests in other languages, plugins/LANGUAGE/*.wasm; ONLY=go one of them
	scripts/build-languages $(ONLY)

.PHONY: toolchains
toolchains: ## Install what other languages are compiled with; ONLY=go one of them
	scripts/toolchains $(ONLY)

.PHONY: test-plugins
test-plugins: ## Unit tests of the guests, on this machine
	$(IN_PLUGINS) cargo test $(LOCKED) --workspace

.PHONY: test-host
test-host: guests languages ## All other tests, with the end-to-end ones
	cargo test $(LOCKED) --workspace

# Nothing is optimised, dependencies neither: host calls need the most room on a stack then. It is a
# build of its own and takes minutes.
UNOPTIMISED := --config profile.dev.opt-level=0 --config 'profile.dev.package."*".opt-level=0'

.PHONY: test-stack
test-stack: ## The tests of how much stack host calls need, without optimisation
	cargo test $(LOCKED) $(UNOPTIMISED) --target-dir $(TARGET_DIR)/unoptimised \
		-p portcell --test sandbox --test e2e stack

.PHONY: test-languages
test-languages: test-tools guests languages ## What handlers in every language must do; ONLY=go one of them
	cargo test $(LOCKED) -p portcell-abi --test sdks
	cargo test $(LOCKED) -p portcell --test languages -- $(addsuffix ::,$(ONLY))

.PHONY: test-browser
test-browser: guests ## The http plugin in a real browser (installs chromium on Debian as root)
	@scripts/need-programs chromium
	cargo test $(LOCKED) -p portcell --features browser-test --test e2e a_browser

.PHONY: test-promtool
test-promtool: guests ## The metrics by Prometheus's own tool (installs prometheus on Debian as root)
	@scripts/need-programs promtool
	cargo test $(LOCKED) -p portcell --features promtool-test --test e2e promtool

.PHONY: fmt
fmt: ## Format all Rust code
	cargo fmt --all
	$(IN_PLUGINS) cargo fmt --all
	cd fuzz && cargo fmt --all

.PHONY: fmt-check
fmt-check: ## Fail if code is not formatted
	@scripts/cargo-component fmt --all --check
	@$(IN_PLUGINS) ../scripts/cargo-component fmt --all --check
	@cd fuzz && ../scripts/cargo-component fmt --all --check

.PHONY: clippy
clippy: ## Lints; a warning is an error
	$(IN_PLUGINS) ../scripts/cargo-component clippy $(LOCKED) --workspace --all-targets -- -D warnings
	scripts/cargo-component clippy $(LOCKED) --workspace --all-targets -- -D warnings

.PHONY: doc
doc: export RUSTDOCFLAGS += -D warnings
doc: ## API documentation; a warning is an error
	$(IN_PLUGINS) cargo doc $(LOCKED) --workspace --no-deps
	cargo doc $(LOCKED) --workspace --no-deps

.PHONY: counts
counts: tools guests ## Count the instructions of the hot path: more than recorded is an error; COUNTS=--record records
	@scripts/need-programs valgrind
	cargo run $(LOCKED) --release -p portcell-benches -- counts $(COUNTS)

.PHONY: bench
bench: tools guests build ## Measure portcell against other servers: benches/RESULTS.md; BENCH=--help says what else
	scripts/bench-peers
	cargo run $(LOCKED) --release -p portcell-benches -- $(or $(BENCH),--all --results benches)

.PHONY: tls-report
tls-report: tools guests ## Let testssl.sh look at the default TLS settings: target/tls-report
	@scripts/need-programs openssl python3 testssl
	cargo build $(LOCKED) -p portcell
	scripts/tls-report $(TARGET_DIR)/debug/portcell plugins/echo.wasm $(TARGET_DIR)/tls-report

.PHONY: languages-report
languages-report: tools guests languages build ## What handlers cost in each language: a table
	@scripts/need-programs python3
	@scripts/languages-report $(TARGET_DIR)/release/portcell

FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: ## Fuzz every target in fuzz/ for FUZZ_SECONDS (60) each; FUZZ=NAME one of them
	@scripts/need-programs cargo cc c++
	CARGO_OPTIONS=$(LOCKED) scripts/fuzz $(FUZZ_SECONDS) $(FUZZ)

.PHONY: deny
deny: ## Licences and sources of all dependencies (needs cargo-deny)
	@cargo deny --version >/dev/null 2>&1 || { echo "first: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check bans licenses sources
	$(IN_PLUGINS) cargo deny --config ../deny.toml check -A unmatched-skip -A unmatched-skip-root bans licenses sources

.PHONY: clean
clean: ## Remove all that was built
	cargo clean
	$(IN_PLUGINS) cargo clean
	rm -rf plugins/*.wasm plugins/*/*.wasm .wasm-sysroot

# Programs that a build, or the tests, need.
.PHONY: tools test-tools
tools:
	@scripts/need-programs cargo cc
test-tools:
	@scripts/need-programs cargo cc c++ curl dig nc openssl python3 socat ss wrk /etc/services
