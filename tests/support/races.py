"""Real threads that do something at the same moment."""

import threading
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any

import pytest
from django.db import connection, connections

from portal.tenants.models import Tenant

DEADLINE = 60


def take_away_lock_of_tenants(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Take the lock of tenants away from a module of flows: two read one, then go on together."""
    both = threading.Barrier(2, timeout=20)

    def read_only(_model: type[Tenant], tenant_id: Any) -> Tenant:
        tenant = Tenant.objects.get(pk=tenant_id)
        both.wait()
        return tenant

    monkeypatch.setattr(import_module(module), "lock", read_only)
    if connection.vendor == "sqlite":
        # There the lock is the transaction's mode: BEGIN IMMEDIATE lets one in after the other.
        options = connection.settings_dict["OPTIONS"]
        monkeypatch.setitem(options, "transaction_mode", "DEFERRED")
        monkeypatch.setitem(options, "timeout", 1)


def race(function: Callable[[], Any], n: int = 2) -> list[Any]:
    """Call the function in n threads at once; return what each returned or raised."""
    return race_all([function] * n)


def race_all(functions: list[Callable[[], Any]]) -> list[Any]:
    """Call the functions at once, a thread each; return what each returned or raised, in order.

    Every thread has its own database connection, open before the start, so use it in tests with
    `transactional_db`. At most 23 threads on PostgreSQL: the pool of the tests holds 24
    connections (DATABASE_POOL_SIZE in `tests.support.plugin`) and the test has one.
    """
    barrier = threading.Barrier(len(functions), timeout=DEADLINE)
    outcomes: list[Any] = [TimeoutError(f"still running after {DEADLINE} s")] * len(functions)

    def run(place: int, function: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            outcomes[place] = function()
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            outcomes[place] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    end = monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    return outcomes
