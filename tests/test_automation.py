"""What docs/automation.md and docs/terminals.md give to schedulers, run as it is written there."""

import json
import os
import re
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from licenses.files import license_file
from licenses.flows.revoke import revoke_key
from licenses.models import License, LicenseKey, Slot
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.tenants.models import Tenant
from subscriptions.service_tokens.models import Scope
from tests.support.factories import make_license, make_signing_key, make_subscription
from tests.support.server import LivePortal
from tests.support.service_tokens import make_service_token

pytestmark = pytest.mark.django_db(transaction=True)

DOCS = Path(__file__).parent.parent / "docs"
NAME = "Build server"
ISSUED = timezone.now() - timedelta(days=30)


def examples(document: str, language: str) -> list[str]:
    text = (DOCS / document).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def documents() -> list[dict[str, Any]]:
    """Return what the YAML of docs/automation.md holds, one after the other."""
    return [
        document
        for text in examples("automation.md", "yaml")
        for document in yaml.safe_load_all(text)
    ]


def of_kind(kind: str) -> dict[str, Any]:
    [found] = [document for document in documents() if document.get("kind") == kind]
    return found


@pytest.fixture
def license(contoso: Tenant) -> License:
    """A license whose keys are near their end."""
    make_signing_key(created_at=ISSUED)
    subscription = make_subscription(tenant=contoso, name="Production")
    return make_license(subscription=subscription, issued_at=ISSUED)


@pytest.fixture
def run(license: License, live_portal: LivePortal, tmp_path: Path) -> Callable[..., Any]:
    """Return `run(command, scopes=…)`: its status and output, in an empty folder with a token."""
    folder = tmp_path / "work"
    folder.mkdir()

    def ran(
        *command: str,
        scopes: Sequence[Scope] = (Scope.KEYS_RENEW, Scope.KEYS_DOWNLOAD),
        **variables: str,
    ) -> tuple[int, str]:
        _, raw = make_service_token(tenant=license.tenant, name=NAME, scopes=[*scopes])
        (tmp_path / "token").write_text(f"{raw}\n")
        given = {
            "PATH": os.environ["PATH"],
            "PORTAL_URL": live_portal.url,
            "SUBJECT": str(license.subscription_id),
            "TOKEN_FILE": str(tmp_path / "token"),
        }
        done = subprocess.run(
            command,
            cwd=folder,
            env=given | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert raw not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    return ran


def key_of(license: License, slot: Slot = Slot.PRIMARY) -> LicenseKey:
    rows = license.keys.current().select_related("license__tenant", "signing_key")
    return rows.get(slot=slot)


def file_of(license: License) -> bytes:
    return license_file(key_of(license), subscription_name="Production").content


def renewals() -> list[str]:
    rows = LogEntry.objects.filter(action="license_key.renewed")
    return [*rows.values_list("actor_name", flat=True)]


def token_of(tmp_path: Path) -> str:
    return (tmp_path / "token").read_text().strip()


class TestUpdater:
    @pytest.fixture
    def update(self, run: Any, tmp_path: Path) -> Callable[..., tuple[int, str]]:
        script = tmp_path / "update_license.py"
        script.write_text(examples("terminals.md", "python")[1])
        return lambda **given: run(sys.executable, str(script), "license.json", **given)

    def test_renews_once_and_replaces_the_file(
        self, update: Any, license: License, tmp_path: Path
    ) -> None:
        folder, old = tmp_path / "work", key_of(license)
        path = folder / "license.json"
        path.write_bytes(file_of(license))
        path.chmod(0o640)
        status, said = update()
        new = key_of(license)
        assert (status, said) == (0, f"The license file has the key {new.jti} now.\n")
        assert new.pk != old.pk
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (file_of(license), 0o640)
        assert update() == (0, "")
        assert renewals() == [NAME]
        path.write_bytes(b"{")
        assert update()[0] == 0
        assert [each.name for each in folder.iterdir()] == ["license.json"]
        assert path.read_bytes() == file_of(license)

    def test_says_why_not_and_leaves_the_file_alone(
        self, update: Any, license: License, tmp_path: Path
    ) -> None:
        path = tmp_path / "work" / "license.json"
        path.write_bytes(file_of(license))
        before = path.read_bytes()
        status, said = update(PORTAL_URL="http://127.0.0.1:1")
        assert (status, said.startswith("The portal gave no usable answer: ")) == (1, True)
        revoke_key(key=key_of(license), actor=SYSTEM, reason="It leaked.")
        status, said = update()
        assert (status, "The primary key was revoked: it is not renewed." in said) == (1, True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("answer", [b"<html>Sign in</html>", b'{"key": "a.e30.b"}'])
    def test_leaves_the_file_alone_when_a_gateway_answers_with_its_own_page(
        self, update: Any, license: License, tmp_path: Path, answer: bytes
    ) -> None:
        path = tmp_path / "work" / "license.json"
        path.write_bytes(b"as it was")
        renewed = json.dumps({"key": {"jti": str(key_of(license).jti)}}).encode()

        class Gateway(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.do_GET(renewed)

            def do_GET(self, content: bytes = answer) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

        with HTTPServer(("127.0.0.1", 0), Gateway) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            status, said = update(PORTAL_URL=f"http://127.0.0.1:{server.server_port}")
            server.shutdown()
        assert (status, said.startswith("The portal gave no usable answer: ")) == (1, True)
        assert path.read_bytes() == b"as it was"
        assert [each.name for each in path.parent.iterdir()] == ["license.json"]

    def test_has_thirty_lines(self) -> None:
        code = examples("terminals.md", "python")[1]
        assert len([line for line in code.splitlines() if line.strip()]) <= 30


class TestCurl:
    def test_renews_once_and_replaces_the_file(
        self, run: Any, license: License, tmp_path: Path
    ) -> None:
        [script, *_] = examples("automation.md", "sh")
        old = key_of(license)

        def curl(**given: Any) -> tuple[int, str]:
            return run("sh", "-c", f'TOKEN=$(cat "$TOKEN_FILE")\n{script}', **given)

        status, said = curl()
        assert (status, json.loads(said)["renewed"]) == (0, True)
        path = tmp_path / "work" / "license.json"
        assert path.read_bytes() == file_of(license)
        assert key_of(license).pk != old.pk
        assert json.loads(curl()[1])["renewed"] is False
        path.write_bytes(b"as it was")
        status, said = curl(scopes=(Scope.KEYS_DOWNLOAD,))
        assert (status, "This token lacks the scope keys:renew." in said) == (22, True)
        assert path.read_bytes() == b"as it was"
        assert renewals() == [NAME]

    def test_a_step_of_github_actions_leaves_the_file_to_the_next(
        self, run: Any, license: License, tmp_path: Path
    ) -> None:
        [workflow] = [document for document in documents() if "jobs" in document]
        [step] = workflow["jobs"]["build"]["steps"]
        assert step["env"] == {
            "PORTAL_URL": "${{ vars.PORTAL_URL }}",
            "SUBJECT": "${{ vars.LICENSE_SUBJECT }}",
            "TOKEN": "${{ secrets.LICENSE_TOKEN }}",
        }
        assert set(workflow[True]) == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` so

        def steps(**given: Any) -> tuple[int, str]:  # with the shell that Actions takes by default
            script = f'TOKEN=$(cat "$TOKEN_FILE")\n{step["run"]}'
            return run("bash", "-e", "-c", script, RUNNER_TEMP=str(tmp_path), **given)

        assert steps() == (0, "::notice::The license key was renewed.\n")
        assert (tmp_path / "work" / "license.json").read_bytes() == file_of(license)
        assert steps() == (0, "")
        assert steps(scopes=[Scope.KEYS_RENEW])[0] == 22
        assert (tmp_path / "work" / "license.json").read_bytes() == file_of(license)

    def test_a_cronjob_of_kubernetes_patches_the_one_secret_that_it_may(
        self, run: Any, license: License, tmp_path: Path
    ) -> None:
        job = of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        [container] = job["containers"]
        declared = {each["name"]: each["value"] for each in container["env"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert {volume["name"] for volume in job["volumes"]} == set(mounts)
        assert declared["TOKEN_FILE"] == f"{mounts['token']}/token"
        assert declared["TMPDIR"] == mounts["scratch"]
        assert job["serviceAccountName"] == of_kind("ServiceAccount")["metadata"]["name"]
        [rule] = of_kind("Role")["rules"]
        assert (rule["resources"], rule["resourceNames"]) == (["secrets"], ["license"])

        programs, scratch = tmp_path / "bin", tmp_path / "scratch"
        programs.mkdir()
        scratch.mkdir()
        kubectl = programs / "kubectl"
        kubectl.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/asked\n'
            f'for given; do case $given in --patch-file=*) cat "${{given#*=}}";; esac; done '
            f"> {tmp_path}/patch\n"
        )
        kubectl.chmod(0o755)
        variables = {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(scratch)}

        def job_ran(**given: Any) -> tuple[int, str]:
            return run(*container["command"], *container["args"], **variables, **given)

        assert job_ran()[0] == 0
        verb, kind, name, *_ = (tmp_path / "asked").read_text().splitlines()
        assert verb in rule["verbs"]
        assert (kind, name) == ("secret", "license")
        patch = json.loads((tmp_path / "patch").read_text())
        assert {name: b64decode(data) for name, data in patch["data"].items()} == {
            "license.json": file_of(license)
        }
        assert renewals() == [NAME]
        (tmp_path / "asked").unlink()
        assert job_ran(scopes=())[0] != 0
        assert not (tmp_path / "asked").exists()
