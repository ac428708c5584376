# The daily commands; every one of them can be run again. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-test up down password lint test test-fast test-versions test-snapshots faults docs bench-proxy bench-scale bench-snapshots pins clean-cache

INVENTORY ?= inventories/kind
ARGS ?=
DELETE_DISKS ?= no
PLAYBOOK = build/venv/bin/ansible-playbook -i $(INVENTORY) $(ARGS)
MOLECULE = PATH="$(CURDIR)/build/venv-test/bin:$$PATH" molecule
PYTEST = build/venv-test/bin/pytest
BENCH_FIGURES = benchmarks/proxy/figures.json
BENCH = PYTHONPATH=build/collections:images/hub/src:images/proxy/src build/venv-test/bin/python \
	-m ansible_collections.campus.jupyterhub.benchmarks.proxy
BENCH_SCALE_FIGURES = benchmarks/scale/figures.json
BENCH_SCALE_SITE = build/venv-test/bin/ansible-playbook -i inventories/kind -i benchmarks/scale/inventory
BENCH_SNAPSHOTS_FIGURES = benchmarks/snapshots/figures.json
BENCH_SNAPSHOTS_PLAN = benchmarks/snapshots/plan.json
BENCH_SNAPSHOTS_SITE = build/venv-test/bin/ansible-playbook -i inventories/kind -i benchmarks/snapshots/inventory
BENCH_SNAPSHOTS = $(subst .proxy,.snapshots,$(BENCH))
BENCH_SCALE = $(subst .proxy,.scale,$(BENCH))

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

up: setup ## Bring up Kubernetes, the hub, two proxies and a disk for every student; INVENTORY=… for a cluster of your own
	@$(PLAYBOOK) site.yml
	@build/venv/bin/python scripts/show_site.py

down: setup ## Remove all of it; refuses while student disks exist, unless DELETE_DISKS=yes
	@$(PLAYBOOK) playbooks/teardown.yml -e teardown_delete_disks=$(DELETE_DISKS)

password: setup ## Show the passwords of the sample's shared log-in
	@build/venv/bin/python scripts/show_site.py --passwords

test: ## Everything that is tested, on a cluster of its own
	@scripts/test.sh

test-fast: setup-test ## Lint and unit tests, without a cluster
	@$(PYTEST) -q --numprocesses 2 --dist loadfile tests/quality/test_lint.py tests/quality/test_repository.py tests/unit

faults: setup-test ## Break one thing after the other while students work, and say what they notice; 50 minutes
	@$(MOLECULE) destroy --scenario-name default
	@$(MOLECULE) test --scenario-name faults

test-snapshots: setup-test ## The full form of the tests of snapshots, on a cluster of its own; 20 minutes
	@$(MOLECULE) destroy --scenario-name default
	@$(MOLECULE) test --scenario-name snapshots

test-versions: setup-test ## Unit tests and preflight on every ansible-core and Python of this machine
	@build/venv-test/bin/python scripts/test_versions.py

lint: setup-test ## The linters alone
	@$(PYTEST) tests/quality/test_lint.py

docs: setup-test ## The documentation as a web site in build/docs
	@$(PYTEST) tests/quality/test_docs.py

bench-proxy: setup-test ## Measure the proxy beside configurable-http-proxy; table and plot go into docs/
	@$(BENCH).measure $(BENCH_FIGURES) $(ARGS)
	@$(BENCH).report $(BENCH_FIGURES)

bench-scale: setup-test ## Measure hub and proxy with 5000 simulated students, on a cluster of its own; table and plot go into docs/
	@$(BENCH_SCALE_SITE) site.yml
	@status=0; $(BENCH_SCALE).measure $(BENCH_SCALE_FIGURES) $(ARGS) || status=$$?; \
	$(BENCH_SCALE_SITE) playbooks/teardown.yml -e teardown_delete_disks=yes; exit $$status
	@$(BENCH_SCALE).report $(BENCH_SCALE_FIGURES)

bench-snapshots: setup-test ## Measure snapshots of 300 disks, on a cluster of its own; table and plot go into docs/
	@$(BENCH_SNAPSHOTS).plan > $(BENCH_SNAPSHOTS_PLAN)
	@$(BENCH_SNAPSHOTS_SITE) site.yml
	@status=0; $(BENCH_SNAPSHOTS).measure $(BENCH_SNAPSHOTS_FIGURES) $(ARGS) || status=$$?; \
	$(BENCH_SNAPSHOTS_SITE) playbooks/teardown.yml -e teardown_delete_disks=yes; exit $$status
	@$(BENCH_SNAPSHOTS).report $(BENCH_SNAPSHOTS_FIGURES) $(BENCH_SNAPSHOTS_PLAN)

pins: setup-test ## Raise the pinned versions
	@scripts/raise_pins.sh

clean-cache: ## Forget everything that was downloaded or built before
	@scripts/clean_cache.sh

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test
