# Two commands do all the set-up: `make demo` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN_STAMP := $(VENV)/.run
DEV_STAMP := $(VENV)/.dev

# Numpy: one thread is the quickest here (dialer/__init__.py); tests may load it before the dialer.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test chaos load fuzz sbom lint types imports check lab-up lab-down lock clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Cadencia needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# --no-deps: the lock file is complete; an install that would need anything else must fail, not fetch it.
$(RUN_STAMP): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# uv first, checked by pip; it brings the others in a tenth of the time, where it can reach them. Python compiles them
# when it loads them, or, where it may not keep that, they are compiled here.
$(DEV_STAMP): requirements-dev.txt pyproject.toml | $(BIN)/python
	sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt | $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r /dev/stdin
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) -r requirements-dev.txt \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
	touch $(RUN_STAMP)

demo: $(RUN_STAMP)
	$(BIN)/cadencia demo --minutes 2 --agents 20

test: $(DEV_STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope $(PYTEST_ARGS)

# Every operation of the API with made-up requests, many times more than `make test` has time for.
fuzz: $(DEV_STAMP)
	CADENCIA_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest -q tests/e2e/test_api_fuzzed.py

# What a node is made of, with versions and hashes (CycloneDX).
sbom: $(DEV_STAMP)
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o dist/cadencia.cdx.json

# Scenarios by name against the real parts, then orders of events on virtual time; see docs/reliability.md.
chaos: $(DEV_STAMP)
	$(BIN)/python -m benchmarks.chaos $(CHAOS_ARGS)
	$(BIN)/python -m benchmarks.chaos.orders --seeds 2000

# A thousand agents and three thousand calls in flight, for an hour; see docs/reliability.md.
load: $(DEV_STAMP)
	$(BIN)/python -m benchmarks.load $(LOAD_ARGS)

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/mypy

imports: $(DEV_STAMP)
	$(BIN)/lint-imports
	$(BIN)/deptry .

check: lint types imports test

lab-up:
	scripts/asterisk-lab up

lab-down:
	scripts/asterisk-lab down

# Hashes for every platform, no index addresses (uv.lock would name registry hosts).
lock: $(DEV_STAMP)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --group build --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --group dev --no-emit-index-url --no-emit-find-links --no-header -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
