# bridged: `make run` and `make test` set up what they need in .venv, then do it. Later runs are instant.
# ARGS= goes to pytest (make test ARGS="-k inbox -x") or to the bench (make bench ARGS=inbox); CONFIG= is the config file of `make run`.
CONFIG ?= bridge.yaml
ARGS ?=
BIN := .venv/bin
PINS := requirements/install.sh requirements/build.txt requirements/runtime.txt

export UV_PYTHON_DOWNLOADS := never
# Hundreds of processes read these modules in a run of the tests: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test bench check format golden-update setup setup-dev requirements clean

help:
	@echo "make run           set up, then start the daemon from $(CONFIG)"
	@echo "make test          set up, then run all tests"
	@echo "make bench         set up, then measure speed beside what this machine could do at best; takes some minutes"
	@echo "make check         format, lint, types, import contracts"
	@echo "make format        put the code into format"
	@echo "make golden-update write the expected files of tests/golden anew: read the difference before you commit it"
	@echo "make requirements  write requirements/*.txt anew from pyproject.toml (UPGRADE=1: newest versions)"
	@echo "make clean         remove .venv and caches; your data in ./var stays"

run: setup
	@exec $(BIN)/bridged -c $(CONFIG) run

# Most of the time tests wait, for daemons, deadlines and peers: several files at a time keep two processors busy. Slow
# ones come first, as the folders are called. tests/interop has one world of real peers, and is told of at the end.
INTEROP := .pytest_cache/interop.log
test: setup-dev
ifeq ($(ARGS),)
	@mkdir -p $(dir $(INTEROP)); $(BIN)/python -m pytest -p no:cacheprovider tests/interop >$(INTEROP) 2>&1 & interop=$$!; \
	trap 'kill $$interop' INT TERM; \
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --ignore tests/interop; failed=$$?; \
	wait $$interop || failed=$$?; cat $(INTEROP); exit $$failed
else
	$(BIN)/python -m pytest $(ARGS)
endif

bench: setup-dev
	$(BIN)/python -m tests.bench $(ARGS)

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden-update: setup-dev
	GOLDEN=update $(BIN)/python -m pytest -q tests/golden $(ARGS)

setup: .venv/.installed-runtime
setup-dev: .venv/.installed-dev

.venv/.installed-runtime: pyproject.toml $(PINS)
	@sh requirements/install.sh runtime

.venv/.installed-dev: pyproject.toml requirements/dev.txt $(PINS)
	@sh requirements/install.sh dev

# No addresses and no index lines: a registry's host is the business of whoever installs.
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" $(if $(UPGRADE),--upgrade)
requirements:
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) pyproject.toml --extra postgres -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra postgres --extra dev -c requirements/runtime.txt -o requirements/dev.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
