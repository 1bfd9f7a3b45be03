# Atena. `make demo` and `make test` need a Rust toolchain and a C compiler. `make test` installs what else it needs.

CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
ATENA := target/debug/atena
LEAKING := target/atena-leaking
FUZZ_SECONDS := 10

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: sbom fuzz leaking help build demo test test-one setup hooks test-rust test-python check fmt lint docs \
	proto-lint proto-breaking deny unused golden clean bench

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-12s %s\n", $$1, $$2}'

build: ## Build the program `atena`
	$(CARGO) build --locked -p atena-cli

demo: build ## Show the whole system at work on 1,000 synthetic people
	$(ATENA) demo

# A test that lacks a program fails here, because `setup` has installed them all.
test: export ATENA_CI = 1
# Tests wait for disks and other programs most of the time. More of them than cores keep both busy.
test: export RUST_TEST_THREADS ?= 4
test: setup test-rust test-python ## Run every test

test-one: ## Run the tests whose names contain T (make test-one T=never_receives)
	@test -n '$(T)' || { echo 'Say which: make test-one T=part_of_a_name' >&2; exit 1; }
	@if grep -rqE --include='*.py' 'def test_\w*$(T)|def $(T)' tests; then \
		$(MAKE) build $(VENV)/installed && ATENA_BIN=$(abspath $(ATENA)) $(VENV)/bin/python -m pytest -q \
			$$(grep -rlE --include='test_*.py' 'def test_\w*$(T)|def $(T)' tests) -k '$(T)'; \
	else $(CARGO) test --locked --workspace '$(T)'; fi

setup: ## Install what `make test` needs (Debian packages), or print the command that does
	@PYTHON=$(PYTHON) bash tests/setup.sh

test-rust: ## Run the Rust tests: unit, property and black-box
	$(CARGO) test --locked --workspace

# The program that leaks on purpose is built first, so that `atena` is the right one afterwards.
leaking:
	$(CARGO) build --locked -p atena-cli --features test-leaks
	cp $(ATENA) $(LEAKING)

test-python: leaking $(VENV)/installed ## Run the client written in Python against the real program
	$(CARGO) build --locked -p atena-cli
	ATENA_BIN=$(abspath $(ATENA)) $(VENV)/bin/python -m pytest -q tests/python
	ATENA_BIN=$(abspath $(ATENA)) $(VENV)/bin/python -m pytest -q tests/abuse
	ATENA_BIN=$(abspath $(ATENA)) ATENA_LEAKING=$(abspath $(LEAKING)) $(VENV)/bin/python -m pytest -q tests/canary

$(VENV)/installed: tests/python/requirements.txt
	@PYTHON=$(PYTHON) bash tests/setup.sh python
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	@touch $@

check: fmt lint docs proto-lint proto-breaking deny unused ## Check format, lints, documents, contract, dependencies

hooks: ## Let git check the format before each commit, and the message after
	git config core.hooksPath .githooks

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

proto-lint: $(VENV)/installed
	$(VENV)/bin/buf lint
	@echo 'buf lint: the contract is in order'

# On main itself there is nothing to compare: the last commit is this one.
proto-breaking: $(VENV)/installed
	@if git rev-parse -q --verify main >/dev/null; then \
		$(VENV)/bin/buf breaking --against '.git#branch=main' && echo 'buf breaking: clients of main still work'; \
	else echo 'buf breaking left out: there is no branch main to compare with.'; fi

unused:
	@if command -v cargo-machete >/dev/null; then $(CARGO) machete; \
	elif [ -n "$$ATENA_CI" ]; then echo 'cargo machete is missing: cargo install cargo-machete --locked' >&2; exit 1; \
	else echo 'cargo machete left out: install it with `cargo install cargo-machete --locked`.'; fi

deny:
	@if command -v cargo-deny >/dev/null; then $(CARGO) fetch --locked && $(CARGO) deny --offline check bans licenses sources; \
	elif [ -n "$$ATENA_CI" ]; then echo 'cargo deny is missing: cargo install cargo-deny --locked' >&2; exit 1; \
	else echo 'cargo deny left out: install it with `cargo install cargo-deny --locked`.'; fi

bench: ## Measure log and gateway against bare baselines (half an hour; ATENA_BENCH_LEAVES, _PEOPLE, _GROWTH, _ONLY)
	$(CARGO) bench --locked -p atena-store --bench log
	$(CARGO) bench --locked -p atena-cli --bench gateway

sbom: ## Write a bill of materials (CycloneDX, target/sbom/); needs cargo-cyclonedx
	@command -v cargo-cyclonedx >/dev/null || { echo 'make sbom needs cargo-cyclonedx: cargo install cargo-cyclonedx --locked' >&2; exit 1; }
	$(CARGO) cyclonedx --manifest-path crates/atena-cli/Cargo.toml --format json --spec-version 1.5 --override-filename atena.cdx
	@mkdir -p target/sbom && mv crates/atena-cli/atena.cdx.json target/sbom/ && find crates tests -name atena.cdx.json -delete && echo 'target/sbom/atena.cdx.json'

fuzz: ## Fuzz every reader of outside bytes (FUZZ_SECONDS each, default 10); needs cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo 'make fuzz needs cargo-fuzz: cargo install cargo-fuzz --locked' >&2; exit 1; }
	@for crate in atena-ledger atena-gateway atena-cli; do cd $(CURDIR)/crates/$$crate/fuzz && for target in seeds/*/; do \
		target=$$(basename $$target); mkdir -p corpus/$$target; \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target corpus/$$target seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=16384 > corpus/$$target.log 2>&1 || { cat corpus/$$target.log >&2; exit 1; }; \
		echo "$$crate $$target: $$(tail -n 1 corpus/$$target.log)"; \
	done || exit 1; done && echo 'fuzzing found nothing'

golden: build ## Write the golden files anew; look at the difference before you commit it
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p atena-store --lib catalogue
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p atena-cli --test blackbox

clean: ## Remove what was built
	$(CARGO) clean
