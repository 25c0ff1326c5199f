"""What tests of the flows share: who acts, when, and what the database then holds."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from licenses.flows.generate import generate_keys
from licenses.flows.reset import Overlap, reset_key
from licenses.models import License, LicenseKey, Slot, Usage
from portal.activity.models import LogChain, LogEntry
from portal.core.actors import Actor, ActorKind
from portal.core.refusal import Refused
from subscriptions.models import Subscription

NOW = timezone.now().replace(microsecond=654_321)
WHOLE = NOW.replace(microsecond=0)
DAY = timedelta(days=1)
LATER = NOW + 10 * DAY
ADA = Actor(
    kind=ActorKind.MEMBER,
    name="Ada Lovelace",
    user_id=UUID(int=7),
    email="ada@contoso.example",
    address="192.0.2.7",
)
BOB = Actor(kind=ActorKind.MEMBER, name="Bob Babbage")


def generated(subscription: Subscription, **changes: Any) -> License:
    values = {"actor": ADA, "usage": Usage.ORGANIZATIONAL, "holder_name": "Contoso", "now": NOW}
    return generate_keys(subscription=subscription, **(values | changes))


def opened(token: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, read without any code of the portal."""
    header, claims, _ = (
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (token or "").split(".")
    )
    return json.loads(header), json.loads(claims)


def claims_of(license: License, slot: Slot = Slot.PRIMARY) -> dict[str, Any]:
    return opened(license.keys.get(slot=slot).token)[1]


def stored() -> list[Any]:
    """Return every row that Generate could leave behind."""
    tables = (License, LicenseKey, LogEntry, LogChain)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def refusal(act: Callable[[], object]) -> Refused:
    """Return the refusal of what is done, which left everything as it was."""
    before = stored()
    with pytest.raises(Refused) as caught:
        act()
    assert stored() == before
    return caught.value


def refused(subscription: Subscription, *, field: str | None = None, **changes: Any) -> str:
    """Return the sentence with which Generate is refused, for that field."""
    caught = refusal(lambda: generated(subscription, **changes))
    assert caught.field == field
    return caught.sentence


def after_reset(license: License, slot: Slot = Slot.PRIMARY, **changes: Any) -> LicenseKey:
    """Return the new key of the slot that Bob reset ten days on, by default without overlap."""
    values = {"actor": BOB, "overlap": Overlap.NOW, "now": LATER} | changes
    if "expected_jti" not in values:
        values["expected_jti"] = license.keys.current().get(slot=slot).jti
    return reset_key(license=license, slot=slot, **values)


def at(moment: datetime) -> str:
    """Return the moment as sentences tell it."""
    return f"{moment.day} {moment:%b %Y} at {moment:%H:%M} UTC"


@contextmanager
def meanwhile(change: Callable[[], object]) -> Iterator[None]:
    """Do something once, just before the flow's transaction opens: what was signed is outdated."""
    changed = False

    def execute(proceed: Any, sql: str, *arguments: Any) -> Any:
        nonlocal changed
        if sql.startswith("SAVEPOINT") and not changed:
            changed = True
            change()
        return proceed(sql, *arguments)

    with connection.execute_wrapper(execute):
        yield
    assert changed


@contextmanager
def broken_log() -> Iterator[None]:
    """Let the database fail at the flow's last insert, and expect that failure."""

    def execute(proceed: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(f'INSERT INTO "{LogEntry._meta.db_table}"'):
            raise OperationalError("the disk is full")
        return proceed(sql, *arguments)

    before = stored()
    with (
        connection.execute_wrapper(execute),
        pytest.raises(OperationalError, match="the disk is full"),
    ):
        yield
    assert stored() == before
