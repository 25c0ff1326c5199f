"""docs/api.md, run as it stands, and the page that the portal shows."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.db import transaction

from licenses.api.description import document
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.programs.errors import API_PAGE, PROBLEM
from tests.support.api import Caller, assert_fits
from tests.support.factories import make_license, make_signing_key, make_subscription
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
def test_the_examples_run_as_they_stand(contoso, live_portal, tmp_path):
    with transaction.atomic():
        make_signing_key()
        subscription = make_subscription(tenant=contoso)
        make_license(subscription=subscription)
        make_subscription(tenant=contoso)
        raw = Caller(contoso).raw
    script = "set -eu\n" + "\n".join(blocks("sh")).replace("limit=50", "limit=1")
    known = {"PORTAL": live_portal.url, "TOKEN": raw, "SUBSCRIPTION": str(subscription.pk)}
    environment = os.environ | known | {"no_proxy": "localhost"}
    run = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    rows = LogEntry.objects.for_tenant(contoso.pk).values_list("action", flat=True)
    assert list(reversed(rows)) == [
        *[Action.KEY_DOWNLOADED] * 3,
        Action.KEY_CHECKED,
        Action.KEY_RESET,
        Action.OVERLAP_ENDED,
    ]
    assert json.loads((tmp_path / "license.json").read_text())["key_type"] == "primary_key"
    assert len((tmp_path / "log.ndjson").read_text().splitlines()) == 6
    [proof] = blocks("python")

    def proved(script: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
        )
        return run.stderr

    assert proved(proof) == ""
    whole = (tmp_path / "log.ndjson").read_bytes()
    (tmp_path / "log.ndjson").write_bytes(whole.replace(b"primary", b"another", 1))
    assert proved(proof) == "The lines are not those that were signed.\n"
    lines = whole.splitlines(keepends=True)
    (tmp_path / "log.ndjson").write_bytes(b"".join([*lines[:2], *lines[3:]]))
    _, part, chain = proof.partition("before = None")
    broken = f"import json\nbody = open('log.ndjson', 'rb').read()\n{part}{chain}"
    assert proved(broken) == "Row 4 does not follow row 2.\n"


def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(client, db):
    page = client.get(API_PAGE)
    text = page.content.decode()
    operations = [each for path in document()["paths"].values() for each in path.values()]
    assert [each for each in operations if f'id="{each["operationId"]}"' not in text] == []
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len({*ids})
    assert "<script>" not in text
    assert "style=" not in text
    assert not re.search(r'(src|href)="https?://(?!localhost)', text)


def test_every_operation_has_an_example_that_fits():
    missing = []
    for name, media, content in (
        (operation["operationId"], media, content)
        for path in document()["paths"].values()
        for operation in path.values()
        for part in [operation.get("requestBody", {}), *operation["responses"].values()]
        for media, content in part.get("content", {}).items()
        if media != PROBLEM
    ):
        if "example" not in content:
            missing.append((name, media))
        else:
            assert_fits(content["example"], content["schema"], name)
    assert missing == [("files", "application/zip"), ("bundle", "application/zip")]


def test_programs_read_the_description_once(client, db):
    first = client.get("/api/v1/openapi.json")
    assert first.json()["openapi"] == "3.1.0"
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.django_db
def test_the_page_shows_code_as_code_and_common_refusals_once(client):
    shown = client.get(API_PAGE).content.decode()
    assert "`" not in shown
    assert shown.count("<dt><code>429</code></dt>") == 1
    assert "<code>renewable_from</code>" in shown
