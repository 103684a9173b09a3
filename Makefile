# make demo   one synthetic study, start to finish      make test   lint, types and tests
# Both set everything up in .venv first. They need Python 3.11 (3.12 and 3.13 work too) with venv, and a C compiler.
# VARIANT=gpu and EXTRAS=... choose what is installed: docs/install.md.

PYTHON  ?= python3.11
VARIANT ?= cpu
EXTRAS  ?= deploy,service,train,n4,dev
VENV    := .venv
PY      := $(VENV)/bin/python
comma   := ,
STAMP   := $(VENV)/.installed-$(VARIANT)-$(subst $(comma),-,$(EXTRAS))
DEMO    ?= demo
SEED    ?= 7
JOBS    ?= 2
SLOW    ?=

.DEFAULT_GOAL := help
.PHONY: help setup lock resolve demo test test-slow lint format train-demo container-test sbom audit clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: $(STAMP) ## make .venv and install the locked packages and the project into it

$(STAMP): pyproject.toml locks/$(VARIANT).txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) was not found; expected Python 3.11, 3.12 or 3.13. Install it, or name yours: make PYTHON=python3" >&2; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m container.install --variant $(VARIANT) --extras "$(EXTRAS)"
	@touch $@

lock: setup ## make locks/*.txt again from the ranges in pyproject.toml (UPGRADE=--upgrade: the newest versions)
	$(PY) -m container.make_locks $(UPGRADE)

resolve: setup ## is there a built package of everything locked for Python 3.11, 3.12 and 3.13? (downloads metadata only)
	$(PY) -m container.make_locks --check

demo: setup ## make a synthetic participant, run the application on it, compare with the truth
	@$(PY) -m sarcomap demo --out $(DEMO) --seed $(SEED)

# A file at a time for each process, which share no core: one that waits for another's threads is slower than both in turn.
test: setup lint ## lint, types, quick tests (JOBS=2 processes)
	@bash tests/install_references.sh
	@bash tests/install_pacs.sh
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow and not real_data" -n $(JOBS) --dist loadscope

test-slow: setup ## the long tests, and those on real scanner data (fetched once)
	@bash tests/install_references.sh
	@bash tests/install_pacs.sh
	$(PY) -m pytest $(SLOW) -m "slow or real_data"

lint: setup ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup ## let ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

train-demo: setup ## train the shipped weights again (hours; resumes where it stopped)
	PYTHON=$(PY) bash bundle/scripts/train_demo.sh

container-test: setup ## build the container and run a study in it, without network and with a read-only root (needs root)
	@bash tests/container/build_and_run.sh

sbom: setup ## sbom.cdx.json: what is installed here, development included (CycloneDX)
	$(VENV)/bin/cyclonedx-py environment $(VENV) --output-format JSON --output-file sbom.cdx.json

audit: setup ## known vulnerabilities of what is installed here; fails where their database cannot be reached
	@$(PY) -m container.vulnerabilities

clean: ## remove what these targets made, caches included
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
