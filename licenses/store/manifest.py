"""The manifest of a backup: what the backup holds, and what it takes to use it."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from licenses import keys
from licenses.models import SigningKey
from portal import __version__
from portal.activity.chain import signature
from portal.activity.models import LogChain
from portal.core.refusal import Refused

FORMAT = 1
FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup says about itself; none of it is secret.

    `chains` has count and head of each chain of the log, by tenant; `signing_keys` the state of
    each signing key, by `kid`; `key_encryption_keys` and `log_key` the fingerprints of the
    secrets that it needs, the newest first; `files` SHA-256 (hex) by name. `signature` is made
    with LOG_KEY over all the rest.
    """

    format: int
    portal: str
    made_at: str
    database: str
    database_version: str
    migrations: Sequence[str]
    rows: dict[str, int]
    chains: dict[str, Sequence[Any]]
    signing_keys: dict[str, str]
    key_encryption_keys: Sequence[str]
    log_key: str
    files: dict[str, str]
    signature: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest of a backup; raises Refused when there is none that can be read."""
        path = folder / FILE
        try:
            found = json.loads(path.read_text("utf-8"))
            if found["format"] != FORMAT:
                raise Refused(
                    f"{folder} has format {found['format']}, and this release reads {FORMAT}: "
                    "use the release that made it, or a later one."
                )
            return cls(**{field.name: found[field.name] for field in fields(cls)})
        except OSError as error:
            raise Refused(f"{folder} is no backup: {FILE}: {error.strerror}.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(f"{path} is damaged: it is not what a backup writes.") from error

    def write(self, folder: Path) -> None:
        """Write it, signed, into the folder of the backup."""
        text = json.dumps(asdict(replace(self, signature=self._signature())), indent=1)
        (folder / FILE).write_text(f"{text}\n", "utf-8")

    def refuse_damage(self, folder: Path) -> None:
        """Raise Refused when a file of the backup is missing or has changed."""
        for name, sha256 in self.files.items():
            path = folder / Path(name).name
            try:
                found = sha256_of(path)
            except OSError as error:
                raise Refused(f"{path} cannot be read: {error.strerror}.") from error
            if found != sha256:
                raise Refused(f"{path} is damaged: its SHA-256 is not that of {FILE}.")

    def refuse_forgery(self) -> None:
        """Raise Refused when the manifest was changed; LOG_KEY must be that of the backup."""
        if not hmac.compare_digest(self.signature.encode(), self._signature().encode()):
            raise Refused(f"{FILE} was changed after the backup: its signature is not right.")

    def lost_secrets(self) -> list[str]:
        """Say which secrets of the environment are not those of the backup, a sentence each."""
        lost = []
        known = {fingerprint(key) for key in settings.KEY_ENCRYPTION_KEYS}
        if missing := [each for each in self.key_encryption_keys if each not in known]:
            lost.append(
                f"KEY_ENCRYPTION_KEYS lacks the key with the fingerprint {missing[0]}, which "
                "decrypts signing keys of this backup."
            )
        if fingerprint(settings.LOG_KEY) != self.log_key:
            lost.append(f"LOG_KEY is not that of this backup, whose fingerprint is {self.log_key}.")
        return lost

    def refuse_difference(self) -> None:
        """Raise Refused when the database of the default connection holds something else."""
        rows, chains = row_counts(), chain_heads()
        for table in sorted({*self.rows, *rows}):
            if self.rows.get(table) != rows.get(table):
                raise Refused(
                    f"Table {table} has {_count(rows.get(table))}, and had "
                    f"{_count(self.rows.get(table))} when the backup was made."
                )
        for tenant in sorted({*self.chains, *chains}):
            if list(self.chains.get(tenant, ())) != chains.get(tenant, []):
                raise Refused(f"The log of {tenant} ends otherwise than when the backup was made.")

    def _signature(self) -> str:
        said = asdict(self)
        del said["signature"]
        return signature(f"backup {json.dumps(said, sort_keys=True)}")


def drafted(*, now: datetime, version: str) -> Manifest:
    """Return the manifest of what the default connection reads, without the files."""
    return Manifest(
        format=FORMAT,
        portal=__version__,
        made_at=now.isoformat(timespec="seconds"),
        database=connection.vendor,
        database_version=version,
        migrations=applied_migrations(),
        rows=row_counts(),
        chains=chain_heads(),
        signing_keys=dict(SigningKey.objects.order_by("created_at").values_list("kid", "state")),
        key_encryption_keys=[fingerprint(key) for key in keys.encryption_keys_in_use()],
        log_key=fingerprint(settings.LOG_KEY),
        files={},
    )


def applied_migrations() -> list[str]:
    """Return the migrations of the default connection's database, as app.name."""
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def row_counts() -> dict[str, int]:
    """Return the number of rows of every table."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
            [found[table]] = cursor.fetchone()
    return found


def chain_heads() -> dict[str, Sequence[Any]]:
    """Return count and head of every chain of the log, by tenant."""
    chains = LogChain.objects.order_by("pk").values_list("pk", "count", "head")
    return {str(tenant): [count, head] for tenant, count, head in chains}


def fingerprint(secret: str) -> str:
    """Return 16 hex digits by which a random secret is recognised, and which do not reveal it."""
    return hmac.new(secret.encode(), b"fingerprint in a backup", hashlib.sha256).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count(rows: int | None) -> str:
    return "no such table" if rows is None else f"{rows} rows"
