# `make demo` and `make test` do all the set-up; a second run starts in seconds.
.DEFAULT_GOAL := help
.PHONY: help packages setup lab demo shell test lint unit test-kernel test-kernel-limits test-kernel-crashes test-kernel-figures test-kernels test-kills test-random test-large test-all test-virtual test-systemd test-systemd-containers test-systemd-units test-suites test-overhead bench report docs man install-man lock audit mutants soak clean

PYTHON ?= python3
BIN := .venv/bin
KERNELS ?= 5.10 6.1 6.12 7
ARGS ?=
PREFIX ?= /usr/local
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

# A Python that is too old is reported before anything is installed. If there is none, packages installs Debian's.
packages:
	@! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "setup: $(PYTHON) is older than 3.11, or does not run. Name another one: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@tests/lab/packages

setup: .venv/stamp ## Install missing system packages and the virtual environment in .venv

.venv/stamp: pyproject.toml requirements.txt | packages
	@command -v $(PYTHON) >/dev/null || \
	    { echo "setup: there is no $(PYTHON). Name the one that you have: make PYTHON=python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setup: installing Python packages into .venv"
	@mkdir -p .venv; date +%s >.venv/began
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	    { echo "setup: $(PYTHON) has no venv module. Install it: apt-get install python3-venv" >&2; exit 1; }
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@echo "setup: done in $$(($$(date +%s) - $$(cat .venv/began))) s"
	@touch $@

lab: setup ## Fetch the packages of the lab's guests now; otherwise the first guest does
	@$(BIN)/python -m tests.lab prepare --tools

demo: setup ## Show rctl at work, on this machine or in the lab
	@$(BIN)/python examples/demo.py $(ARGS)

shell: setup ## A root shell in the lab, with rctl and a scratch disk: try anything, on any machine
	@$(BIN)/python -m tests.lab prepare
	@$(BIN)/python -m tests.lab shell

# The cheap checks run first. Then three at a time, the longest first: each waits now and then, so two cores are
# hardly idle. Guests do not disturb one another; tests on one host's cgroups would.
test: setup ## Everything: lint, unit tests, kernel tests, the cost of a VE
	@$(MAKE) --no-print-directory lint
	@echo "test: unit tests and guests, three at a time, for a quarter of an hour or more; the output of each comes at its end"
	@$(MAKE) --no-print-directory -j$(if $(RCTL_TESTS),1,3) --output-sync=target \
	    test-kernel-limits test-kernel-figures test-overhead test-kernel-crashes unit test-virtual

# The kernel tests in three parts: those that measure, those that crash and recover many times, and the rest.
FIGURES := $(wildcard tests/kernel/test_bench*.py tests/kernel/test_exporter*.py)
CRASHES := $(patsubst %,tests/kernel/test_%.py,concurrency crash kills random recover)

test-kernel-limits: setup
	@$(BIN)/python -m tests.lab kernel-tests \
	    $(filter-out $(FIGURES) $(CRASHES),$(wildcard tests/kernel/test_*.py)) $(ARGS)

test-kernel-crashes: setup
	@$(BIN)/python -m tests.lab kernel-tests $(CRASHES) $(ARGS)

test-kernel-figures: setup
	@$(BIN)/python -m tests.lab kernel-tests $(FIGURES) $(ARGS)

test-virtual: setup ## A virtual machine as rctl bench virtual makes it
	@$(BIN)/pytest -q tests/virtual $(ARGS)

# Two guests at once, with about half of the work each. ARGS go to one guest. RCTL_KILLS=all kills at each system call.
HOST_TESTS := $(BIN)/python -m tests.lab systemd --deadline 2700 -- env RCTL_KILLS=$(RCTL_KILLS) \
    python -m pytest -q -p no:cacheprovider -p no:hypothesispytest
CONTAINERS := $(patsubst %,tests/systemd/test_%.py,docker docker_faults docs last names podman podman_stored)

test-systemd: setup ## Tests on a host that systemd runs, with docker and podman: LAB_SUITE=bookworm (default) or trixie
ifneq ($(ARGS),)
	@$(HOST_TESTS) $(ARGS)
else
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-systemd-containers test-systemd-units
endif

test-systemd-containers: setup
	@$(HOST_TESTS) $(CONTAINERS)

test-systemd-units: setup
	@$(HOST_TESTS) $(filter-out $(CONTAINERS),$(wildcard tests/systemd/test_*.py))

test-suites: setup ## The tests on hosts with systemd 252 (bookworm) and 257 (trixie)
	@for suite in bookworm trixie; do LAB_SUITE=$$suite $(MAKE) --no-print-directory test-systemd || exit; done

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

test-kills: setup ## kill -9 before every changing system call of every verb, then recover; LAB_KERNEL=6.12
	@$(BIN)/python -m tests.lab run --deadline 3600 -- env RCTL_KILLS=all python -m pytest -q -p no:cacheprovider \
	    -p no:hypothesispytest --rootdir $(CURDIR) tests/kernel/test_kills.py $(ARGS)

test-random: setup ## 20,000 random operations against a model; SEED=7 repeats a run, RCTL_RANDOM=500 does fewer
	@$(BIN)/python -m tests.lab run --deadline 7200 -- env RCTL_RANDOM=$(or $(RCTL_RANDOM),20000) \
	    SEED=$(or $(SEED),$(shell date +%s)) python -m pytest -q -s -p no:cacheprovider -p no:hypothesispytest \
	    --rootdir $(CURDIR) tests/kernel/test_random.py $(ARGS)

test-large: setup ## The tests of many VEs, with thousands instead of hundreds
	@$(BIN)/python -m tests.lab run --tools prometheus --memory 6G --deadline 1800 -- env RCTL_LARGE=1 python -m pytest -q \
	    -p no:cacheprovider -p no:hypothesispytest --rootdir $(CURDIR) \
	    $(patsubst %,tests/kernel/test_%.py,concurrency crash recover exporter_gone exporter_prometheus) $(ARGS)

test-all: test test-suites test-kernels test-kills test-random test-large soak mutants ## All tests, for an hour or two

test-overhead: setup ## The cost of a VE, in instructions, against its ceilings
	@tests/lab/packages gcc libc6-dev zstd gzip
	@$(BIN)/python -m tests.lab run --icount --tools servers --deadline 1800 -- python -m pytest -q -p no:cacheprovider \
	    -p no:hypothesispytest --rootdir $(CURDIR) tests/overhead $(ARGS)

bench: setup ## Measure rctl on the lab's instruction clock, beside crun and cgset
	@tests/lab/packages crun cgroup-tools
	@$(BIN)/python -m tests.lab run --icount -- rctl bench adjust $(ARGS)

report: setup ## Measure everything in the lab: report/report.html; most of an hour; minutes with ARGS=--quick
	@tests/lab/packages crun cgroup-tools gcc libc6-dev zstd gzip stress-ng fio sysbench
	@rm -f report/*.json report/report.html
	@echo "report: three guests, two at a time, for most of an hour; the output of each comes at its end"
	@$(MAKE) --no-print-directory -j2 --output-sync=target report/costs.json report/rest.json report/felt.json
	@$(BIN)/rctl bench report report/costs.json report/rest.json report/felt.json -o report/report.html

COUNTED := $(BIN)/python -m tests.lab run --icount --tools servers --memory 6G --deadline 10800 --result report -- \
    python -m tests.overhead.steady sh -c

report/costs.json: setup
	@$(COUNTED) 'rctl bench all --folder {} --json $$LAB_RESULT/costs.json --only overhead --only explain $(ARGS)'

report/rest.json: setup
	@$(COUNTED) 'rctl bench all --folder {} --json $$LAB_RESULT/rest.json --only adjust --only exporter \
	    --only life --only density --only virtual $(ARGS)'

report/felt.json: setup # on a real clock with two CPUs, because one CPU cannot show it
	@$(BIN)/python -m tests.lab run --memory 6G --result report -- sh -c \
	    'rctl bench adjust --rounds 0 --folder $$LAB_MOUNT --json >$$LAB_RESULT/felt.json'

# pip-tools and pip-audit, apart from the packages that they examine.
.tools/stamp: .ci/tools.txt | setup
	@test -x .tools/bin/python || $(BIN)/python -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/tools.txt
	@touch $@

# The site's own packages; they import nothing of rctl.
.docs/stamp: .ci/docs.txt | setup
	@test -x .docs/bin/python || $(BIN)/python -m venv .docs
	@.docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/docs.txt
	@touch $@

docs: .docs/stamp ## The site; checks every internal link: build/docs/index.html
	@$(BIN)/python -m docs.generate parts docs/made
	@.docs/bin/sphinx-build -q -W --keep-going -n -b html -d build/doctrees docs build/docs
	@echo "docs: build/docs/index.html"

# Any Python with rctl works: make install-man BIN=/opt/rctl/bin
man: $(if $(filter .venv/bin,$(BIN)),setup) ## The man pages: build/man; make install-man puts them below PREFIX (/usr/local)
	@$(BIN)/python -m docs.generate man build/man
	@echo "man: $$(ls build/man | wc -l) pages in build/man"

install-man: man
	@install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7
	@install -m 644 build/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 644 build/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7

# mutmut, and what it runs: rctl's packages, from requirements.txt, and its tests.
.mutants/stamp: requirements.txt .ci/mutants.txt | setup
	@test -x .mutants/bin/python || $(BIN)/python -m venv .mutants
	@.mutants/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt \
	    -r .ci/mutants.txt
	@touch $@

mutants: .mutants/stamp ## Mutation tests: at least 90 % of the changes to plan, shrink, undo, journal and recover must fail a test
	@.mutants/bin/python -m tests.mutants $(ARGS)

LOCK := .tools/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
    --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: .tools/stamp ## Write the hashes in requirements.txt and .ci for the versions in constraints.txt and .ci/*.in
	@$(LOCK) --output-file requirements.txt constraints.txt
	@$(LOCK) --output-file .ci/tools.txt .ci/tools.in
	@$(LOCK) --output-file .ci/docs.txt .ci/docs.in
	@$(LOCK) --output-file .ci/mutants.txt .ci/mutants.in
	@sed -i '1i # Made by make lock. Do not edit.' requirements.txt .ci/tools.txt .ci/docs.txt .ci/mutants.txt

audit: .tools/stamp ## Look for known vulnerabilities in the packages of setup, docs and mutants
	@$(BIN)/python -m tests.audit .tools/bin/pip-audit requirements.txt
	@$(BIN)/python -m tests.audit .tools/bin/pip-audit .ci/docs.txt
	@$(BIN)/python -m tests.audit .tools/bin/pip-audit .ci/mutants.txt

soak: setup ## Ten thousand scrapes of the exporter's server; watches its memory and descriptors
	@$(BIN)/python -m tests.exporter_soak $(ARGS)

clean: ## Remove all files that these targets made in the checkout (system packages stay)
	rm -rf .venv .tools .docs .mutants .lab build docs/made report .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
