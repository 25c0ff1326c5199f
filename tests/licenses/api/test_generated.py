"""Requests that a generator makes of the description: every answer is one that it describes.

`make test-api` installs the generator.
"""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from licenses.api.description import document
from subscriptions.models import State
from tests.support.api import Caller
from tests.support.factories import make_license, make_signing_key, make_subscription

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = "30"
CONFIGURATION = """
# What the rules refuse (a name that looks like a secret, a text that is no key) no schema says.
[checks.positive_data_acceptance]
enabled = false
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422, 428, 429]
"""


@pytest.mark.sweep
@pytest.mark.django_db(transaction=True)
def test_every_answer_is_described_and_none_is_a_fault_of_the_portal(
    contoso, another_portal, tmp_path
):
    make_signing_key()
    states = [State.ACTIVE, State.ACTIVE, State.ACTIVE, State.SUSPENDED]
    rows = [make_subscription(tenant=contoso, state=state) for state in states]
    for row in rows[1:]:
        make_license(subscription=row)
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(about([str(row.pk) for row in rows])))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    portal = another_portal(API_REQUESTS_PER_MINUTE="0", LOG_LEVEL="ERROR")
    run = subprocess.run(
        [
            *(SCHEMATHESIS, "run", description, "--url", portal.url),
            *("--header", f"Authorization: Bearer {Caller(contoso).raw}"),
            *("--max-examples", EXAMPLES, "--seed", "1", "--workers", "2"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr


def about(subscriptions: list[str]) -> dict:
    """Return the description with these subscriptions as the only ones: others are a 404."""
    found = deepcopy(document())
    for methods in found["paths"].values():
        for described in methods.values():
            for parameter in described.get("parameters", []):
                if parameter["name"] == "subscription_id":
                    parameter["schema"] = {"type": "string", "enum": subscriptions}
    return found
