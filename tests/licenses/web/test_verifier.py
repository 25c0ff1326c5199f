"""What browsers verify with is as strict as the portal: both get the same keys and bundles.

Node runs static/js/verifier.js, which is the whole of it but for the page.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import playwright
import pytest
from django.utils import timezone

from licenses import keys
from licenses.bundle import reading
from licenses.checking import status_tokens
from licenses.checking.check import Verdict, check_offline, expected_from_file
from licenses.files import MAX_UPLOAD_BYTES, license_file, read_presented
from licenses.flows.download import download_bundle
from licenses.flows.reset import Overlap
from licenses.flows.revoke import revoke_key
from licenses.models import License, LicenseKey, Slot, StatusList
from portal.core.refusal import Refused
from subscriptions.models import State, Subscription
from tests.support.bundles import ATTACKS, unzipped
from tests.support.factories import make_subscription
from tests.support.forge import Forger
from tests.support.license_flows import ADA, DAY, NOW, after_reset, generated
from tests.support.malformed import corpus

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[3]
NODE = Path(playwright.__file__).parent / "driver" / "node"
COPIED = [
    " \r\n a.b.c\n",
    "Authorization: Bearer a.b.c",
    'LICENSE_KEY="a.b.c"',
    "export LICENSE_KEY='a.b.c'",
    '$env:LICENSE_KEY = "a.b.c";',
    "set license-key=a.b.c",
    '  "key": "a.b.c",',
    "„a.b.c“",
    "a. b\t.c",
    "\u200ba\u200b.b\u2060.\u200dc\ufeff",
    "a.\\\n  b.\\\r\n  c",
    "> a.\n> b.\n> c",
    '"a." +\n    "b." +\n    "c"',
    "LICENSE=eyJ=\na.b=\n.c",
    "a.b.\u2028c",
    "a.b.c=",
    "a+b.c/d.e",
    "a.b\0.c",
    """LICENSE='{"key": "a.b.c"}'""",
    '{"key": "Bearer a.b.c"}',
    "{",
    '{"key": 1}',
    "",
]
"""Texts around a key, and what is no key."""


@pytest.fixture
def license(contoso: Any, signing_key: Any) -> License:
    return generated(make_subscription(tenant=contoso, name="Production"))


def lists(now: Any = NOW) -> dict[str, str]:
    tokens = [status_tokens.signed_now(row, keys.active(), now) for row in StatusList.objects.all()]
    return {status_tokens.opened(token, published()).uri: token for token in tokens}


def published() -> Any:
    return keys.public_keys_from_jwks(keys.jwks())


type Round = tuple[list[str], dict[str, Any], Any]
"""Keys or files, the lists that can be fetched, and the time."""


def in_node(
    *rounds: Round, presented: Sequence[str] = (), bundles: Sequence[bytes] = (), jwks: Any = None
) -> dict[str, Any]:
    """Return what the browser's code answers."""
    asked = {
        "jwks": jwks or keys.jwks(),
        "now": NOW.timestamp(),
        "rounds": [
            {"texts": texts, "lists": lists, "now": now.timestamp()} for texts, lists, now in rounds
        ],
        "presented": presented,
        "bundles": [base64.b64encode(bundle).decode() for bundle in bundles],
    }
    done = subprocess.run(
        [NODE, Path(__file__).with_name("verifier.mjs"), ROOT / "static/js/verifier.js"],
        input=json.dumps(asked),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def judged(*rounds: Round) -> list[list[dict[str, Any]]]:
    """Return what the browser's code says of the keys of each round."""
    answers: list[list[dict[str, Any]]] = in_node(*rounds)["rounds"]
    return answers


def here(text: str, tokens: dict[str, str], now: Any = NOW) -> dict[str, Any]:
    """Return what the portal answers, without its database."""
    try:
        token, members = read_presented(text)
    except Refused:
        return {"refused": True}
    verdict = check_offline(
        token,
        published_keys=published(),
        expected={} if members is None else expected_from_file(members),
        lists={uri: status_tokens.opened(token, published()) for uri, token in tokens.items()},
        now=now,
    )
    return told(verdict)


def told(verdict: Verdict) -> dict[str, Any]:
    return {
        "result": verdict.result.value,
        "mayBe": [result.value for result in verdict.may_be],
        "steps": [str(outcome) for _, outcome in verdict.steps()],
    }


def without_sentence(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as the portal gives it: without why something is not known."""
    if "refused" in answer:
        return {"refused": True}
    steps = ["skipped" if outcome == "unknown" else outcome for outcome in answer["steps"]]
    return {"result": answer["result"], "mayBe": answer["mayBe"], "steps": steps}


def test_every_malformed_or_forged_key_gets_the_same_result(forger: Forger) -> None:
    forged = {name: forge(forger) for name, _, forge in corpus()}
    texts = [text for text in forged.values() if len(text) <= MAX_UPLOAD_BYTES]
    now = timezone.now()
    [answers] = judged((texts, {}, now))
    names = dict(zip(forged.values(), forged, strict=True))
    differing = [
        (names[text], answer, expected)
        for text, answer in zip(texts, answers, strict=True)
        if without_sentence(answer) != (expected := here(text, {}, now))
    ]
    assert differing == []


def test_what_copying_put_around_a_key_is_removed_alike() -> None:
    def read(text: str) -> Any:
        try:
            return read_presented(text)[0]
        except Refused:
            return None

    answers = in_node(presented=COPIED, jwks={"keys": []})["presented"]
    assert [None if isinstance(a, dict) else a for a in answers] == [read(t) for t in COPIED]


def file_of(key: LicenseKey, **changes: Any) -> str:
    own = LicenseKey.objects.select_related("license__tenant", "signing_key").get(pk=key.pk)
    members = json.loads(license_file(own, subscription_name="Production").content)
    return json.dumps({name: v for name, v in {**members, **changes}.items() if v is not ...})


def test_keys_and_files_get_the_same_verdict_with_and_without_their_list(license: License) -> None:
    primary, secondary = (license.keys.get(slot=slot) for slot in Slot)
    other = generated(make_subscription(tenant=license.tenant))
    texts = [
        str(primary.token),
        file_of(primary),
        file_of(primary, subject="another"),
        file_of(primary, consumer_tenant_id=...),
        file_of(primary, authorized_party=None),
        file_of(primary, broker_id=..., provider_id=...),
        file_of(primary, broker_id="urn:another"),
        file_of(primary, broker_id=...),
        file_of(primary, authorized_application_ids=["another"]),
        file_of(primary, authorized_application_ids=[]),
        file_of(primary, authorized_application_ids=...),
        file_of(primary, validation_key="AAAA"),
        file_of(secondary),
        str(other.keys.get(slot=Slot.PRIMARY).token),
    ]
    after_reset(license, overlap=Overlap.NOW, now=NOW)
    revoke_key(key=secondary, actor=ADA, reason="It leaked.", now=NOW)
    Subscription.objects.filter(pk=other.subscription_id).update(state=State.SUSPENDED)
    known = lists()
    rounds: list[Round] = [
        (texts, {}, NOW),
        (texts, known, NOW),
        (texts, {}, NOW + 32 * DAY),
        (texts, {}, NOW - DAY),
    ]
    answers = judged(*rounds)
    plain = [[without_sentence(answer) for answer in each] for each in answers]
    assert plain == [[here(text, given, now) for text in texts] for _, given, now in rounds]
    words = {answer["result"] for each in answers for answer in each}
    assert words == {
        "valid", "revoked", "subscription_suspended", "subject_mismatch", "tenant_mismatch",
        "party_mismatch", "provider_mismatch", "application_not_authorized", "expired",
        "not_yet_valid",
    }  # fmt: skip


FOREIGN: dict[str, Callable[[str], str]] = {
    "another signature": lambda token: token[:-6] + "AAAAAA",
    "nothing": lambda token: "",
    "another payload": lambda token: token.replace(".", ".A", 1),
    "a license key": lambda token: str(LicenseKey.objects.get(slot=Slot.SECONDARY).token),
}


def test_a_list_that_is_old_or_not_ours_is_as_none(license: License) -> None:
    key = license.keys.get(slot=Slot.PRIMARY)
    after_reset(license, overlap=Overlap.NOW, now=NOW)
    texts, right = [str(key.token)], lists()
    wrong = [{uri: change(token) for uri, token in right.items()} for change in FOREIGN.values()]
    [[with_right], *others] = judged(
        (texts, right, NOW),
        (texts, right, NOW + 2 * DAY),
        *[(texts, each, NOW) for each in wrong],
    )
    assert with_right["result"] == "revoked"
    for name, [answer] in zip(["old", *FOREIGN], others, strict=True):
        why = "outdated" if name == "old" else "forged"
        told = (answer["result"], answer["unknown"], *answer["steps"][5:7])
        assert (name, *told) == (name, "valid", why, "unknown", "unknown")


def test_why_no_list_speaks_for_a_key_is_told(license: License) -> None:
    text = str(license.keys.get(slot=Slot.PRIMARY).token)
    [[known]] = judged(([text], lists(), NOW))
    assert (known["unknown"], known["mayBe"]) == (None, ["valid", "superseded"])
    whys = {"unreachable": {}, "elsewhere": dict.fromkeys(lists())}
    for why, known_lists in whys.items():
        [[answer]] = judged(([text], known_lists, NOW))
        assert (answer["result"], answer["unknown"]) == ("valid", why)


def test_bundles_are_read_and_refused_alike(license: License) -> None:
    own = License.objects.select_related("subscription").get(pk=license.pk)
    good = download_bundle(license=own, actor=ADA, now=NOW).content
    files, jwks, anchor = unzipped(good), keys.jwks(), published()
    late = download_bundle(license=own, actor=ADA, now=NOW + DAY).content
    attacks = {name: change(files) for name, (change, _) in ATTACKS.items()}
    given = [good, late, *attacks.values()]
    answers = in_node(bundles=given, jwks=jwks)["bundles"]
    assert answers[0] == {
        "madeAt": int(NOW.timestamp()),
        "results": {"license-primary.json": "valid", "license-secondary.json": "valid"},
    }
    read = partial(reading.read, trusted=anchor, now=NOW)
    for name, content, answer in zip(["late", *attacks], given[1:], answers[1:], strict=True):
        with pytest.raises(Refused) as caught:
            read(content)
        if name != "another signer":  # whom the page explains in its own words
            assert (name, answer) == (name, {"refused": caught.value.sentence})
