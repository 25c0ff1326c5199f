# Two commands on a fresh machine: `make run` and `make test`. `make help` lists the others.

.DEFAULT_GOAL := help
.PHONY: help run demo-reset test test-api test-all test-deploy bench chaos mutate screenshots lint format lock sbom \
	chromium chromium-headless-shell curl wrk redis-server faketime clean

UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := .venv/bin
INSTALL := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes
COMPILE := $(UV) pip compile --universal --generate-hashes --python-version 3.13 -q $(UPGRADE)
# Bytecode is kept whatever the shell says: the tests start dozens of processes.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal
DEMONSTRATION := DEMONSTRATION=true SUPPORT_EMAIL=$${SUPPORT_EMAIL-support@vendor.example} \
	STATUS_URL=$${STATUS_URL-https://status.vendor.example} \
	TERMS_URL=$${TERMS_URL-https://vendor.example/terms} \
	PRIVACY_URL=$${PRIVACY_URL-https://vendor.example/privacy}
PACKAGES := portal subscriptions licenses tests
# Environment of the checks: nothing of theirs may land in the tree, nor read the demonstration.
SCRATCH := scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	export DEMONSTRATION=true DATA_DIR="$$scratch" &&

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' \
		2>/dev/null || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

run: .venv/run.stamp ## Start the portal with its demonstration (PORT, DATA_DIR)
	@$(DEMONSTRATION) exec $(BIN)/python manage.py demo

demo-reset: .venv/run.stamp ## Throw the demonstration's data away and make it anew
	@$(DEMONSTRATION) exec $(BIN)/python manage.py demo --reset

test: .venv/dev.stamp chromium curl ## Run the tests on SQLite, and on PostgreSQL what may differ there
	$(PYTEST) -m "not sweep"
	$(PYTEST) --postgres -m "database and not sweep"

test-api: .venv/api.stamp ## Send what a generator makes of the API's description, on both databases
	$(PYTEST) tests/licenses/api/test_generated.py
	$(PYTEST) --postgres tests/licenses/api/test_generated.py

test-all: .venv/api.stamp chromium curl ## Run all tests on SQLite, and all of them on PostgreSQL
	$(PYTEST)
	$(PYTEST) --postgres

test-deploy: .venv/deploy.stamp ## Run docs/deploy.md on an empty machine, and check the files of deploy/
	@$(BIN)/python -m tests.deploy

bench: .venv/dev.stamp wrk ## Measure checks, pages, API and changes (BENCH="--quick", or names of parts)
	@$(BIN)/python -m tests.bench $(BENCH)

chaos: .venv/dev.stamp redis-server faketime ## Break portals on purpose under load (CHAOS="--quick", or parts)
	@$(BIN)/python -m tests.chaos $(CHAOS)

mutate: .venv/mutate.stamp ## Change the heart, and see that tests fail (MUTATE="licenses/tokens.py")
	@nice $(BIN)/python -m tests.mutation $(MUTATE)

screenshots: .venv/dev.stamp chromium ## Draw every page into var/screenshots, and those of the README
	@$(BIN)/python -m tests.screenshots $(SCREENSHOTS)

lint: .venv/dev.stamp ## Check format, rules, types, layers, templates, migrations, settings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	find templates -name '*.html' -exec $(BIN)/djade --check --target-version 6.1 {} +
	@echo mypy; $(SCRATCH) $(BIN)/mypy $(PACKAGES)
	@echo makemigrations --check; \
		$(SCRATCH) $(BIN)/python manage.py makemigrations --check --dry-run
	@echo migrations and the previous release; $(SCRATCH) $(BIN)/python -m tests.upgrade.lint
	@echo check --deploy, with production settings; $(SCRATCH) \
		random() { $(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))'; } && \
		fernet='from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())' && \
		DEMONSTRATION=false SECRET_KEY=$$(random) LOG_KEY=$$(random) \
		KEY_ENCRYPTION_KEYS=$$($(BIN)/python -c "$$fernet") \
		PUBLIC_URL=https://licenses.example.com MAIL_FROM=licenses@example.com \
		MAIL_URL=smtps://mail.example.com:465 CACHE_URL=redis://cache.example.com:6379/0 \
		DATABASE_URL=postgresql://portal@database.example.com/portal \
		$(BIN)/python -W error manage.py check --deploy --fail-level WARNING

format: .venv/dev.stamp ## Put code and templates into their form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	find templates -name '*.html' -exec $(BIN)/djade --target-version 6.1 {} +

lock: | $(UV) ## Pin what pyproject.toml asks for (newest: UPGRADE=--upgrade)
	$(COMPILE) -o requirements.txt pyproject.toml
	$(COMPILE) -c requirements.txt --group dev -o requirements-dev.txt pyproject.toml
	$(COMPILE) --group sbom -o requirements-sbom.txt
	$(COMPILE) -c requirements-dev.txt --group deploy -o requirements-deploy.txt
	$(COMPILE) -c requirements-dev.txt --group api -o requirements-api.txt
	$(COMPILE) -c requirements-dev.txt --group mutate -o requirements-mutate.txt

sbom: .sbom/stamp ## Write the bill of materials of what runs into var/sbom.json (CycloneDX 1.6)
	@mkdir -p var
	@.sbom/tool/bin/python deploy/sbom.py .sbom/run/bin/python > .sbom/sbom.json
	@mv .sbom/sbom.json var/sbom.json
	@echo "var/sbom.json"

clean: ## Remove everything installed and every cache; the data in var/ stays
	rm -rf .venv .uv .sbom .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installation. The stamps make a second `make run` start at once. Packages are added, not
# synchronised, because run and tests share one environment.

.venv/run.stamp: requirements.txt .python-version | $(UV)
	@$(BIN)/python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != \
		open(".python-version").read().strip())' 2>/dev/null || { \
		version=$$(cat .python-version); rm -rf .venv; \
		for pyenv in "$${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version".*/bin; do \
			PATH="$$PATH:$$pyenv"; \
		done; \
		$(UV) venv --quiet --no-project --python-preference system --python "$$version" .venv || { \
		echo "Python $$version is neither here nor could be fetched: install it." >&2; exit 1; }; }
	@echo "Installing what the portal needs ..."
	@$(INSTALL) -r requirements.txt
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/run.stamp | $(UV)
	@echo "Installing what the tests need ..."
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

.venv/api.stamp: requirements-api.txt .venv/dev.stamp | $(UV)
	@echo "Installing what sends generated requests ..."
	@$(INSTALL) -r requirements-api.txt
	@touch $@

.venv/mutate.stamp: requirements-mutate.txt .venv/dev.stamp | $(UV)
	@echo "Installing what changes the code ..."
	@$(INSTALL) -r requirements-mutate.txt
	@touch $@

.venv/deploy.stamp: requirements-deploy.txt .venv/dev.stamp | $(UV)
	@echo "Installing what checks the files of deploy/ ..."
	@$(INSTALL) -r requirements-deploy.txt
	@touch $@

# The tool that writes the bill of materials, and what runs without anything beside it.
.sbom/stamp: requirements-sbom.txt .venv/run.stamp
	@echo "Installing what the bill of materials needs ..."
	@for part in tool:requirements-sbom.txt run:requirements.txt; do \
		$(UV) venv --quiet --clear --no-project --python $(BIN)/python .sbom/$${part%%:*} && \
		$(UV) pip install --quiet --python .sbom/$${part%%:*}/bin/python --require-hashes \
			-r $${part#*:} || exit 1; done
	@touch $@

# Any Python 3 can fetch uv, which then finds or fetches the right one. pyenv's `python3` fails
# where the version of .python-version is missing, and Debian's may come without `ensurepip`.
.uv/bin/uv:
	@echo "Fetching uv ..."
	@for python in python3 python3.13 /usr/bin/python3 python; do \
		rm -rf .uv; \
		"$$python" -m venv .uv >/dev/null 2>&1 && \
		.uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 && exit 0; \
	done; rm -rf .uv; \
	echo "Cannot fetch uv: install it (https://docs.astral.sh/uv/), or a Python 3 with venv" \
		"(on Debian: apt-get install python3-venv)." >&2; exit 1

# $(call by_apt,COMMAND,PACKAGE OF DEBIAN,WHO NEEDS IT)
define by_apt
@command -v $(1) >/dev/null && exit 0; \
	as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	if ! command -v apt-get >/dev/null || { [ -n "$$as_root" ] && ! command -v sudo >/dev/null; }; \
	then echo "$(3) need $(1), and make cannot install it here (no apt-get, or neither root nor" \
		"sudo): put a command named $(1) on the PATH." >&2; exit 1; fi; \
	echo "Installing $(2): $(3) need it ..."; \
	$$as_root apt-get update -q && $$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $(2) </dev/null || { \
		echo "$(2) could not be installed: put a command named $(1) on the PATH." >&2; exit 1; }
endef

# Chromium without windows: it takes less than half of the processor time. Without it, the other.
chromium:
	@$(MAKE) -s chromium-headless-shell || command -v chromium >/dev/null

chromium-headless-shell:
	$(call by_apt,chromium-headless-shell,chromium-headless-shell,The browser tests)

wrk:
	$(call by_apt,wrk,wrk,The measurements)

curl:
	$(call by_apt,curl,curl,The tests of the documentation)

redis-server:
	$(call by_apt,redis-server,redis-server,The experiments)

faketime:
	$(call by_apt,faketime,faketime,The experiments)
