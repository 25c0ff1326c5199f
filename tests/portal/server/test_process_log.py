"""Lines of the process log: none can be forged, however the foreign text came in."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from smtplib import SMTPRecipientsRefused
from typing import Any
from uuid import UUID

import pytest

from portal.server.log_lines import ForeignTextFilter, JsonLines, TextLines, granian_config
from portal.server.process_log import ProcessJson, ProcessText, without_secrets
from tests.support.repository import ROOT

FORGED = "x\n2026-01-01T00:00:00Z INFO [-] portal: forged\r\u2028\u202e\x1b[31m"
BEGIN = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ \[\S+\] ")


def written(*, error: BaseException | None = None, lines: Any = None, **record) -> str:
    made = logging.LogRecord("portal.test", logging.WARNING, "x.py", 1, "", (), None)
    made.__dict__ |= record
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    assert ForeignTextFilter().filter(made) is True
    return (lines or ProcessText()).format(made)


class Foreign:
    def __str__(self) -> str:
        return FORGED


@pytest.mark.parametrize(
    "record",
    [
        {"msg": FORGED},
        {"msg": Foreign()},
        {"msg": "%s", "args": (FORGED,)},
        {"msg": "%s", "args": (Foreign(),)},
        {"msg": "%s", "args": (ValueError(FORGED),)},
        {"msg": "%(a)s", "args": {"a": FORGED}},
        {"msg": "%(a)s", "args": {"a": Foreign()}},
    ],
    ids=["message", "object", "string", "argument", "exception", "named", "named object"],
)
def test_foreign_text_is_one_printable_line(record):
    line = written(**record)
    assert line.isprintable()
    assert line.endswith(
        r"portal.test: x\n2026-01-01T00:00:00Z INFO [-] portal: forged\r\u2028\u202e\x1b[31m"
    )


@pytest.fixture
def as_json():
    """Return a function that returns a line of JSON as an object."""

    def read(*, error: BaseException | None = None, **record) -> dict[str, str]:
        line = written(error=error, lines=ProcessJson(), **record)
        assert line.isprintable()
        return json.loads(line)

    return read


def test_a_line_of_json_has_the_traceback_inside(as_json):
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        line = as_json(msg="failed: %s", args=(FORGED,), error=error)
    assert list(line) == ["time", "level", "logger", "message", "exception"]
    assert (line["level"], line["logger"]) == ("WARNING", "portal.test")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["exception"].splitlines()[0] == "Traceback (most recent call last):"
    [last] = [told for told in line["exception"].splitlines() if "forged" in told]
    assert last.startswith("ValueError: ")


def test_granian_writes_the_same_lines():
    for log_format, kind in (("json", JsonLines), ("text", TextLines)):
        name = granian_config(log_format)["formatters"]["line"]["()"].rpartition(".")[2]
        assert name == kind.__name__


UNCAUGHT = """
import os, threading, warnings
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("uncaught")
"""


def test_what_nothing_catches_and_warnings_are_lines_too():
    variables = os.environ | {"LOG_FORMAT": "json", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-c", UNCAUGHT]
    ended = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=ROOT)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("py.warnings", "WARNING"),
        ("portal.process", "CRITICAL"),
        ("portal.process", "CRITICAL"),
    ]
    assert lines[1]["exception"].endswith("ZeroDivisionError: division by zero")
    assert lines[2]["exception"].endswith("ValueError: uncaught")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/invitations/AbCdEfGhIjKlMnOpQrStUvWx/", "/invitations/…/"),
        ("/accounts/confirm-email/Mg:1tXyZ:abcdefghijklmnopqrs/", "/accounts/confirm-email/…/"),
        ("/x/.eJxLtDK1qi62MrFSUrI:1abc:zzzzzzzzzzzz/y", "/x/…/y"),
        ("/.well-known/change-password", "/.well-known/change-password"),
        (f"/subscriptions/{UUID(int=7)}/", f"/subscriptions/{UUID(int=7)}/"),
    ],
)
def test_a_path_is_shown_without_what_may_be_a_secret(path, shown):
    assert without_secrets(f"Not Found: {path}") == f"Not Found: {shown}"


def test_no_token_is_in_a_line():
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    assert written(msg=f"got {token}!").endswith("got (a token)!")
    assert written(msg="%s", args=(token,)).endswith(": (a token)")


def test_no_email_address_is_in_a_line(as_json):
    refused = {"ada.lovelace+x@contoso.example": (550, b"no such user")}
    error = SMTPRecipientsRefused(refused)
    told = {"msg": "not sent to %s: %s", "args": ("ada@contoso.example", error), "error": error}
    for line in (written(**told), json.dumps(as_json(**told))):
        assert "contoso" not in line
        assert line.count("(an email address)") == 3


def test_no_row_of_a_table_is_in_a_line():
    told = 'violates check constraint "x"\nDETAIL:  Failing row contains (1, Ada, Lovelace).\n'
    line = written(msg="failed", error=ValueError(told)).splitlines()[-1]
    assert line == 'ValueError: violates check constraint "x" (the row is left out)'


def test_long_text_is_cut():
    assert len(written(msg="%s", args=("x" * 5000,))) < 400
    assert len(written(msg="%(a)s", args={"a": "x" * 5000})) < 400
    assert len(written(msg="x" * 50_000)) < 2_200


def test_a_traceback_has_the_lines_of_code_and_one_for_each_exception():
    try:
        try:
            raise ValueError(FORGED)
        except ValueError as cause:
            raise ExceptionGroup(FORGED, [RuntimeError(FORGED)]) from cause
    except ExceptionGroup as error:
        lines = written(msg="failed", error=error).splitlines()
    assert [line for line in lines if BEGIN.match(line)] == lines[:1]
    assert all(line.isprintable() for line in lines)
    assert [line.partition(":")[0] for line in lines if "forged" in line] == [
        "ValueError",
        "ExceptionGroup",
        "RuntimeError",
    ]
    assert sum("raise ValueError(FORGED)" in line for line in lines) == 1


@pytest.fixture
def lines():
    """Return a function that returns what the process log has got, line by line."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(ProcessText())
    handler.addFilter(ForeignTextFilter())
    logging.getLogger().addHandler(handler)
    yield lambda: log.getvalue().splitlines()
    logging.getLogger().removeHandler(handler)


@pytest.mark.django_db
class TestRequests:
    def test_a_lookup_in_the_admin_cannot_forge_a_line(self, operator_client, lines):
        forged = "2026-01-01T00:00:00Z%20INFO%20[-]%20portal:%20forged"
        answer = operator_client.get(f"/admin/portal/user/?password__x%0a{forged}=1")
        found = [line for line in lines() if "forged" in line or "Traceback" in line]
        assert answer.status_code == 400
        assert [line.partition(": ")[0].split()[-1] for line in found] == [
            "django.security.DisallowedModelAdminLookup"
        ]
        assert BEGIN.match(found[0])

    def test_a_refusal_is_one_line_with_user_and_address(self, viewer_client, viewer, lines):
        answer = viewer_client.get("/tenant/invite/", REMOTE_ADDR="198.51.100.7")
        [line] = [line for line in lines() if "/tenant/" in line or "Traceback" in line]
        assert answer.status_code == 403
        assert line.endswith(
            "django.request: Forbidden (Permission denied): /tenant/invite/ "
            f"(user {viewer.pk}, 198.51.100.7)"
        )
