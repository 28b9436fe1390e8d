.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAMPLE ?= clean
WORKERS ?= 2

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(STAMP) ## Start the local cloud, load the sample, open for browsing (ONCE=1: write .local/run-summary.json and exit)
	@$(BIN)/python -m infra.local run $(if $(ONCE),--once) --sample $(SAMPLE) $(if $(DATABASES),--databases "$(DATABASES)")

up: $(STAMP) ## Start the local cloud alone, empty; `source .local/env` to use it (DATABASES="shop": stream that Firestore database too)
	@$(BIN)/python -m infra.local up --detach --sample $(SAMPLE) $(if $(DATABASES),--databases "$(DATABASES)")

down: $(STAMP) ## End the local cloud
	@$(BIN)/python -m infra.local down

tenant: $(STAMP) ## Provision a tenant in the running local cloud: make tenant TENANT=x
	@$(if $(TENANT),,echo "say which: make tenant TENANT=x"; exit 2;) $(BIN)/python -m infra.local tenant $(TENANT)

status: $(STAMP) ## How every stream stands, where the environment says: make status ARGS="--tenant demo"
	@$(BIN)/scout status $(ARGS)

replay: $(STAMP) ## Deliver again what was set aside: make replay ARGS="--reason RetriesExhausted --dry-run"
	@$(BIN)/scout replay $(ARGS)

sources: $(STAMP) ## How a tenant's sources stand, test and sync them: make sources ARGS="list demo"
	@$(BIN)/scout sources $(ARGS)

backfill: $(STAMP) ## Copy what a collection already holds: make backfill ARGS="tenants/demo/things --dry-run"
	@$(BIN)/scout backfill $(ARGS)

test: $(STAMP) ## Everything: unit, integration on the emulators, end to end in a browser
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder tests/unit tests/integration tests/end_to_end $(ARGS)

check: $(STAMP) ## Format, lint, strict types, unit tests, generated files: about a minute and a half
	@$(BIN)/ruff format --check -q . || (echo "run: make format"; exit 1)
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/python -m infra.generate --check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder tests/unit -q

bench: $(STAMP) ## Print the figures, one JSON line each (ONLY=name)
	@$(BIN)/python -m tests.bench $(ONLY)

format: $(STAMP) ## Format and fix what can be fixed
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check --fix -q .

generate: $(STAMP) ## Write the files that are generated from the declarations
	@$(BIN)/python -m infra.generate

verify: $(STAMP) ## Compare a collection with BigQuery, document by document: make verify ARGS="tenants/demo/things --repair"
	@$(BIN)/scout verify $(ARGS)

repair: $(STAMP) ## Repair what a verification found: make repair ARGS="RUN_ID --yes"
	@$(BIN)/scout repair $(ARGS)

adopt: $(STAMP) ## Adopt a table of the Firebase extension: make adopt ARGS="firestore_export.users_raw_changelog --collection users --dry-run"
	@$(BIN)/scout adopt $(ARGS)

erase: $(STAMP) ## Erase a document or a tenant everywhere, with proof: make erase ARGS="document tenants/demo/contacts/x"
	@$(BIN)/scout erase $(ARGS)

migrate: $(STAMP) ## Show or apply pending schema migrations: make migrate ARGS="--dry-run"
	@$(BIN)/scout migrate $(ARGS)

deploy: $(STAMP) ## Write build/deploy.sh: make deploy PROJECT=x REGION=y [FIRESTORE=nam5 DATABASES="shop" REDIS_URL= VPC_CONNECTOR=] (APPLY=1 runs it)
	@$(if $(PROJECT),,echo "say where to: make deploy PROJECT=x REGION=y"; exit 2;) $(BIN)/python -m infra.deploy --project $(PROJECT) --region $(or $(REGION),us-central1) $(if $(FIRESTORE),--firestore-location $(FIRESTORE)) $(if $(DATABASES),--databases "$(DATABASES)") \
		$(if $(REDIS_URL),--redis-url $(REDIS_URL)) $(if $(VPC_CONNECTOR),--vpc-connector $(VPC_CONNECTOR)) $(if $(APPLY),--apply)

install: $(STAMP) ## Virtual environment and packages

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: install it, or say PYTHON=/path/to/python3"; exit 3; }
	@echo "Preparing $(VENV) (once, about a minute and a half)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 3; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: help run up down tenant backfill verify repair replay status sources test check bench format generate erase adopt migrate deploy install
