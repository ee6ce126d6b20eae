# make demo: from a fresh clone to a graded class.   make test: everything that is checked.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-browser lint build bench-grading bench-recovery bench-layers bench-diagnosis bench-gradcheck bench-recognition ledger clean
.DEFAULT_GOAL := test

# The stamp is the environment as the metadata asks for it, pinned; it is made again when either changes.
$(VENV)/stamp: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv; assert sys.version_info >= (3, 11)' 2>/dev/null || \
	  { echo "minigrad needs Python 3.11 or later with venv (on Debian: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(VENV)/stamp
	$(BIN)/python tests/demo.py

# Two processes of two threads each, on two cores, wait for one another: one thread each is up to twenty times faster.
test: $(VENV)/stamp lint
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest

# The notebooks in JupyterLab, in a real browser. BROWSER="--screenshots DIR" photographs them in both themes.
test-browser: $(VENV)/stamp
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } || \
	  { echo "the browser tests need Chromium (on Debian: apt install chromium)"; exit 1; }
	@$(BIN)/python -c 'import playwright' 2>/dev/null || $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --constraint constraints.txt --editable '.[test,browser]'
	$(BIN)/python -m pytest -n 0 -s tests/browser $(BROWSER)

lint: $(VENV)/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Notebooks and releases from the text of the assignments. What is tracked must not change by it.
build: $(VENV)/stamp
	@for text in solutions/*/*.py; do name=$$(basename $$text .py); \
	  $(BIN)/minigrad sync $$name --from py && $(BIN)/minigrad release $$name || exit 1; done

# A class of a thousand, beside nbgrader and otter-grader, which gets an environment of its own. Writes its part of
# docs/grading.md, in eight minutes.
bench-grading: $(VENV)/stamp
	$(BIN)/python benchmarks/grading.py

# What is left when the run, or a worker of a cluster, is killed. Writes its part of docs/grading.md, in three minutes.
bench-recovery: $(VENV)/stamp
	$(BIN)/python benchmarks/recovery.py

# Needs PyTorch (a large download), which nothing else does.
bench-layers: $(VENV)/stamp
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[test,oracle]'
	$(BIN)/python benchmarks/layers.py

# Beside PyTorch's checker, so it needs PyTorch too.
bench-gradcheck: $(VENV)/stamp
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[test,oracle]'
	$(BIN)/python benchmarks/gradcheck.py

# Planted faults and healthy runs: how often the diagnosis is right. Writes docs/diagnosis.md, in about ten minutes.
bench-diagnosis: $(VENV)/stamp
	$(BIN)/python benchmarks/diagnosis.py

# Every claim of the texts that the course grew out of, measured. Writes docs/ledger.md, in about a minute.
ledger: $(VENV)/stamp
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[test,oracle]'
	$(BIN)/python benchmarks/ledger.py

# Does the grader tell right from wrong? Writes docs/recognition.md and its part of docs/grading.md, in a minute.
bench-recognition: $(VENV)/stamp
	$(BIN)/python benchmarks/recognition.py

clean:
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
