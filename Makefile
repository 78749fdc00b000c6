# `make demo` and `make test` do all the set-up; a second run starts in seconds.
.DEFAULT_GOAL := help
.PHONY: help packages setup demo test lint unit test-kernel test-kernels bench clean

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
test: setup ## Everything: lint, unit tests, kernel tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory test-kernel

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

bench: setup ## Measure rctl on the lab's instruction clock, beside crun and cgset
	@tests/lab/packages crun cgroup-tools
	@$(BIN)/python -m tests.lab run --icount -- rctl bench adjust $(ARGS)

clean: ## Remove all that these targets made in the checkout (system packages stay)
	rm -rf .venv .lab .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
