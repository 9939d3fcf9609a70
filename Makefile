# Stagekeeper. `make demo` shows it at work, `make test` proves it; both make what they need.
PYTHON ?= python3
VENV ?= .venv
SECONDS ?= 60
JOBS ?= 3
PACK ?= default
PORT ?= 8080
SEED ?= 1
KILLS ?= 50
CONTACTS ?= 3000
CASES ?= 10000

# Tests start hundreds of processes: what Python has compiled once is kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests
BENCH_STAMP := $(VENV)/.installed-for-bench
BROWSER_STAMP := $(VENV)/.installed-for-browser

# durable-rules comes as C source. From Python 3.13 on it builds only when the call that Python
# dropped is given its new name.
PIP = CPPFLAGS="$$($(PYTHON) -c 'import sys; print("-DPyEval_CallObject=PyObject_CallObject" if sys.version_info >= (3, 13) else "")') $$CPPFLAGS" \
      $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test test-postgres postgres lint requirements bench torture cluster fuzz audit browser pictures chromium wheel wheel-demo tools clean

help:
	@echo "make demo         watch contacts of a practice HubSpot move (FOREVER=1, SECONDS=$(SECONDS), PACK=$(PACK), PORT=$(PORT))"
	@echo "make test         lint, types, every test that needs no server"
	@echo "make test-postgres what is stored and worked off, on a PostgreSQL server of its own that is gone afterwards"
	@echo "make requirements lists what the shipped packs must do and no case cites"
	@echo "make bench        the numbers of the README beside their peers', as ratios; a table in build/bench"
	@echo "make torture      everything goes wrong at once for minutes (SEED=$(SEED), KILLS=$(KILLS), CONTACTS=$(CONTACTS)); nothing lost, nothing twice"
	@echo "make cluster      several receivers and workers on one PostgreSQL, killed and cut off (SEED=$(SEED)); nothing lost, nothing twice"
	@echo "make fuzz         spoilt requests, answers, packs and files (CASES=$(CASES), SEED=$(SEED)); no crash"
	@echo "make browser      the web page in Chromium: every page, every action, keyboard, narrow, dark, axe-core; make pictures"
	@echo "make audit        bandit, and pip-audit where its data can be reached"
	@echo "make wheel        build dist/*.whl"
	@echo "make wheel-demo   install the wheel into a fresh environment and run a short demo from it"
	@echo "make clean        remove what make made"

demo: $(STAMP)
	$(BIN)/stagekeeper demo --seconds $(SECONDS) --pack $(PACK) --port $(PORT) $(if $(FOREVER),--forever,)

# The files in their own order: those with few and long tests come first, and no core is idle at the end.
test: lint
	$(BIN)/python -m pytest tests -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Those that keep nothing in a database are left out; those that are about a file keep theirs in one.
# The short form, `make test-postgres STORE=`, leaves out what also runs on SQLite.
STORE ?= tests/integration
test-postgres: $(TEST_STAMP) postgres
	$(BIN)/python -m tests.postgres_server $(BIN)/python -m pytest tests/postgres $(STORE) \
	  --ignore-glob='*/test_sandbox_*' -n $(JOBS) --dist loadfile

postgres:
	@if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; \
	  else \
	    echo "PostgreSQL is needed. On Debian and Ubuntu: apt-get install postgresql"; exit 1; \
	  fi; \
	fi

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/stagekeeper --quiet check rules/

requirements: $(TEST_STAMP)
	$(BIN)/python -m tests.requirements

bench: $(BENCH_STAMP)
	$(BIN)/python -m tests.bench

torture: $(TEST_STAMP)
	$(BIN)/python -m tests.torture --seed $(SEED) --kills $(KILLS) --contacts $(CONTACTS)

cluster: $(TEST_STAMP)
	$(BIN)/python -m tests.cluster --seed $(SEED)

fuzz: $(TEST_STAMP)
	$(BIN)/python -m tests.fuzz --cases $(CASES) --seed $(SEED)

audit: $(TEST_STAMP)
	$(BIN)/python -m tests.audit

CHECKS ?= tests/browser
browser: $(BROWSER_STAMP) chromium
	$(BIN)/python -m pytest $(CHECKS) -o python_files='check_*.py'

pictures: $(BROWSER_STAMP) chromium
	$(BIN)/python -m tests.browser.pictures

chromium:
	@if ! command -v chromedriver >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
	  else \
	    echo "Chromium and its driver are needed. On Debian and Ubuntu: apt-get install chromium chromium-driver"; exit 1; \
	  fi; \
	fi

wheel: $(TEST_STAMP)
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

wheel-demo: wheel
	rm -rf build/wheel-venv
	$(PYTHON) -m venv build/wheel-venv
	$(subst $(BIN),build/wheel-venv/bin,$(PIP)) dist/*.whl
	cd build && wheel-venv/bin/stagekeeper demo --seconds 10 --port 0

tools:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' 2>/dev/null || { \
	  echo "Python 3.11 or later is needed; '$(PYTHON)' is not. Install one, or name it: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@command -v "$${CC:-cc}" >/dev/null || { \
	  echo "A C compiler is needed to build durable-rules. On Debian and Ubuntu: apt-get install gcc libc6-dev python3-dev"; \
	  echo "On Fedora: dnf install gcc python3-devel. On macOS: xcode-select --install"; exit 1; }
	@echo '#include <Python.h>' | "$${CC:-cc}" -fsyntax-only -x c \
	  -I"$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" - 2>/dev/null || { \
	  echo "The headers of C or of Python are missing. On Debian and Ubuntu: apt-get install libc6-dev python3-dev"; \
	  echo "On Fedora: dnf install glibc-devel python3-devel"; exit 1; }

$(BIN)/python:
	@$(MAKE) --no-print-directory tools
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(TEST_STAMP): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[test]'
	@touch $(STAMP) $@

$(BENCH_STAMP): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[test,bench]'
	@touch $(STAMP) $(TEST_STAMP) $@

$(BROWSER_STAMP): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[test,browser]'
	@touch $(STAMP) $(TEST_STAMP) $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
