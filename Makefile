# `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
WORLD := data/miniworld
export TOKENIZERS_PARALLELISM ?= false
# A file of tests a process: what a module loads once is loaded once.
PYTEST_ARGS ?= --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[36m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Set-up: done once, and again only when pyproject.toml changes -------------------------------------

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

.PHONY: install install-dev
install: $(VENV)/installed ## Make the virtual environment and install into it
install-dev: $(VENV)/installed-dev ## The same, with what development needs

# --- The main job --------------------------------------------------------------------------------------

.PHONY: demo
demo: $(foreach model,base sft dpo,$(DEMO)/benchmark/$(model)/run.json) ## Align the embedded model and write its report page
	@$(BIN)/python evaluate/compare.py --config-name demo

$(WORLD)/pairs.jsonl: | $(VENV)/installed
	$(BIN)/python data_prep/build_pairs.py out=$(DEMO)/build_pairs

$(WORLD)/sft.jsonl: $(WORLD)/pairs.jsonl
	$(BIN)/python data_prep/build_sft.py out=$(DEMO)/build_sft

$(DEMO)/sft/run.json: $(WORLD)/sft.jsonl
	$(BIN)/accelerate launch recipes/sft.py out=$(DEMO)/sft

$(DEMO)/dpo/run.json: $(WORLD)/pairs.jsonl
	$(BIN)/accelerate launch recipes/dpo.py out=$(DEMO)/dpo

# Honesty, what is left of general ability, and what happens as the image fades.
BENCHMARK := evaluate/benchmark.py 'task=[miniworld,easy_vqa,corruption]' task.easy_vqa.limit=500

$(DEMO)/benchmark/base/run.json: $(WORLD)/pairs.jsonl
	$(BIN)/python $(BENCHMARK) out=$(DEMO)/benchmark/base

$(DEMO)/benchmark/%/run.json: $(DEMO)/%/run.json
	$(BIN)/python $(BENCHMARK) adapter=$(DEMO)/$*/adapter out=$(DEMO)/benchmark/$*

.PHONY: clean-demo
clean-demo: ## Remove what the demo made, so that it runs anew
	rm -rf $(DEMO) $(WORLD)

# --- The paper's Table 3 (docs/experiments.md): needs a GPU, the model hub and judges' keys -------------

# Whose rows, and where the model is if configs/model/$(MODEL).yaml leaves that open.
MODEL ?= qwen2_5_vl_7b
NAME ?=
# Of `accelerate launch`: LAUNCH='--config_file configs/accelerate/ddp.yaml --num_processes 8'
LAUNCH ?=
# Of the training: SETTINGS=trainer.gradient_accumulation_steps=1 keeps 32 rows a step on 8 GPUs
SETTINGS ?=
TABLE3 := runs/table3
TABLE3_NAME = $(if $(NAME),model.name=$(NAME))
TRAINED := $(foreach row,sft dpo simpo orpo ours,$(TABLE3)/$(MODEL)_$(row))

.PHONY: table3
table3: $(TABLE3)/$(MODEL)_vanilla/benchmark/run.json $(TRAINED:%=%/benchmark/run.json) ## Train and measure the paper's rows of a model, with a GPU
	$(BIN)/python evaluate/leaderboard.py runs=$(TABLE3) out=$(TABLE3)/leaderboard

$(TABLE3)/$(MODEL)_vanilla/benchmark/run.json: | $(VENV)/installed
	$(BIN)/python evaluate/benchmark.py experiment=table3/$(MODEL)_vanilla $(TABLE3_NAME)

# A row's program has the name of its method; ours is DPO's. A run that was stopped goes on.
$(TRAINED:%=%/run.json): $(TABLE3)/$(MODEL)_%/run.json: | $(VENV)/installed
	$(BIN)/accelerate launch $(LAUNCH) recipes/$(patsubst ours,dpo,$*).py experiment=table3/$(MODEL)_$* $(TABLE3_NAME) $(SETTINGS) resume=true

$(TRAINED:%=%/benchmark/run.json): %/benchmark/run.json: %/run.json
	$(BIN)/python evaluate/benchmark.py experiment=table3/$(MODEL)_vanilla $(TABLE3_NAME) adapter=$*/adapter out=$*/benchmark

# --- Development ---------------------------------------------------------------------------------------

.PHONY: test test-all check lint format
test: $(VENV)/installed-dev ## Run the tests, but for slow variants
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) -m "not slow"

test-all: $(VENV)/installed-dev ## Run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test ## Everything that must pass before a commit

format: $(VENV)/installed-dev ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- Documentation -------------------------------------------------------------------------------------

.PHONY: docs docs-links docs-settings
docs: $(VENV)/installed-dev ## Build the pages of docs/ as a site, in docs/_build/html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

docs-links: $(VENV)/installed-dev ## Ask every address that the pages name; needs a network
	$(BIN)/sphinx-build --quiet -b linkcheck docs docs/_build/links

docs-settings: $(VENV)/installed-dev ## Write docs/configuration.md from configs/
	$(BIN)/python docs/generate.py
