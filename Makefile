# Two commands for a fresh machine: `make demo` and `make test`. Both do their own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test check lock clean

install: $(VENV)/.installed

# The stamp is newer than everything that decides what is installed.
$(VENV)/.installed: pyproject.toml constraints.txt .ci/install
	@bash .ci/install $(VENV) $(PYTHON)
	@touch $@

demo: install  ## the main job on the demo corpus
	@$(BIN)/searchsvc demo

test: install  ## all tests but the markers cluster, vllm and slow
	@$(BIN)/python -m pytest

check: install  ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock:  ## write constraints.txt anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
