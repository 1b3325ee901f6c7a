# Two commands matter: `make demo` and `make test`. Both set up .venv with the tested versions first.
PYTHON ?= python3
BIN := .venv/bin
# Applies to build environments too, so that nothing is installed that was not tested.
export PIP_CONSTRAINT := $(CURDIR)/configs/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-quick coverage test-long bench lint clean

demo: .venv/.run
	@$(BIN)/mediascribe run configs/jobs/demo.toml
	@$(BIN)/mediascribe show data/demo --status ok --limit 3
	@$(BIN)/mediascribe cost data/demo --by model,media_kind

test: .venv/.dev lint
	$(BIN)/pytest tests/mediascribe -m "not long" -n 2 --dist worksteal
	$(BIN)/pytest tests/conformance tests/samples tests/flows -m "not long" -n 2 --dist loadfile

test-quick: .venv/.dev
	$(BIN)/pytest tests/mediascribe --ignore=tests/mediascribe/sandbox -m "not wide and not long" -n 2 --dist worksteal -q

# Apart from `make test`, whose library tests it makes take nearly twice as long.
coverage: .venv/.dev
	$(BIN)/pytest tests/mediascribe -m "not long" -n 2 --dist worksteal --cov --cov-branch --cov-report=term --cov-fail-under=95

test-long: .venv/.dev .venv-litellm/.done coverage
	$(BIN)/pytest tests -m long -n 2 --dist loadfile

# All figures of speed in about a quarter of an hour, as Markdown: on a machine that does nothing else meanwhile. The
# gateway is nginx with Lua where it is installed: apt-get install --no-install-recommends nginx-light libnginx-mod-http-lua
# BENCH=--huge adds plans and cost questions of 10,000,000 rows, and memory up to 1,000,000; BENCH="--only Plan" is a part.
bench: .venv/.dev
	$(BIN)/python tests/bench $(BENCH)

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mediascribe needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 demo")'
	@$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml configs/constraints.txt
	@echo "installing the tested versions into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.dev: .venv/.run
	@echo "installing the test tools into .venv"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# A proxy for the long tests, in a throw-away environment of its own: two releases of it stole credentials, so it is
# pinned to one that did not, and never a dependency.
.venv-litellm/.done: configs/litellm.txt
	@$(PYTHON) -m venv .venv-litellm
	@PIP_CONSTRAINT= .venv-litellm/bin/python -m pip install --quiet -r configs/litellm.txt
	@touch $@

clean:
	rm -rf .venv .venv-litellm
