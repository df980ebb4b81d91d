# Everything here works from a fresh clone: each target first brings .venv up to date.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .venv-peers
SERVE ?= 1
ARGS ?=
# Two workers of one thread each: torch gains nothing from more threads on tests of this size.
WORKERS ?= 2
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-browser test-slow check format bench bench-peers dashboard clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

install: $(INSTALLED) ## set up .venv with everything (PYTHON=... chooses the Python)

demo: install ## find the sentiment neuron, then open the dashboard (SERVE=0: only find it)
	$(BIN)/worldscope run sentiment_neuron --preset demo
	@if [ "$(SERVE)" != 0 ]; then $(BIN)/worldscope dashboard; fi

dashboard: install ## browse the runs
	$(BIN)/worldscope dashboard

test: install ## run the tests, offline (ARGS="-k store" runs some)
	$(PYTEST) -n $(WORKERS) --dist loadfile $(ARGS)

test-browser: install ## drive the dashboard in a real Chromium
	$(PYTEST) -m browser $(ARGS)

test-slow: install ## run the tests that take long or need the network
	HF_HUB_OFFLINE=0 $(BIN)/python -m pytest -m "slow and not browser" $(ARGS)

check: install ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: install ## rewrite the code to the formatting that `check` wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## how fast, beside the peers
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(PEERS)/.installed ## set up the peers that need other versions, in .venv-peers

clean: ## remove .venv, builds and caches; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install -c constraints.txt -e '.[dev,browser]'
	@touch $@

# torch by itself first, so that the processor's build stays where it is the one at hand.
$(PEERS)/.installed: benchmarks/peers-constraints.txt | $(BIN)/pip
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/pip install torch==2.13.0
	$(PEERS)/bin/pip install -c benchmarks/peers-constraints.txt sae-lens nnsight
	$(PEERS)/bin/pip uninstall --yes torchvision torchaudio
	@touch $@

$(BIN)/pip:
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' || { \
		echo "Worldscope needs Python 3.11, 3.12 or 3.13, and '$(PYTHON)' is none of them: make install PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
