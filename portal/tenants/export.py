"""Everything that a tenant has in the portal, as JSON and CSV in one archive."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from portal.core.dates import moment
from portal.tenants import leaving
from portal.tenants.leaving import Section
from portal.tenants.models import Tenant
from portal.web import csv_files

README = """Data of {tenant} ({id}) in the {portal}, of {at}.

json/             one file for each kind of row, all values as they are stored
csv/              the same for spreadsheets: an apostrophe stands before text that they would run
license-files/    the license files of all keys that are neither replaced nor deleted

Times are ISO 8601 with their zone. Secrets (passwords, tokens, secrets of endpoints) are in none
of the files. Each row of the log has its hash and that of the row before it.
"""


def export(tenant: Tenant, *, portal_name: str, now: datetime) -> Iterator[tuple[str, Any]]:
    """Yield the files of the archive: name, and parts that are made as they are taken."""
    text = README.format(tenant=tenant, id=tenant.pk, portal=portal_name, at=moment(now))
    yield "README.txt", [text.encode()]
    for section in leaving.sections:
        yield f"json/{section.name}.json", _json(section, tenant)
        yield f"csv/{section.name}.csv", _csv(section, tenant)
    for files in leaving.files:
        yield from ((name, [content]) for name, content in files(tenant))


def _json(section: Section, tenant: Tenant) -> Iterator[bytes]:
    """Yield an array with an object on each line."""
    before = "[\n"
    for row in section.read(tenant):
        yield f"{before}{json.dumps(row, ensure_ascii=False)}".encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _csv(section: Section, tenant: Tenant) -> Iterator[bytes]:
    rows = ([_cell(value) for value in row.values()] for row in section.read(tenant))
    yield from (line.encode() for line in csv_files.lines(section.fields, rows))


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
