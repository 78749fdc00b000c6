# `make demo` and `make test` do all the set-up; a second run starts in seconds.
.DEFAULT_GOAL := help
.PHONY: help packages setup demo test lint unit test-kernel test-kernels test-overhead bench report soak clean

PYTHON ?= python3
BIN := .venv/bin
KERNELS ?= 5.10 6.1 6.12 7
ARGS ?=

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

packages:
	@tests/lab/packages

setup: .venv/stamp ## Install missing system packages and the virtual environment in .venv

.venv/stamp: pyproject.toml constraints.txt | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "setup: $(PYTHON) is older than 3.11 or missing. Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setup: installing into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	    { echo "setup: $(PYTHON) has no venv module. Install it: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## Show rctl at work, on this machine or in the lab
	@$(BIN)/python examples/demo.py $(ARGS)

# In this order, also under -j: the cheap checks speak first.
test: setup ## Everything: lint, unit tests, kernel tests, what a VE may cost
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory test-kernel
	@$(MAKE) --no-print-directory test-overhead

lint: setup ## Style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

unit: setup ## Tests that need no kernel
	@$(BIN)/pytest tests/unit -q $(ARGS)

test-kernel: setup ## Tests on a real kernel: make test-kernel ARGS="-k memory"; LAB_KERNEL=6.12 or RCTL_TESTS=host
	@$(BIN)/python -m tests.lab kernel-tests $(ARGS)

test-kernels: setup ## The kernel tests on each of KERNELS (5.10 6.1 6.12 7)
	@for kernel in $(KERNELS); do \
	    LAB_KERNEL=$$kernel $(BIN)/python -m tests.lab kernel-tests $(ARGS) || exit; done

test-overhead: setup ## What a VE costs, counted in instructions, against its ceilings
	@tests/lab/packages gcc libc6-dev zstd gzip
	@$(BIN)/python -m tests.lab run --icount -- python -m pytest -q -p no:cacheprovider -p no:hypothesispytest \
	    --rootdir $(CURDIR) tests/overhead $(ARGS)

bench: setup ## Measure rctl on the lab's instruction clock, beside crun and cgset
	@tests/lab/packages crun cgroup-tools
	@$(BIN)/python -m tests.lab run --icount -- rctl bench adjust $(ARGS)

report: setup ## Measure everything in the lab: report/report.html, report/report.json; ARGS=--quick for a look
	@tests/lab/packages crun cgroup-tools gcc libc6-dev zstd gzip
	@$(BIN)/python -m tests.lab run --icount --memory 6G --deadline 10800 --result report -- sh -c \
	    'python -m tests.overhead.disk rctl bench all --folder {} \
	    --report $$LAB_RESULT/report.html --json $$LAB_RESULT/report.json $(ARGS)'

soak: setup ## Ten thousand scrapes of the exporter's server, and what it holds meanwhile
	@$(BIN)/python -m tests.exporter_soak $(ARGS)

clean: ## Remove all that these targets made in the checkout (system packages stay)
	rm -rf .venv .lab report .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
