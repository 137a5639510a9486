# Every target builds its own environment first, so each works on a fresh machine.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# litellm wants another version of openai than we test with, so the peers that we are measured beside
# have an environment of their own.
BENCH_VENV ?= .bench-venv
BENCH_READY := $(BENCH_VENV)/.installed

# Each of the systems that rollouts are measured beside has an environment of its own, pinned.
PEERS_READY := $(patsubst %,.peers-venv/%/.installed,verifiers inspect curator)

.PHONY: demo test check bench studies peers-venv soak docs install clean

demo: install ## the whole loop on the embedded default: generate, SFT, GRPO, held-out table
	$(BIN)/simia demo

test: install ## the fast tests: hermetic, no GPU, no network beyond loopback
	$(BIN)/pytest -m "not soak" -n 4 --dist loadfile --no-loadscope-reorder

check: install ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install peers-venv $(BENCH_READY) ## speed, as ratios of two things in one run; two hours
	$(BIN)/python benchmarks/call_path.py --litellm-python $(BENCH_VENV)/bin/python
	$(BIN)/python benchmarks/concurrency.py
	$(BIN)/python benchmarks/writer.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/dedupe.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/rollouts.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python -m benchmarks.grounding
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/sft.py
	$(BIN)/python benchmarks/grpo.py
	$(BIN)/python benchmarks/sft_trl.py --trl-python $(BENCH_VENV)/bin/python
	$(BIN)/python -m benchmarks.rl_overlap
	$(BIN)/python -m benchmarks.event_clients
	mkdir -p runs/bench
	test -e runs/bench/large.db || $(BIN)/python benchmarks/tui_store.py runs/bench/large.db
	$(BIN)/python benchmarks/tui_start.py runs/bench/large.db
	$(BIN)/python benchmarks/tui.py runs/bench/large.db
	$(BIN)/python benchmarks/tui_live.py
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.growth

studies: install ## what training is worth, answered by many trainings: not speed; about eight hours
	$(BIN)/python -m benchmarks.sft_pays --out runs/studies/sft-pays
	$(BIN)/python -m benchmarks.rl_greedy --out runs/studies/rl-greedy
	$(BIN)/python -m benchmarks.sim_to_real --out runs/studies/sim-to-real
	$(BIN)/python -m benchmarks.unseen_world --out runs/studies/unseen-world

soak: install ## what is too long for `test`: runs killed many times over
	$(BIN)/pytest -m soak --timeout 900

docs: install ## regenerate what the docs show: command reference, dashboard screenshot
	$(BIN)/python docs/generate.py

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	touch $@

$(BENCH_READY):
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		"litellm==1.106.2" mcp matplotlib schemathesis "trl==1.16.0" "torch==2.13.0" \
		"$$(grep '^transformers==' constraints.txt)" "$$(grep '^peft==' constraints.txt)"
	touch $@

peers-venv: $(PEERS_READY) ## verifiers, inspect_ai and curator, for benchmarks.peers

.peers-venv/%/.installed: benchmarks/peers/requirements/%.txt
	$(PYTHON) -m venv .peers-venv/$*
	.peers-venv/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) .peers-venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
