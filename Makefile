# The two commands a newcomer needs: `make demo` and `make test`.
#   make demo [DATA=folder]   learn a router, print what it saves, serve three requests
#   make test                 tests of seconds; ROUTER_ML_DATA=folder adds those on real data
#   make test-slow            tests of minutes: pages, clusters, notebooks, other systems
#   make notebooks            the notebooks at their whole size
#   make test-litellm         tests against LiteLLM's proxy, in an environment of its own
#   make lint                 format check, lint, types, import contracts
#   make docs                 site/, strict; its pictures of pages are taken anew where Chromium is
#   make fuzz                 10,000 cases of schemathesis against the service
#   make bench                results/bench.json
#   make client               clients/typescript/dist; needs Node
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_OFFLINE ?= 1

.PHONY: setup setup-litellm setup-peers demo test test-slow notebooks test-litellm lint docs fuzz bench client clean
setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@PYTHON=$(PYTHON) sh tools/check_system.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,encoders,serve,otel,spark,dask,remote,dev,docs]' \
		2>$(VENV)/install.log || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $@

demo: setup
	$(BIN)/router-ml demo $(if $(DATA),--data $(DATA))

# A process for each core; threads of their own would only wait for each other.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4

test: setup
	$(SIDE_BY_SIDE) --dist loadscope -m 'not slow and not whole'

test-slow: setup
	$(SIDE_BY_SIDE) --dist loadscope -m 'slow and not whole'

notebooks: setup
	$(SIDE_BY_SIDE) --dist worksteal tests/pipeline/test_notebooks.py -m whole

# LiteLLM cannot live beside our pins.
setup-litellm: .venv-litellm/.installed

.venv-litellm/.installed: pyproject.toml constraints-litellm.txt
	$(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/python -m pip install --quiet -c constraints-litellm.txt -e '.[litellm,litellm-dev]'
	@touch $@

test-litellm: setup setup-litellm
	$(BIN)/python -m pytest tests/litellm

# Systems beside which the integrations are tried: Phoenix, vector stores, guards, W&B.
setup-peers: .venv-peers/.installed

.venv-peers/.installed: constraints-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --no-compile --no-deps -r constraints-peers.txt
	@touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	sh tools/check_tracked.sh

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	$(BIN)/python -m tools.docs.screenshots site/images/screens

# 10,000 requests of every shape that the OpenAPI document allows, and that it forbids
fuzz: setup
	$(BIN)/python -m tools.fuzz --examples 1000

bench: setup
	$(BIN)/router-ml benchmark platform --out results/bench.json

client: setup
	$(BIN)/python -m tools.openapi clients/typescript/openapi.json
	cd clients/typescript && npm ci --no-audit --no-fund && npm run build

clean:
	rm -rf $(VENV) .venv-litellm .venv-peers runs results site .cache
