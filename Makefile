# make run | up | down | clean | test | check | lock | docs
PYTHON ?= python3.11
STATE := .upkeep
UV_VERSION := 0.13.9
UV := $(STATE)/tools/bin/uv
BIN := .venv/bin
# A machine that keeps torch's CPU wheel says so by PIP_FIND_LINKS; elsewhere uv knows where CPU builds are.
TORCH := $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend cpu)
# Bytecode halves the import times that every Airflow task pays.
unexport PYTHONDONTWRITEBYTECODE
export UV_LINK_MODE ?= copy
export UV_NO_PROGRESS := 1
.DEFAULT_GOAL := help
.PHONY: help run up down clean venv dev test check lock docs

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(UV):
	@echo "· uv $(UV_VERSION) by pip"
	@$(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check --root-user-action ignore --target $(STATE)/tools uv==$(UV_VERSION)

.venv/.locked: requirements.txt pyproject.toml | $(UV)
	@echo "· .venv from the lock (requirements.txt, exactly)"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python $(BIN)/python $(TORCH) requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.locked
	@echo "· test tools from requirements-dev.txt"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -r requirements-dev.txt
	@touch $@

venv: .venv/.locked ## the environment of the lock
dev: .venv/.dev ## the same with the test tools

run: venv ## sixteen days of a real model, from drift to a better champion; FLEET=all: two image models too
	@FLEET=$(FLEET) $(BIN)/python -m examples.run

up: venv ## leave MLflow and Airflow running for a person
	@$(BIN)/python -m examples.stack up

down: ## stop exactly what `make up` started
	@test ! -x $(BIN)/python || $(BIN)/python -m examples.stack down

clean: down ## forget everything
	@rm -rf $(STATE) .venv

check: dev ## ruff, mypy --strict, the floors, the pages that are generated
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python docs/make_dags_page.py --check

test: dev ## everything
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lock: | $(UV) ## compile requirements.txt and requirements-dev.txt anew
	@sed -i 's/^torch==\([0-9.]*\)$$/torch==\1+cpu/' requirements.txt
	@$(UV) pip compile --quiet pyproject.toml --extra airflow --extra worker --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 $(TORCH) --no-annotate --no-emit-find-links \
	  --custom-compile-command "make lock" -o requirements.txt
	@sed -i 's/^torch==\([0-9.]*\)+cpu$$/torch==\1/' requirements.txt
	@$(UV) pip compile --quiet pyproject.toml --extra dev -c requirements.txt --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 $(TORCH) --no-annotate --no-emit-find-links \
	  --custom-compile-command "make lock" -o requirements-dev.txt

docs: venv ## docs/dags.md from the DAGs' docstrings
	@$(BIN)/python docs/make_dags_page.py
