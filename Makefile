# All the commands of the project; `make help` lists them. Packages go into .venv and nowhere else.

PYTHON ?= python3.11
PROFILE ?= quick
# What the explorer and the gallery show.
STUDY ?= quick
# Number of methods that are trained side by side; with a GPU, 1 is best.
JOBS ?= 2
# Number of test files that run side by side; each takes up to 6 GB of memory.
WORKERS ?= 2

VENV := .venv
RUN := $(VENV)/bin/python
PIPELINE := $(RUN) -m doit -f dodo.py run -n $(JOBS) -P thread $(if $(DATASET),own,$(PROFILE)$(if $(filter ablations,$(PROFILE)), parts)) \
	jobs=$(JOBS)$(if $(DATASET), dataset="$(DATASET)")$(if $(RAW), raw="$(RAW)")$(if $(CSV), table="$(CSV)")$(if $(PRESET), preset="$(PRESET)")$(if $(filter parts,$(PROFILE)), after=)
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

# A path or a kernel from outside must not hide the packages of .venv.
unexport PYTHONPATH PYTHONHOME JUPYTER_PATH
export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install install-torch study photos gallery notebooks explore tune test test-slow test-studies test-torch test-distributed test-browser bench bench-large bench-map fuzz kills lint format lock clean clean-results clean-data

# Options are checked before anything is installed or started.
PROFILES := $(shell sed -n 's/^def task_\(.*\)():.*/\1/p' dodo.py 2>/dev/null)
STUDIES := $(notdir $(patsubst %/,%,$(wildcard results/runs/*/)))
asked = $(filter $(1),$(MAKECMDGOALS))
ifneq ($(call asked,study photos tune),)
ifneq ($(shell printf '%s' '$(JOBS)' | grep -qx '[1-9][0-9]*' || echo wrong),)
$(error JOBS is how many methods are trained side by side, a number from 1; got '$(JOBS)')
endif
endif
ifneq ($(call asked,study),)
ifeq ($(and $(filter 1,$(words $(PROFILE))),$(filter $(PROFILES),$(PROFILE))),)
$(error PROFILE is one of $(PROFILES); got '$(PROFILE)')
endif
ifneq ($(RAW)$(CSV)$(PRESET),)
ifeq ($(DATASET)$(if $(PRESET),,$(filter photos,$(PROFILE))),)
$(error RAW, CSV and PRESET are of your own data, which DATASET names: make study DATASET=Shop RAW=IMAGES CSV=shop.csv)
endif
endif
ifeq ($(PROFILE)$(DATASET),own)
$(error PROFILE=own is a study of your own data; name it: make study DATASET=NAME, with RAW=IMAGES CSV=FILE the first time)
endif
endif
ifneq ($(call asked,explore),)
ifeq ($(INDEX)$(wildcard results/runs/$(STUDY)/.),)
$(error There is no study '$(STUDY)' in results/runs/; $(if $(STUDIES),there are: $(STUDIES),run `make study` first))
endif
endif

help: ## list these commands
	@sed -nE 's/^([a-z-]+):.*## /\1 /p' Makefile | awk '{ line = sprintf("  make %-16s", $$1); \
		for (i = 2; i <= NF; i++) { if (length(line " " $$i) > 80) { print line; line = sprintf("%23s", "") } \
		line = line " " $$i } print line }'

install: $(VENV)/.installed-dev ## install everything into .venv, including the development tools

study: $(VENV)/.installed ## run a study, print its table [PROFILE=quick, ablations, changes; DATASET=yours, PRESET=its settings; JOBS=2]
	@echo "== The study '$(or $(DATASET),$(PROFILE))'"
	@$(PIPELINE)

# Nothing that shows a photograph goes where git keeps results.
photos: $(VENV)/.installed ## run the study on photographs, about 6 hours [RAW=the published dataset; JOBS=2]
	@test -n "$(RAW)" || test -d data/ClothingAttributes-4 || { \
		echo "Say where the published Clothing Attribute Dataset is (the folder with images/ and labels/):"; \
		echo "make photos RAW=FOLDER (data_prep/README.md names its source)"; exit 1; }
	@test -z "$(RAW)" || test -d "$(RAW)" || { echo "RAW: there is no folder $(RAW)"; exit 1; }
	@test -z "$(RAW)" || test -d "$(RAW)/labels" || { \
		echo "$(RAW) has no labels/: RAW must be the folder with images/ and labels/, as published."; exit 1; }
	@$(RUN) -m doit -f dodo.py run -n $(JOBS) -P thread photos jobs=$(JOBS) $(if $(RAW),raw="$(RAW)")

gallery: $(VENV)/.installed ## copy executed notebooks of a study into results/gallery [STUDY=quick]
	@$(RUN) -m asen_study.executed "results/runs/$(STUDY)"

notebooks: $(VENV)/.installed ## open the notebooks in JupyterLab
	$(RUN) -m jupyterlab notebooks

explore: $(VENV)/.installed ## explore a study or an index in the browser [STUDY=quick, or INDEX=FOLDER]
	@$(RUN) -m asen_apps.commands explore $(if $(INDEX),"$(INDEX)",--study $(STUDY))

tune: $(VENV)/.installed ## search for better settings, 20 minutes on two cores [JOBS=2]
	@mkdir -p results/runs/tuning/notebooks
	@$(RUN) -m papermill notebooks/10_tune.ipynb results/runs/tuning/notebooks/10_tune.ipynb \
		-k python3 -p jobs $(JOBS) --no-progress-bar --log-output

test: $(VENV)/.installed-dev ## run the tests, except the slow ones [WORKERS=2]
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-studies: $(VENV)/.installed-dev ## run the tests that train every method, on each kind of data [WORKERS=2]
	$(RUN) -m pytest -m 'studies and not slow' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/.installed-dev ## run the tests that take minutes
	$(RUN) -m pytest -m slow

install-torch: $(VENV)/.installed-torch ## install PyTorch, to read PyTorch checkpoints [TORCH_INDEX=URL]

test-distributed: $(VENV)/.installed-dev ## run the tests in which several processes work together
	$(RUN) -m pytest -m distributed --durations=0 --durations-min=1

test-browser: $(VENV)/.installed-browser ## run the tests of the explorer in a real browser
	$(RUN) -m pytest -m browser

bench: $(VENV)/.installed-dev ## measure speed, write results/benchmarks/ (10 minutes)
	$(RUN) -m pytest benchmarks -o python_files='bench_*.py' -s
	$(RUN) benchmarks/search_index.py --out results/benchmarks/search.md
	$(RUN) -m benchmarks.first_answer --out results/benchmarks/first_answer.md
	$(RUN) -m benchmarks.table

bench-large: $(VENV)/.installed-dev ## measure a catalogue of a million simulated images (30 minutes, 10 GB)
	$(RUN) -m benchmarks.large_catalogue --out results/benchmarks/large_catalogue.md --docs docs/search.md

bench-map: $(VENV)/.installed-dev ## measure seconds until a MAP is reached (20 minutes, after `make study`)
	$(RUN) -m benchmarks.time_to_map
	$(RUN) -m benchmarks.table

fuzz: $(VENV)/.installed-dev ## try 10,000 bad files of every kind, write results/benchmarks/
	$(RUN) -m benchmarks.bad_files

kills: $(VENV)/.installed-dev ## kill a small study 100 times, fill 20 disks, compare its tables (as root: disks)
	$(RUN) -m benchmarks.kills

test-torch: $(VENV)/.installed-torch ## run the tests of PyTorch checkpoints
	$(RUN) -m pytest tests/method/test_weights.py tests/method/test_weights_files.py

lint: $(VENV)/.installed-dev ## check style, format, and that notebooks have no outputs
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(if $(NOTEBOOKS),$(RUN) -m nbstripout --verify $(NOTEBOOKS))

format: $(VENV)/.installed-dev ## fix what `make lint` finds, as far as the tools can
	-$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	$(if $(NOTEBOOKS),$(RUN) -m nbstripout $(NOTEBOOKS))

# Pins stay as they are unless pyproject.toml rules them out; for the newest: make lock LOCK_FLAGS=--upgrade
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(RUN) -m piptools compile --quiet --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	--unsafe-package pip $(LOCK_FLAGS) pyproject.toml

lock: $(VENV)/.installed-dev ## write the lock files from pyproject.toml [LOCK_FLAGS=--upgrade]
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra test --extra dev --extra milvus --constraint requirements.lock \
		--output-file requirements-dev.lock

clean: ## remove caches, but no results, no data and not .venv
	rm -rf __pycache__ .pytest_cache .ruff_cache .hypothesis build *.egg-info .doit.db*
	find asen_tf asen_study asen_apps data_prep tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

clean-results: ## list your studies in results/runs/ with their sizes, and remove them if you say yes
	@if ! test -d results/runs || test -z "$$(ls -A results/runs)"; then echo "results/runs/ holds nothing."; exit 0; fi; \
	echo "These would be removed, trained models and all, and cannot be brought back:"; \
	(cd results/runs && du -sh -- * .[!.]* 2>/dev/null); du -sh results/runs | sed 's|results/runs$$|together|'; \
	printf 'Remove them? Type yes: '; read -r answer || answer=; \
	if test "$$answer" = yes; then rm -rf results/runs && echo "Removed."; else echo "Nothing was removed."; fi

clean-data: ## remove the data that the study made, data/Garments* and data/smoke, and no other data
	rm -rf data/Garments data/GarmentsFirst data/smoke

# A stamp is written when its step has succeeded, so a broken installation is tried again.
$(VENV)/.made:
	@echo "== Making the Python environment $(VENV)"
	@if "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
		"$(PYTHON)" -m venv $(VENV); \
	elif test "$(origin PYTHON)" = file && command -v uv >/dev/null; then \
		echo "There is no python3.11; uv makes the environment."; uv venv --seed --python 3.11 $(VENV); \
	else \
		echo "$(PYTHON) is not a Python 3.11, which TensorFlow 2.15 needs."; \
		echo "Install Python 3.11 by your system's packages, or uv (https://docs.astral.sh/uv/), which fetches it;" \
			"or point to one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; fi
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml $(VENV)/.made
	@echo "== Installing the packages in requirements.lock into $(VENV) (once; takes a few minutes)"
	$(RUN) -m pip install --requirement requirements.lock
	$(RUN) -m data_prep.graphics_libraries
	$(RUN) -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

# Without a GPU, TORCH_INDEX=https://download.pytorch.org/whl/cpu saves some GB on Linux.
$(VENV)/.installed-torch: $(VENV)/.installed-dev
	@echo "== Installing PyTorch, which is used only to read checkpoints"
	$(RUN) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	@touch $@

# Playwright's own browsers are not installed: Debian's chromium is enough.
$(VENV)/.installed-browser: $(VENV)/.installed-dev
	@command -v chromium >/dev/null || { echo "== Installing Debian's chromium"; \
		{ apt-get update -qq && apt-get install -y -qq chromium; } || { \
		echo "Install the package chromium as root (apt-get install chromium), then run this again."; exit 1; }; }
	$(RUN) -m pip install --quiet playwright==1.65.2
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "== Installing the tools for tests and development"
	$(RUN) -m pip install --quiet --requirement requirements-dev.lock
	@touch $@
