# Everything on a fresh machine: `make demo`, `make test`. Needs Python 3.11 or newer and its venv module.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The environment is made once, and again when what it is made of has changed.
INSTALLED := $(VENV)/.installed

.PHONY: install demo test bench docs mutants lint

install: $(INSTALLED)

# torch comes first and alone, as pinned; where that comes with CUDA, TORCH_INDEX names the index of its CPU builds.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[crf]" || echo "No C++ compiler: without the dense CRF"
	touch $@

demo: $(INSTALLED)
	rm -rf demo
	$(BIN)/samtailor demo --out demo

# A process for each core, which computes with one thread.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# LINES names lines (all usual ones if empty), OPTIONS what else `python -m benchmarks --help` tells of.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks $(if $(LINES),--lines $(LINES)) $(OPTIONS)

# Into site/; a link or an anchor that leads nowhere is an error.
docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# PARTS names packages or modules below src/samtailor (the core if empty), OPTIONS what else `--help` tells of.
mutants: $(INSTALLED)
	$(BIN)/python -m mutation $(PARTS) $(OPTIONS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
