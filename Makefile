# Every target builds its own environment first, so each works on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test check bench soak docs install clean

demo: install ## the whole loop on the embedded default: generate, SFT, GRPO, held-out table
	$(BIN)/simia demo

test: install ## the fast tests: hermetic, no GPU, no network beyond loopback
	$(BIN)/pytest -m "not soak"

check: install ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## speed, as ratios of two things in one run
	$(BIN)/python benchmarks/call_path.py

soak: install ## what is too long for `test`: runs killed many times over
	$(BIN)/pytest -m soak --timeout 900

docs: install ## regenerate what the docs show: command reference, dashboard screenshot
	$(BIN)/python docs/generate.py

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
