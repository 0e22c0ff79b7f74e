# `make` lists the targets. Everything is installed into .venv, again only when its list of packages changes.
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
# One process a core, four at most, for memory: one that waits for a compiler or a child leaves its core to the other.
PYTEST_WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

BIN := $(VENV)/bin
RUN_EXTRAS := train,quantize,openvino
ALL_EXTRAS := $(RUN_EXTRAS),onnxruntime,report,scenarios,timm,lora,bench,dev
PACKAGES := pyproject.toml constraints.txt
CHECKED := tests benchmarks $(wildcard examples)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

export PIP_ROOT_USER_ACTION = ignore

.DEFAULT_GOAL := help
.PHONY: help setup demo gate-demo test test-slow test-nvidia-contract kernels lint fmt bench wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

setup: $(VENV)/.all ## create .venv with all that a CPU host can use, and what tests and linting take

demo: $(VENV)/.run ## build, predict and verify on data and a network that come along
	$(BIN)/edgetl build --data demo --model tiny --device local --name demo
	@pictures=$$($(BIN)/python -c "from edgetl.home import cache_folder; print(cache_folder() / 'demo')") && \
	set -x && $(BIN)/edgetl predict runs/latest "$$pictures/3/0003.png" "$$pictures/7/0007.png"
	$(BIN)/edgetl verify runs/latest --data demo
	@echo
	@echo "next, with your own pictures in folders named after their classes:"
	@echo "  $(BIN)/edgetl build --data ./images --model mobilenet_v2 --device local --max-drop 1%"
	@echo "  $(BIN)/edgetl predict runs/latest photo.jpg"
	@echo "  $(BIN)/edgetl devices"

gate-demo: $(VENV)/.run ## edgetl gate on an unchanged engine, which must pass, and on one made 5 % slower, which must fail
	$(BIN)/edgetl build --data demo --model tiny --device local --name gate-demo --no-search --instances 2 --quiet
	$(BIN)/python benchmarks/gate_demo.py runs/latest

test: lint ## lint, then every test and doctest but the slow ones
	$(BIN)/python -m pytest -m "not slow and not nvidia_contract" -rs $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-slow: $(VENV)/.all ## the slow tests
	$(BIN)/python -m pytest -m slow -rs $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-nvidia-contract: $(VENV)/.all ## our calls, made through NVIDIA's own Python bindings, which come from the package index
	$(BIN)/python -m pytest -m nvidia_contract -rs $(PYTEST_ARGS) tests/nvidia

# The tests take headers of several releases in that variable, parted by colons; a library is of one.
kernels: ## build/kernels: the CUDA kernels for all that nvcc builds for; TENSORRT_INCLUDE=DIR: the plugin too; needs no Python
	@command -v cmake >/dev/null || { echo "no cmake on PATH: apt install cmake builds the kernels, or one nvcc line of kernels/README.md"; exit 1; }
	cmake -S kernels -B build/kernels -DTENSORRT_INCLUDE="$(firstword $(subst :, ,$(TENSORRT_INCLUDE)))"
	cmake --build build/kernels --parallel

# The map from calibration/ to edgetl.calibration holds in a wheel only, so what ships is what is checked.
# mypy keeps no cache: with one it reports imports of edgetl.calibration as missing after a change to that folder.
lint: $(VENV)/.all ## formatting, house rules, types, and which module may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/lib build/bdist.* build/lint
	$(INSTALL) --no-deps --no-build-isolation --no-compile --target build/lint .
	@cp -Rp $(CHECKED) build/lint
	cd build/lint && MYPYPATH=benchmarks $(abspath $(BIN))/mypy --config-file ../../pyproject.toml --cache-dir /dev/null edgetl $(CHECKED)
	cd build/lint && PYTHONPATH=. $(abspath $(BIN))/lint-imports --cache-dir ../../.import_linter_cache ../../pyproject.toml

fmt: $(VENV)/.all ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.all ## run every program of benchmarks/; takes hours, EDGETL_SHARED names the real data
	@for program in benchmarks/bench_*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

wheel: $(VENV)/.all ## dist/: the wheel and the sdist
	@rm -rf build/lib build/bdist.* dist
	@mkdir -p dist build
	@$(BIN)/python -c "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')" >build/wheel.log
	@ls dist

clean: ## remove what was built, but neither .venv nor runs/
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo "edgetl takes Python 3.10 or newer: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(VENV)/.run: $(PACKAGES) | $(BIN)/python
	@test $(VENV)/.all -nt pyproject.toml -a $(VENV)/.all -nt constraints.txt || \
	{ echo "installing into $(VENV): torch is large, this takes minutes"; $(INSTALL) -e '.[$(RUN_EXTRAS)]'; }
	@touch $@

$(VENV)/.all: $(PACKAGES) | $(BIN)/python
	@echo "installing into $(VENV): torch is large, this takes minutes"
	$(INSTALL) -e '.[$(ALL_EXTRAS)]'
	@touch $@
