"""Offline bundles: what is in one, what it proves, and what no bundle may be."""

import hashlib
import io
import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from django.core.management import CommandError, call_command

from licenses import keys, tokens
from licenses.bundle import reading
from licenses.bundle.reading import MAX_MEMBER_BYTES, Bundle
from licenses.checking.results import Result
from licenses.files import license_file
from licenses.flows.download import download_bundle
from licenses.flows.reset import Overlap
from licenses.flows.revoke import revoke_key
from licenses.management.commands.check_license import REVOCATION_UNKNOWN, TOO_OLD
from licenses.models import License, SigningKey, Slot, StatusList
from portal.activity.models import LogEntry
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription
from tests.support.bundles import ATTACKS, unzipped, zipped
from tests.support.factories import make_subscription
from tests.support.license_flows import ADA, DAY, NOW, after_reset, generated, meanwhile

pytestmark = pytest.mark.django_db

MEMBERS = [
    "README.txt",
    "license-primary.json",
    "license-secondary.json",
    "jwks.json",
    "status-1.jwt",
    "SHA256SUMS",
    "manifest.jwt",
]


@pytest.fixture
def license(contoso: Tenant, signing_key: SigningKey) -> License:
    return generated(make_subscription(tenant=contoso, name="Zoë's tools"))


def bundled(license: License, now: datetime = NOW) -> bytes:
    own = License.objects.select_related("subscription").get(pk=license.pk)
    return download_bundle(license=own, actor=ADA, now=now).content


def trusted() -> Any:
    return keys.public_keys_from_jwks(keys.jwks())


def read(content: bytes, now: datetime = NOW) -> Bundle:
    return reading.read(content, trusted=trusted(), now=now)


def results(bundle: Bundle, now: datetime = NOW) -> dict[str, str]:
    return {name: verdict.result.value for name, verdict in bundle.verdicts(now=now).items()}


def test_it_holds_all_that_verifies_its_keys_signed_as_a_whole(license: License) -> None:
    content = bundled(license)
    files = unzipped(content)
    assert list(files) == MEMBERS
    token = files.pop("manifest.jwt").decode()
    assert jwt.get_unverified_header(token) == {
        "alg": "RS256", "typ": "license-bundle+jwt", "kid": keys.active().kid,
    }  # fmt: skip
    [jwk] = jwt.PyJWKSet.from_json(files["jwks.json"].decode()).keys
    assert jwt.decode(token, jwk, algorithms=["RS256"], options={"verify_iat": False}) == {
        "iss": "http://localhost:8000",
        "sub": str(license.subscription_id),
        "iat": int(NOW.timestamp()),
        "files": {name: hashlib.sha256(file).hexdigest() for name, file in files.items()},
    }
    for slot in Slot:
        key = license.keys.select_related("license__tenant", "signing_key").get(slot=slot)
        file = license_file(key, subscription_name="Zoë's tools").content
        assert files[f"license-{slot}.json"] == file
    assert b"license-secondary.json  license file" in unzipped(content)["README.txt"]
    assert bundled(license) == content, "the same moment gives the same bytes"


def test_its_checksums_are_those_that_sha256sum_checks(license: License, tmp_path: Path) -> None:
    for name, file in unzipped(bundled(license)).items():
        (tmp_path / name).write_bytes(file)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.splitlines() == [f"{name}: OK" for name in MEMBERS[:-2]]


@pytest.fixture
def command(license: License, tmp_path: Path, django_assert_num_queries: Any) -> Any:
    """Return `command(*arguments)`: its output, for the license's bundle and without a database."""
    bundle, jwks = tmp_path / "b.zip", tmp_path / "jwks.json"
    bundle.write_bytes(bundled(license))
    jwks.write_text(json.dumps(keys.jwks()))

    def run(*arguments: str, trusts: bool = True) -> str:
        out = io.StringIO()
        anchor = ["--jwks", str(jwks)] if trusts else []
        with django_assert_num_queries(0), time_machine.travel(NOW + 3.1 * DAY, tick=False):
            call_command("check_license", "--bundle", str(bundle), *anchor, *arguments, stdout=out)
        return out.getvalue()

    return run


def test_the_command_reads_it_without_a_database_and_says_how_old_its_news_is(
    license: License, command: Any, tmp_path: Path
) -> None:
    lines = command().splitlines()
    assert lines[0] == (
        f"Offline bundle of subscription {license.subscription_id}, signed by a trusted key."
    )
    assert lines[1].startswith("The bundle is 3 days old, of ")
    assert [line for line in lines if "(valid)" in line] == [
        "license-primary.json: Valid (valid) or Superseded, still accepted (superseded)",
        "license-secondary.json: Valid (valid) or Superseded, still accepted (superseded)",
    ]
    told = json.loads(command("--json"))
    assert told["bundle"]["age_seconds"] // 86_400 == 3
    assert {file["result"] for file in told["files"].values()} == {"valid"}
    installed = tmp_path / "key.txt"
    installed.write_text(str(license.keys.get(slot=Slot.PRIMARY).token))
    assert command(str(installed)).count("(valid)") == 1
    installed.write_text("a.b.c")
    assert status_of(command, str(installed)) == Result.MALFORMED.exit_status


def status_of(command: Any, *arguments: str) -> Any:
    with pytest.raises(SystemExit) as end:
        command(*arguments)
    return end.value.code


def test_the_command_has_a_status_for_an_old_bundle_and_one_for_a_list_that_is_not_in_it(
    license: License, command: Any, tmp_path: Path
) -> None:
    command("--max-age", "75")
    assert status_of(command, "--max-age", "74") == TOO_OLD
    StatusList.objects.create(number=2, decoy_seed=bytes(32))
    other = generated(make_subscription(tenant=license.tenant))
    installed = tmp_path / "key.txt"
    installed.write_text(str(other.keys.get(slot=Slot.PRIMARY).token))
    assert status_of(command, str(installed)) == REVOCATION_UNKNOWN


def test_the_command_never_trusts_the_keys_in_a_bundle(command: Any) -> None:
    with pytest.raises(CommandError, match="anyone can make a bundle") as caught:
        command(trusts=False)
    assert caught.value.returncode == 2


def test_a_download_is_recorded(license: License) -> None:
    bundled(license)
    entry = LogEntry.objects.get(action="license_keys.bundle_downloaded")
    jtis = [str(license.keys.get(slot=slot).jti) for slot in Slot]
    assert (entry.actor_name, entry.details) == ("Ada Lovelace", {"jti": jtis})
    assert {*license.keys.values_list("last_downloaded_at", flat=True)} == {NOW}


def test_a_revoked_key_is_left_out_and_the_readme_says_why(license: License) -> None:
    revoke_key(key=license.keys.get(slot=Slot.PRIMARY), actor=ADA, reason="It leaked.", now=NOW)
    files = unzipped(bundled(license))
    assert "license-primary.json" not in files
    assert (
        "The primary key was revoked. Once a manager or owner has reset it, download the new one."
        in (files["README.txt"].decode())
    )


def test_none_is_made_of_a_suspended_subscription(license: License) -> None:
    Subscription.objects.update(state=State.SUSPENDED)
    with pytest.raises(Refused, match="This subscription is suspended"):
        bundled(license)
    assert not LogEntry.objects.filter(action="license_keys.bundle_downloaded").exists()


def test_a_key_that_is_revoked_while_it_is_signed_is_not_handed_out(license: License) -> None:
    key = license.keys.get(slot=Slot.PRIMARY)
    with meanwhile(lambda: revoke_key(key=key, actor=ADA, reason="It leaked.", now=NOW)):
        content = bundled(license)
    assert "license-primary.json" not in unzipped(content)


class TestNews:
    """What a bundle tells of keys, its own and those that are installed."""

    def test_its_own_files_are_valid_until_they_expire(self, license: License) -> None:
        bundle = read(bundled(license))
        both = ["license-primary.json", "license-secondary.json"]
        assert results(bundle) == dict.fromkeys(both, "valid")
        assert results(bundle, NOW + 32 * DAY) == dict.fromkeys(both, "expired")
        [verdict, _] = bundle.verdicts(now=NOW).values()
        assert [title for title, outcome in verdict.steps() if outcome == "skipped"] == [
            "Record",
            "Slot",
        ]

    @pytest.mark.parametrize("stopped", ["replaced", "revoked", "suspended"])
    def test_an_installed_key_is_refused_if_the_list_refuses_it(
        self, license: License, stopped: str
    ) -> None:
        old = license.keys.get(slot=Slot.PRIMARY)
        bundle_of = license
        if stopped == "replaced":
            after_reset(license, overlap=Overlap.NOW, now=NOW + DAY)
        elif stopped == "revoked":
            revoke_key(key=old, actor=ADA, reason="It leaked.", now=NOW + DAY)
        else:  # the bundle is of another subscription, whose keys are on the same list
            Subscription.objects.update(state=State.SUSPENDED)
            bundle_of = generated(make_subscription(tenant=license.tenant))
        assert old.token
        verdict = read(bundled(bundle_of, NOW + DAY), NOW + DAY).judge(old.token, now=NOW + DAY)
        assert verdict.advice == "Open its subscription, or check the key online, to learn which."
        assert verdict.revocation_is_known
        if stopped == "suspended":
            assert (verdict.result, verdict.may_be) == (
                Result.SUBSCRIPTION_SUSPENDED,
                (Result.SUBSCRIPTION_SUSPENDED, Result.SUBSCRIPTION_ENDED),
            )
            assert verdict.description.startswith("The subscription is suspended, or its end date")
        else:
            assert (verdict.result, verdict.description) == (
                Result.REVOKED,
                (
                    "The key was deleted, revoked or replaced, or its subscription was ended. The "
                    "status list refuses the key and does not say which."
                ),
            )

    def test_a_key_of_a_signing_key_disabled_meanwhile_is_refused(self, license: License) -> None:
        old, before = license.keys.get(slot=Slot.PRIMARY), trusted()
        first = keys.active()
        keys.activate(keys.create(now=NOW))
        before |= trusted()
        after_reset(license, overlap=Overlap.NOW, now=NOW + DAY)
        keys.disable(first)
        bundle = reading.read(bundled(license, NOW + DAY), trusted=before, now=NOW + DAY)
        assert bundle.judge(old.token or "", now=NOW + DAY).result == Result.SIGNING_KEY_UNKNOWN


def test_what_is_no_bundle_is_refused_in_a_sentence(license: License) -> None:
    files, anchor = unzipped(bundled(license)), trusted()
    for attack, (change, sentence) in ATTACKS.items():
        with pytest.raises(Refused) as caught:
            reading.read(change(files), trusted=anchor, now=NOW)
        assert (attack, caught.value.sentence.startswith(sentence)) == (attack, True)


def test_a_changed_signature_is_refused(license: License) -> None:
    files = unzipped(bundled(license))
    head, _, signature = files["manifest.jwt"].decode().rpartition(".")
    flipped = bytearray(tokens.from_base64url(signature))
    flipped[5] ^= 1
    files["manifest.jwt"] = f"{head}.{tokens.base64url(bytes(flipped))}".encode()
    with pytest.raises(Refused, match="The signature of the bundle is not valid"):
        read(zipped([*files.items()]))


def test_a_bundle_of_the_future_is_refused(license: License) -> None:
    with pytest.raises(Refused, match="made later than the clock of this machine says"):
        read(bundled(license, NOW + timedelta(seconds=302)))
    read(bundled(license, NOW + timedelta(seconds=299)))


def test_members_send_for_it(license: License, viewer: Any, client_for: Any) -> None:
    client = client_for(viewer)
    url = f"/subscriptions/{license.subscription_id}/download/bundle/"
    answer = client.get(url)
    assert (answer.status_code, answer["Content-Type"], answer["Cache-Control"]) == (
        200, "application/zip", "no-store",
    )  # fmt: skip
    assert 'filename="Zoe-s-tools-bundle.zip"' in answer["Content-Disposition"]
    assert len(unzipped(answer.content)) == len(MEMBERS)
    assert url in client.get(license.subscription.get_absolute_url()).content.decode()
    Subscription.objects.update(state=State.SUSPENDED)
    assert client.get(url).status_code == 302
    assert len(answer.content) < MAX_MEMBER_BYTES
