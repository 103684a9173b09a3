# make demo   one synthetic study, start to finish      make test   lint, types and tests      make   all targets
# They first set everything up in .venv. They need Python 3.11 (3.12 and 3.13 work too) with venv, and a C compiler.
# VARIANT=gpu and EXTRAS=... choose what is installed; see docs/install.md.

PYTHON  ?= python3.11
VARIANT ?= cpu
EXTRAS  ?= deploy,service,cohort,train,n4,dev
VENV    := .venv
PY      := $(VENV)/bin/python
comma   := ,
STAMP   := $(VENV)/.installed-$(VARIANT)-$(subst $(comma),-,$(EXTRAS))
DEMO    ?= demo
SEED    ?= 7
JOBS    ?= 2
SLOW    ?=
GPU_CHECK ?=
RIGHT_PYTHON := "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"

.DEFAULT_GOAL := help
.PHONY: help setup lock resolve demo test test-slow check lint format gpu-check train-demo container-test sbom audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: $(STAMP) ## make .venv and install the locked packages and the project into it

$(STAMP): pyproject.toml locks/$(VARIANT).txt | in-place
	@$(PY) -m pip --version >/dev/null 2>&1 || { $(PYTHON) -c $(RIGHT_PYTHON) 2>/dev/null || { \
	    echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13, or was not found." >&2; \
	    echo "Install one, or name yours: make PYTHON=python3.12" >&2; \
	    exit 2; }; $(PYTHON) -m venv $$(test -x $(PY) || echo --clear) $(VENV); }
	@$(PY) -c $(RIGHT_PYTHON) || { \
	    echo "error: $(VENV) has another Python than 3.11, 3.12 or 3.13." >&2; \
	    echo "Remove it (rm -r $(VENV)), then run make again." >&2; \
	    exit 2; }
	$(PY) -m container.install --variant $(VARIANT) --extras "$(EXTRAS)"
	@rm -f $(VENV)/.installed-$(filter-out $(VARIANT),cpu gpu)-*
	@touch $@

.PHONY: in-place
in-place: # the commands in .venv name its folder
	@made=$$(sed -nE 's/^command = .* -m venv (--[a-z-]+(="[^"]*")? )*//p' $(VENV)/pyvenv.cfg 2>/dev/null); \
	is=$$(cd $(VENV) 2>/dev/null && pwd -P); \
	if [ -n "$$made" ] && [ "$$made" != "$$is" ] && [ ! "$$made" -ef "$$is" ]; then \
	    echo "error: $(VENV) was made as $$made, and its commands work there only." >&2; \
	    echo "Remove it (rm -r $(VENV)), then run make again." >&2; \
	    exit 2; fi

lock: setup ## rebuild locks/*.txt from the ranges in pyproject.toml (UPGRADE=--upgrade: the newest versions)
	$(PY) -m container.make_locks $(UPGRADE)

resolve: setup ## check that everything locked has a built package for Python 3.11, 3.12 and 3.13 (downloads metadata only)
	$(PY) -m container.make_locks --check

demo: setup ## make a synthetic participant, process it, compare the results with the truth
	@$(PY) -m sarcomap demo --out $(DEMO) --seed $(SEED)

# Each process runs one file at a time on its own cores: processes that wait for each other's threads are slower.
test: setup lint ## lint, types, quick tests (JOBS=2 processes)
	@bash tests/install_references.sh
	@bash tests/install_pacs.sh
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow and not real_data" -n $(JOBS) --dist loadscope

test-slow: setup ## long tests and tests on real scanner data (downloaded once)
	@bash tests/install_references.sh
	@bash tests/install_pacs.sh
	$(PY) -m pytest $(SLOW) -m "slow or real_data"

check: lint ## what a change must pass before its tests: ruff, mypy, and the rules of imports (two minutes)
	PYTHONPATH=. $(VENV)/bin/lint-imports --no-cache

lint: setup ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup ## format the code and apply ruff's fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

gpu-check: setup ## check an NVIDIA GPU against the CPU and against MONAI, with VARIANT=gpu (a quarter of an hour)
	@$(PY) -m benchmarks.gpu_check $(GPU_CHECK)

train-demo: setup ## train the shipped weights again (takes hours; resumes after an interruption)
	PYTHON=$(PY) bash bundle/scripts/train_demo.sh

container-test: setup ## build the container and run a study in it, without a network and with a read-only root (needs root)
	@bash tests/container/build_and_run.sh

sbom: setup ## write sbom.cdx.json (CycloneDX): all installed packages, including those for development
	$(VENV)/bin/cyclonedx-py environment $(VENV) --output-format JSON --output-file sbom.cdx.json

audit: setup ## check installed packages for known vulnerabilities; fails if the database cannot be reached
	@$(PY) -m container.vulnerabilities

clean: ## remove the demo, builds and caches; .venv stays
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
