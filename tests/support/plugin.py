"""What every test run stands on: its environment, set before Django reads the settings.

`addopts` of pyproject.toml loads this plugin with `-p`. The process that pytest starts in makes
one folder in the temporary directory and removes it at the end:

    portal-tests-…/static/    static files, collected once for all processes
    portal-tests-…/postgres/  the PostgreSQL server of `--postgres`
    portal-tests-…/main/      DATA_DIR; with pytest-xdist each worker has its own (gw0, gw1)
"""

import gc
import os
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.support import postgres

SETTINGS = Path(__file__).parent.parent.parent / "portal" / "settings.py"
ROOT_VARIABLE = "PORTAL_TESTS_ROOT"
DATABASE = (
    "tests/licenses/api/test_idempotency.py",
    "tests/licenses/api/test_log.py",
    "tests/licenses/checking/test_check.py",
    "tests/licenses/checking/test_lookup.py",
    "tests/licenses/flows/",
    "tests/licenses/programs/test_published.py",
    "tests/licenses/test_keys.py",
    "tests/portal/accounts/test_sign_in.py",
    "tests/portal/activity/",
    "tests/portal/mail/",
    "tests/portal/operators/test_importing.py",
    "tests/portal/server/test_database.py",
    "tests/portal/tenants/test_invitations.py",
    "tests/portal/tenants/test_delete_account.py",
    "tests/portal/tenants/test_log_views.py",
    "tests/portal/tenants/test_members.py",
    "tests/subscriptions/flows/",
    "tests/subscriptions/test_models.py",
    "tests/test_queries.py",
    "tests/upgrade/test_old_databases.py",
    "tests/upgrade/test_upgrade.py",
)
"""Where tests have the marker `database`: races, locks, triggers, constraints, plans of queries,
searches, and what the database is asked for by hand. `make test` runs these on PostgreSQL too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("portal").addoption(
        "--postgres",
        action="store_true",
        help="Run on a real PostgreSQL server, started for this run, instead of SQLite.",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-django loads the settings
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        _forget_settings()
        root = Path(tempfile.mkdtemp(prefix="portal-tests-"))
        # Cleanups run, the last one first, even when the settings cannot be loaded.
        early_config.add_cleanup(partial(shutil.rmtree, root, ignore_errors=True))
        root.chmod(0o711)  # as root, PostgreSQL runs as a user of its own and passes through
        os.environ[ROOT_VARIABLE] = str(root)
        if early_config.known_args_namespace.postgres:
            server = postgres.Server(root / "postgres")
            early_config.add_cleanup(server.stop)
            os.environ["DATABASE_URL"] = server.url("portal", postgres.ROLE)
            os.environ["MIGRATION_DATABASE_URL"] = server.url("portal", postgres.OWNER)
    data = Path(os.environ[ROOT_VARIABLE]) / (worker or "main")
    if not data.exists():  # `make mutate` keeps its folder from run to run
        data.mkdir(mode=0o700)
        (data / "static").symlink_to("../static")
    os.environ |= {
        "CHECKS_PER_MINUTE": "0",
        "CHECK_COUNT_SECONDS": "0",
        "DATABASE_POOL_SIZE": "24",
        "DEMONSTRATION": "true",
        "FAILED_CHECKS_PER_MINUTE": "0",
        "DATA_DIR": str(data),
        "PUBLIC_URL": "http://localhost:8000",
        "SIGNING_KEY_BITS": "2048",
        "LOG_LEVEL": "WARNING",
        # Playwright's synchronous interface keeps an event loop running in the main thread, so
        # Django takes every query of a browser test for one made in asynchronous code.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
    }


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(DATABASE) and not item.get_closest_marker("browser"):
            item.add_marker("database")
    other = "sqlite" if config.getoption("postgres") else "postgres"
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    # What is imported stays: looking through it for garbage again and again costs a twentieth.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {'PostgreSQL' if config.getoption('postgres') else 'SQLite'}"


def _forget_settings() -> None:
    """Drop every setting that the shell has: tests must not depend on it, nor touch its data."""
    for name in re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', SETTINGS.read_text("utf-8")):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
