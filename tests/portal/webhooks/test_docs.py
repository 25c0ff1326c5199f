"""The receivers of docs/webhooks.md, as they are written there, over TLS."""

import re
import socket
import subprocess
import sys
import time

import pytest

from portal.webhooks.sending import Request, headers_of, new_secret, send
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
BODY = '{"type":"key.reset","data":{"slot":"primary"}}'


def example(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def python_receiver(tmp_path, receiver):
    """The example in Python, as a process; yields its address, process and file of secrets."""
    (tmp_path / "receiver.py").write_text(example("python"))
    secrets = tmp_path / "secrets"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "receiver.py", receiver.certificate, secrets, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"https://localhost:{port}/hook", process, secrets
    process.kill()
    process.communicate()


def test_the_receiver_in_python_takes_what_is_signed_once_and_refuses_the_rest(
    python_receiver, monkeypatch
):
    url, process, file = python_receiver
    old, new, other = new_secret(), new_secret(), new_secret()
    file.write_text(f"{old}\n")

    def sent(name, *secrets):
        return send(Request(url=url, event_id=name, body=BODY, secrets=secrets)).code

    assert [sent("msg_1", old), sent("msg_1", old), sent("msg_2", new, old)] == [204] * 3
    assert [sent("msg_3", other), sent("msg_3", new)] == [401, 401]
    file.write_text(f"{old}\n{new}\n")
    assert sent("msg_3", new) == 204
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines == ["key.reset {'slot': 'primary'}\n"] * 3
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 301)
    assert sent("msg_4", old) == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"body": BODY + " "}, 1),
        ({"secret": new_secret()}, 1),
        ({"event_id": "msg_2"}, 1),
        ({"at": 330}, 1),  # not 301: it may take the program a while to start
        ({"at": -301}, 1),
    ],
)
def test_the_shell_verifies(tmp_path, changes, status):
    secret, at = new_secret(), int(time.time()) + changes.get("at", 0)
    request = Request(url="", event_id="msg_1", body=BODY, secrets=(new_secret(), secret))
    signatures = headers_of(request, at)["webhook-signature"]
    (tmp_path / "verify.sh").write_text(example("sh"))
    done = subprocess.run(
        [
            "sh",
            tmp_path / "verify.sh",
            changes.get("secret", secret),
            changes.get("event_id", "msg_1"),
            str(at),
            signatures,
        ],
        input=changes.get("body", BODY).encode(),
        stderr=subprocess.DEVNULL,
    )
    assert done.returncode == status
