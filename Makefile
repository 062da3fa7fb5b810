# The few verbs of the project; plain `make` lists them. Everything lives in .venv, made from Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHMARKS := op networks step neighbours evaluator speeds startup planning sweep_statistics pool

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slurm test-browser slow stress check bench study-report clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.done ## install segsweep and its tools into .venv

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "segsweep needs Python 3.11 or later, PYTHON=… names one")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup ## train and test none, ASPP and KSAC on generated images, and write a report
	$(BIN)/segsweep train -m +experiments=demo hydra/launcher=pool hydra.launcher.gpus=none \
	  hydra.launcher.runs_per_gpu=3 hydra.launcher.cpus_per_run=1 hydra.launcher.reuse=true
	$(BIN)/segsweep report sweep=demo out=report
	@echo "report: report/index.html"

test: setup ## run the tests, two files at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slurm: setup ## sweeps through a real Slurm that is brought up on this machine (as root, Debian's packages)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm tests/slurm

test-browser: setup ## drive a report's page in headless Chromium (Debian's package), with the network off
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m browser tests/reports

slow: setup ## the tests that make test has no time for: the papers' large encoders, more launchers, more ranks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m slow

stress: setup ## kill a chain of runs 30 times at any moment, with 0 and 2 loader processes (docs/reliability.md)
	$(BIN)/python -m pytest -m stress

check: setup ## formatting, lint and types
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

bench: setup ## measure everything that docs/performance.md shows, and make its tables; CAMVID=DIR with input
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name --json benchmarks/results/$$name.json || exit 1; done
	$(if $(CAMVID),$(BIN)/python -m benchmarks.data --camvid $(CAMVID) --json benchmarks/results/data.json)
	$(BIN)/python -m benchmarks.performance

study-report: setup ## write docs/studies/*.md from the counts that are kept beside them
	$(BIN)/python -m benchmarks.study report

clean: ## remove what the other targets made, runs included
	rm -rf $(VENV) runs report dist .pytest_cache .mypy_cache .ruff_cache
