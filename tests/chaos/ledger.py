"""What a portal has acknowledged to its clients, and whether its database agrees in the end."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.measuring import run_python


@dataclass(frozen=True)
class Handed:
    """A license key that the portal gave to a client: in a license file, by Download."""

    jti: str
    token: str
    subscription: str
    slot: str
    issued_at: int
    """Its `iat`, in seconds since 1970."""
    check: bytes
    """The body with which a terminal has it checked."""


@dataclass
class Ledger:
    """Grows while clients work. What was never answered is not in it: it may or may not be done."""

    handed: dict[str, Handed] = field(default_factory=dict)
    """By `jti`, in the order in which they were handed out."""
    generated: set[str] = field(default_factory=set)
    """Subscriptions for which Generate was acknowledged."""
    reset: set[str] = field(default_factory=set)
    """The `jti` of each key whose Reset was acknowledged: it has been replaced."""
    wrong: list[str] = field(default_factory=list)
    """What clients saw that cannot be right, in sentences."""

    def counts(self) -> str:
        return f"{len(self.handed):,} keys, {len(self.reset):,} resets"

    def last(self) -> dict[tuple[str, str], Handed]:
        """Return the key that was handed out last for each subscription and slot."""
        return {(key.subscription, key.slot): key for key in self.handed.values()}


def differences(ledger: Ledger, database_url: str, folder: Path) -> Iterator[str]:
    """Yield in sentences where the database has not what was acknowledged, and a broken log."""
    file = folder / "stored.json"
    run_python(["tests.chaos.stored", str(file)], {"DATABASE_URL": database_url})
    stored = json.loads(file.read_text())
    yield from ledger.wrong
    yield from stored["log"]
    keys: dict[str, Any] = stored["keys"]
    for key in ledger.handed.values():
        row = keys.get(key.jti)
        if row is None:
            yield f"The key {key.jti} was handed out and is not stored."
        elif row["sha256"] != hashlib.sha256(key.token.encode()).hexdigest():
            yield f"The key {key.jti} was handed out and another one is stored in its place."
    for jti in ledger.reset & keys.keys():
        if keys[jti]["state"] != "replaced":
            yield f"The reset of {jti} was acknowledged, and the key is {keys[jti]['state']}."
    with_keys = {row["subscription"] for row in keys.values()}
    for subscription in ledger.generated - with_keys:
        yield f"Generate was acknowledged for {subscription}, which has no keys."
