"""The limit of the language: a bare WSGI function with the read of a check and nothing else."""

import os
import threading
from random import choice
from typing import Any

import django
import psycopg
from django.db import connection

os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
django.setup()

from licenses.checking.lookup import _READ, _READ_ON_SQLITE  # noqa: E402
from licenses.models import LicenseKey  # noqa: E402

BODY = b"x" * 880
"""As long as the answer to a terminal."""

HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Request-ID", "0" * 16),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
]

own = threading.local()


def read() -> Any:
    """Read what a check reads, on the driver's connection of this thread."""
    if not hasattr(own, "driver"):
        connection.ensure_connection()
        own.driver = connection.connection
        newest = LicenseKey.objects.exclude(token=None).order_by("pk")
        own.places = list(newest.values_list("jti", "signing_key__kid")[:1000])
    jti, kid = choice(own.places)
    if connection.vendor == "postgresql":
        return psycopg.Cursor(own.driver).execute(_READ, (jti, kid)).fetchone()
    return own.driver.execute(_READ_ON_SQLITE, (jti.hex, kid)).fetchone()


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer a request as WSGI says (PEP 3333)."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    assert read() is not None
    start_response("200 OK", HEADERS)
    return [BODY]
