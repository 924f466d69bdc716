# make search      searches with the defaults        make check   style, types, layers
# make test        runs the tests (5 minutes)        make bench   benchmarks (half an hour)
# make test-long   runs those that take longer       make clean   removes what make installed
# make test-rare   runs those that take longest and tell least

PYTHON ?= python3
BIN := .venv/bin
# A worker runs whole modules, whose tests may share something, such as a search. There is one for each core. Long tests
# wait for other processes most of their time, so there are more of those.
MODULES := --maxprocesses 8 --dist loadscope --no-loadscope-reorder
WORKERS := -n logical $(MODULES)
LONG_WORKERS = -n $(shell $(PYTHON) -c "import os; print(os.cpu_count() * 3 // 2)") $(MODULES)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: search test test-long test-rare check bench clean

search: .venv/installed
	$(BIN)/python -m tuning.search

test: .venv/installed
	$(BIN)/python -m pytest $(WORKERS) -m "not long"

test-long: .venv/installed
	$(BIN)/python -m pytest $(LONG_WORKERS) -m "long and not rare"

test-rare: .venv/installed
	$(BIN)/python -m pytest $(LONG_WORKERS) -m rare

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/benchmarks-installed
	$(BIN)/python -m benchmarks

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python >= 3.11 is needed (make PYTHON=python3.12 chooses one), but $(PYTHON) is ' + sys.version)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/benchmarks-installed: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	touch $@

clean:
	rm -rf .venv
