"""`manage.py check_license`, and the examples of docs/terminals.md, as people run them."""

import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import playwright
import pytest

from licenses.checking.results import Result
from licenses.files import license_file
from licenses.management.commands.check_license import Command
from licenses.models import KeyState, License, LicenseKey, Slot
from tests.support import database
from tests.support.factories import make_license

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "terminals.md").read_text("utf-8")
NODE = Path(playwright.__file__).parent / "driver" / "node"


@pytest.fixture
def license(signing_key) -> License:
    return make_license(holder_name="Zoë", signing_key=signing_key)


@pytest.fixture
def key(license: License) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


@pytest.fixture
def file(key: LicenseKey, tmp_path: Path) -> Path:
    path = tmp_path / "license.json"
    path.write_bytes(license_file(key, subscription_name="Terminals").content)
    return path


def run(*arguments: Any, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run the command in this process; return status, output and error output."""
    argv = ["manage.py", "check_license", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", given):
        try:
            Command().run_from_argv(argv)
        except SystemExit as end:
            return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def run_process(*arguments: Any, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "check_license", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database.url()} | variables,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def jwks(client: Any, folder: Path) -> Path:
    path = folder / "jwks.json"
    path.write_bytes(client.get("/.well-known/jwks.json").content)
    return path


def test_a_good_file_passes_with_its_reasons(file):
    status, out, err = run(file)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["Valid (valid)", "The license key is valid."]
    assert [line.split()[-1] for line in lines[2:10]] == ["passed"] * 8


def test_a_bare_key_from_standard_input_in_json(key):
    status, out, _ = run("-", "--json", stdin=f"{key.token}\n".encode())
    told = json.loads(out)
    assert (status, told["result"], told["passes"], told["jti"]) == (
        0,
        "valid",
        True,
        str(key.jti),
    )


def test_what_powershell_writes_is_read(file, key, tmp_path):
    bare = tmp_path / "key.txt"
    for path, text in ((file, file.read_text("utf-8")), (bare, f'LICENSE_KEY="{key.token}"\r\n')):
        path.write_bytes(text.encode("utf-16"))
        assert run(path)[0] == 0


def test_each_refusal_has_its_status(file, key):
    LicenseKey.objects.filter(pk=key.pk).update(state=KeyState.REPLACED, replaced_at=key.issued_at)
    status, out, _ = run(file, "--json")
    assert (status, json.loads(out)["result"]) == (Result.REPLACED.exit_status, "replaced")


def test_a_changed_member_is_a_mismatch(file):
    members = json.loads(file.read_bytes()) | {"subject": "another"}
    file.write_text(json.dumps(members))
    assert run(file)[0] == Result.SUBJECT_MISMATCH.exit_status


def test_with_a_jwks_no_database_is_asked(file, client, tmp_path):
    nowhere = {"DATABASE_URL": f"sqlite:///{tmp_path}/nowhere/portal.sqlite3"}
    assert run_process(file, **nowhere)[0] == 1
    keys = jwks(client, tmp_path)
    status, out, err = run_process(file, "--jwks", keys, "--json", **nowhere)
    assert (status, err) == (0, "")
    steps = json.loads(out)["steps"]
    assert [steps[name] for name in ("Record", "Slot", "License key", "Subscription")] == [
        "skipped"
    ] * 4


def test_the_certificate_in_the_file_is_never_trusted(file, client, tmp_path):
    empty = tmp_path / "empty.json"
    empty.write_text('{"keys": []}')
    assert run(file, "--jwks", empty)[0] == Result.SIGNING_KEY_UNKNOWN.exit_status


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "This is not a license file: it is not valid JSON."),
        (b"\xff", "is not UTF-8 text: not a license file."),
        (b"x" * 70_000, "has more than 64 KiB: not a license file."),
    ],
    ids=["no JSON", "no UTF-8", "large"],
)
def test_what_can_not_be_read_is_said_in_a_sentence(content, sentence, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    status, out, err = run(path)
    assert (status, out) == (1, "")
    assert err.startswith("CommandError: ")
    assert sentence in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"keys": [{"kty": "RSA", "kid": "a", "use": "enc", "alg": "RS256"}]}'],
)
def test_a_key_set_that_must_not_verify_is_refused(content, file, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(content)
    status, _, err = run(file, "--jwks", path)
    assert (status, err.startswith("CommandError: "), len(err.splitlines())) == (1, True, 1)


def test_missing_files_are_told(tmp_path):
    status, _, err = run(tmp_path / "none.json")
    assert (status, err.endswith("cannot be read: No such file or directory.\n")) == (1, True)


def test_exit_statuses_are_fixed_numbers_and_no_order():
    assert {result.value: result.exit_status for result in Result} == {
        "valid": 0,
        "superseded": 0,
        "malformed": 10,
        "signing_key_unknown": 11,
        "signature_invalid": 12,
        "issuer_mismatch": 13,
        "tenant_mismatch": 14,
        "subject_mismatch": 15,
        "party_mismatch": 16,
        "provider_mismatch": 17,
        "audience_mismatch": 18,
        "application_not_authorized": 19,
        "unknown": 20,
        "key_type_mismatch": 21,
        "deleted": 22,
        "revoked": 23,
        "replaced": 24,
        "subscription_pending": 25,
        "subscription_suspended": 26,
        "subscription_ended": 27,
        "not_yet_valid": 28,
        "expired": 29,
    }


def test_the_document_lists_every_result_with_its_status_and_advice():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(r.value, str(r.exit_status), r.advice) for r in Result]
    refusing = [r.exit_status for r in Result if not r.passes]
    assert len(set(refusing)) == len(refusing)
    assert set(refusing) & {0, 1, 2} == set()


# The examples of the document


EXAMPLES = {"python": (sys.executable, "py"), "javascript": (str(NODE), "mjs")}


def example(language: str, folder: Path) -> list[str]:
    code, *_ = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    program, ending = EXAMPLES[language]
    path = folder / f"check.{ending}"
    path.write_text(code, "utf-8")
    return [program, str(path)]


@pytest.mark.parametrize("language", EXAMPLES)
def test_an_example_works_online_and_offline(language, live_portal, license, key, file, tmp_path):
    with urllib.request.urlopen(f"{live_portal.url}/.well-known/jwks.json") as answer:
        (tmp_path / "jwks.json").write_bytes(answer.read())
    command = [*example(language, tmp_path), str(file)]
    configuration = {
        "APPLICATION_ID": str(license.authorized_application_id),
        "SUBJECT": str(license.subscription_id),
        "TENANT_ID": str(license.tenant_id),
    }

    def outcome(portal: str, **changes: str) -> tuple[int, str]:
        variables = os.environ | configuration | {"PORTAL_URL": portal} | changes
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60
        )
        return done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1]

    away = "http://127.0.0.1:1"
    assert outcome(live_portal.url) == (0, "valid")
    assert outcome(away) == (0, "valid (offline)")
    status, sentence = outcome(live_portal.url, APPLICATION_ID="another")
    assert (status, sentence.startswith("application_not_authorized: ")) == (1, True)
    assert outcome(away, APPLICATION_ID="another")[0] == 1
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    assert outcome(away)[0] == 1
