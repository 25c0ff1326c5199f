"""The named cast, and what tests share. Contoso's people, a stranger, and an operator."""

import fcntl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client, TransactionTestCase
from django.urls import reverse
from whitenoise.middleware import WhiteNoiseMiddleware

from portal.accounts.models import User
from portal.activity import entries
from portal.activity.actions import MEMBERS, Action
from portal.activity.models import LogEntry
from portal.config import database_secrets
from portal.tenants.models import Role, Tenant
from tests.support.accounts import make_member, make_user, sign_in
from tests.support.database import Seed, as_owner, connect_as
from tests.support.postgres import OWNER, ROLE

pytest_plugins = ["tests.support.live", "tests.support.browser"]


# Set-up


@pytest.fixture(scope="session", autouse=True)
def static_files() -> None:
    """Collect the static files once for all processes: pages ask the manifest for their names."""
    shared = Path(settings.STATIC_ROOT).resolve()
    with shared.with_name("static.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "staticfiles.json").exists():
            shared.mkdir(exist_ok=True)
            call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(scope="session", autouse=True)
def _one_look_at_static_files(static_files: None) -> Iterator[None]:
    """Let WhiteNoise look at the static files once: each `Client` makes a handler of its own."""
    look = WhiteNoiseMiddleware.update_files_dictionary
    seen: dict[tuple[str, str], dict[str, Any]] = {}

    def look_once(layer: WhiteNoiseMiddleware, root: str, prefix: str) -> None:
        if (root, prefix) not in seen:
            look(layer, root, prefix)
            seen[root, prefix] = layer.files.copy()
        layer.files.update(seen[root, prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "update_files_dictionary", look_once)
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Put SQLite's test database into a file: one in memory has no WAL and no second process.

    It need not survive a power cut. PostgreSQL's is made by its owner.
    """
    database = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        database["TEST"]["NAME"] = str(settings.DATA_DIR / "test.sqlite3")
        pragmas = database["OPTIONS"]["init_command"]
        database["OPTIONS"]["init_command"] = pragmas.replace("synchronous=FULL", "synchronous=OFF")
    else:
        database["USER"] = OWNER
        settings.MIGRATION_DATABASE = {}  # which names another database; this one is the owner's


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let `Seed.restore` empty the database after a transactional test, in place of a flush.

    From here on every connection to PostgreSQL is the portal's role, but for `as_owner`.
    """
    with django_db_blocker.unblock():
        seed = Seed()
        connect_as(ROLE)
        database_secrets.compare()  # once, or it would be among the queries of the first test
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: seed.restore())
        yield
    with django_db_blocker.unblock():
        connect_as(OWNER)


@pytest.fixture(scope="session", autouse=True)
def _only_described_details() -> Iterator[None]:
    """Fail where our code records a member of details that `portal.activity.actions` does not name.

    Tests that call `record` themselves may record anything.
    """

    def look(entry: LogEntry) -> None:
        undescribed = {*entry.details} - {*MEMBERS.get(Action(entry.action), ())}
        by_test = "/tests/" in sys._getframe(2).f_code.co_filename
        assert by_test or not undescribed, f"{entry.action} has {undescribed}: see MEMBERS"

    entries.LISTENERS.append(look)
    yield
    entries.LISTENERS.remove(look)


@pytest.fixture
def tables_owner(db: None) -> Iterator[None]:
    """Let the test do what the portal's role on PostgreSQL must not, such as drop triggers."""
    with as_owner():
        yield


# The cast


@pytest.fixture
def contoso(db: None) -> Tenant:
    return Tenant.objects.create(name="Contoso", country="USA")


@pytest.fixture
def fabrikam(db: None) -> Tenant:
    return Tenant.objects.create(name="Fabrikam", country="DEU")


@pytest.fixture
def owner(contoso: Tenant) -> User:
    return make_member(tenant=contoso, role=Role.OWNER, email="owner@contoso.example")


@pytest.fixture
def manager(contoso: Tenant) -> User:
    return make_member(tenant=contoso, role=Role.MANAGER, email="manager@contoso.example")


@pytest.fixture
def viewer(contoso: Tenant) -> User:
    return make_member(tenant=contoso, role=Role.VIEWER, email="viewer@contoso.example")


@pytest.fixture
def stranger(fabrikam: Tenant) -> User:
    """Owner of another tenant."""
    return make_member(tenant=fabrikam, role=Role.OWNER, email="stranger@fabrikam.example")


@pytest.fixture
def operator(db: None) -> User:
    """Somebody of the vendor, in no tenant, with a second factor."""
    return make_user(
        email="operator@vendor.example", two_factor=True, is_staff=True, is_superuser=True
    )


# Their clients


@pytest.fixture
def client_for(db: None) -> Callable[..., Client]:
    """Return `client_for(user, at=None, **client_options)`: a new client, signed in."""

    def signed_in(user: User, **options: Any) -> Client:
        at = options.pop("at", None)
        return sign_in(Client(**options), user, at=at)

    return signed_in


@pytest.fixture
def owner_client(owner: User) -> Client:
    return sign_in(Client(), owner)


@pytest.fixture
def manager_client(manager: User) -> Client:
    return sign_in(Client(), manager)


@pytest.fixture
def viewer_client(viewer: User) -> Client:
    return sign_in(Client(), viewer)


@pytest.fixture
def stranger_client(stranger: User) -> Client:
    return sign_in(Client(), stranger)


@pytest.fixture
def operator_client(operator: User) -> Client:
    return sign_in(Client(), operator)


@pytest.fixture
def support_client(operator_client: Client, contoso: Tenant) -> Client:
    """The operator in a support view of Contoso."""
    address = reverse("admin:portal_tenant_start_support_view", args=[contoso.pk])
    operator_client.post(address, {"reason": "Ticket 42"})
    return operator_client


# Keys


@pytest.fixture
def signing_key(db: None) -> Any:
    """An active signing key."""
    from tests.support.factories import make_signing_key

    return make_signing_key()
