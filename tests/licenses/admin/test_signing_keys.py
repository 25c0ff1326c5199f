"""Signing keys in the admin: every action with its refusals, and no private key anywhere."""

import base64
import logging
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses import keys
from licenses.figures import snapshot
from licenses.flows.signing_keys import create_signing_key, disable_signing_key
from licenses.models import CheckCount, License, SigningKey, Slot
from portal.activity.models import VENDOR, LogEntry
from subscriptions.models import State
from tests.support.accounts import sign_in, stale
from tests.support.factories import make_license, make_subscription
from tests.support.license_flows import BOB, after_reset

LIST = "/admin/licenses/signingkey/"
CREATE = f"{LIST}create/"


def page(signing_key: SigningKey, name: str) -> str:
    return f"{LIST}{signing_key.pk}/{name}/"


@pytest.fixture
def successor(signing_key: SigningKey) -> SigningKey:
    """A key that was published for long enough."""
    return create_signing_key(actor=BOB, now=timezone.now() - timedelta(hours=25))


def last_row() -> tuple[Any, ...]:
    row = LogEntry.objects.filter(tenant_id=VENDOR).latest("seq")
    return row.action, row.actor_email, row.actor_kind, row.reason


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 422
    return dict(answer.context["form"].errors)


def result(answer: Any) -> tuple[SigningKey, str]:
    """Return what the result page says of its one row."""
    assert answer.status_code == 200
    [row] = answer.context["results"]
    return row.row, row.text


def check_key(license: License, at: datetime) -> None:
    """Let a terminal have checked the primary key of the license."""
    key = license.keys.get(slot=Slot.PRIMARY)
    CheckCount.objects.create(
        tenant=key.tenant, license_key=key, hour=at, result="valid", count=1, last_at=at
    )


# What is listed


def test_the_list_tells_what_each_key_has_signed(operator_client, signing_key, successor):
    make_license()
    revoked = make_license().keys.get(slot="primary")
    revoked.revoked_at = timezone.now()
    revoked.save()
    snapshot.refresh()
    rows = operator_client.get(LIST).context["cl"].result_list
    assert {row.kid: (row.state, row.signed, row.accepted) for row in rows} == {
        signing_key.kid: ("active", 4, 3),
        successor.kid: ("passive", 0, 0),
    }


def test_a_page_leads_to_the_log_of_its_key(operator_client, signing_key, successor):
    answer = operator_client.get(page(successor, "history"), follow=True)
    assert answer.status_code == 200
    about = [entry.details["kid"] for entry in answer.context["cl"].result_list]
    assert set(about) <= {successor.kid}


def test_only_what_is_possible_is_offered(operator_client, signing_key, successor):
    def offered(key: SigningKey) -> list[str]:
        html = operator_client.get(page(key, "change")).content.decode()
        return [name for name in ("activate", "disable") if page(key, name) in html]

    assert offered(signing_key) == ["disable"]
    assert offered(successor) == ["activate", "disable"]
    keys.disable(successor)
    assert offered(successor) == []
    assert operator_client.get(page(successor, "activate")).status_code == 404
    assert operator_client.get(page(successor, "disable")).status_code == 404


# What is done


def test_a_key_is_created_for_a_reason(operator_client, signing_key):
    assert errors(operator_client.post(CREATE)) == {"reason": ["Write why you do this."]}
    assert SigningKey.objects.count() == 1
    answer = operator_client.post(CREATE, {"reason": "Yearly"})
    made = SigningKey.objects.latest("pk")
    row, text = result(answer)
    assert row == made
    assert text.startswith(f"Signing key {made.kid[:8]} is published. It can be activated from ")
    assert (made.state, keys.active()) == ("passive", signing_key)
    assert last_row() == ("signing_key.created", "operator@vendor.example", "operator", "Yearly")


def test_a_key_is_activated_in_one_step(operator_client, signing_key, successor):
    form = operator_client.get(page(successor, "activate")).context["form"]
    assert list(form.fields) == ["reason"]
    answer = operator_client.post(page(successor, "activate"), {"reason": "Yearly"})
    assert result(answer) == (
        successor,
        f"Signing key {successor.kid[:8]} signs from now on.",
    )
    states = dict(SigningKey.objects.values_list("kid", "state"))
    assert states == {signing_key.kid: "passive", successor.kid: "active"}
    assert last_row()[0] == "signing_key.activated"


def test_a_key_published_too_recently_signs_in_an_emergency_only(operator_client, signing_key):
    made = create_signing_key(actor=BOB)
    address = page(made, "activate")
    refused = errors(operator_client.post(address, {"reason": "Hurry"}))
    assert [sentence[:45] for sentence in refused["__all__"]] == [
        "This signing key was published too recently. "
    ]
    assert keys.active() == signing_key
    operator_client.post(address, {"reason": "Leaked", "is_emergency": "on"})
    assert keys.active() == made
    assert LogEntry.objects.latest("pk").details["is_emergency"] is True


def test_a_key_is_disabled_by_whoever_types_how_it_begins(operator_client, signing_key, successor):
    make_license()
    keys.activate(successor)
    address = page(signing_key, "disable")
    assert operator_client.get(address).context["rows"] == [
        (signing_key, "License keys that this refuses: 2")
    ]
    begins = signing_key.kid[:8]
    wrong = f"Type {begins} to disable this signing key."
    for typed in (successor.kid[:8], begins.swapcase(), signing_key.kid):
        found = errors(operator_client.post(address, {"reason": "x", "confirmation": typed}))
        assert found == {"confirmation": [wrong]}
    assert SigningKey.objects.get(pk=signing_key.pk).state == "passive"
    operator_client.post(address, {"reason": "Leaked", "confirmation": begins})
    assert SigningKey.objects.get(pk=signing_key.pk).state == "disabled"
    assert last_row() == ("signing_key.disabled", "operator@vendor.example", "operator", "Leaked")


def test_the_active_key_is_disabled_with_its_successor_by_one_confirmation(
    operator_client, signing_key, successor
):
    address = page(signing_key, "disable")
    confirmation = operator_client.get(address).context
    assert confirmation["rows"] == [
        (signing_key, f"License keys that this refuses: 0; successor: {successor.kid}")
    ]
    assert list(confirmation["form"].fields) == ["with_new_successor", "confirmation", "reason"]
    answer = operator_client.post(
        address, {"reason": "Leaked", "confirmation": signing_key.kid[:8]}
    )
    assert answer.context["leads_on"] == [("Who is affected", page(signing_key, "affected"))]
    assert keys.active() == successor


def test_who_is_affected_is_listed_and_exported_until_none_is_left(
    operator_client, signing_key, contoso, owner, manager, viewer
):
    subscription = make_subscription(tenant=contoso, name="=Field tools")
    license = make_license(subscription=subscription)
    make_license(subscription=make_subscription(tenant=contoso, state=State.SUSPENDED))
    check_key(license, last_at := timezone.now().replace(microsecond=0))
    address = page(signing_key, "affected")
    assert operator_client.get(address).context["progress"] == ""
    disable_signing_key(signing_key=signing_key, actor=BOB, reason="Leaked")
    shown = operator_client.get(address)
    assert shown.context["progress"] == "2 of 4 license keys are still to be reset."
    assert [each.contacts for each, _ in shown.context["rows"]] == [[owner.email, manager.email]]
    lines = b"".join(operator_client.get(f"{address}export/")).decode().splitlines()
    [line] = lines[1:]
    assert line.split(",") == [
        *("Contoso", str(contoso.pk), "'=Field tools", str(subscription.pk)),
        *("primary secondary", last_at.isoformat(), f"{owner.email} {manager.email}"),
    ]
    assert "Withdrawn" in operator_client.get("/admin/").content.decode()
    for slot, left in (("primary", "1 of 4 license keys are"), ("secondary", "None of 4 license")):
        after_reset(license, Slot(slot), now=timezone.now())
        answer = operator_client.get(page(signing_key, "change")).content.decode()
        assert left in answer
    assert "Withdrawn" not in operator_client.get("/admin/").content.decode()


def test_whom_a_leak_concerns_is_seen_by_who_may_look_at_signing_keys(
    operator, operator_client, signing_key
):
    operator.is_superuser = False
    operator.save()
    for address in (page(signing_key, "affected"), f"{page(signing_key, 'affected')}export/"):
        assert operator_client.get(address).status_code == 403
    operator.user_permissions.set(Permission.objects.filter(codename="view_signingkey"))
    assert operator_client.get(page(signing_key, "affected")).status_code == 200
    for id in ("0", "x"):
        assert operator_client.get(f"{LIST}{id}/affected/").status_code == 404


def test_an_old_proof_is_asked_for_again_and_what_was_typed_is_kept(operator, signing_key):
    client = sign_in(Client(), operator, at=stale())
    answer = client.post(CREATE, {"reason": "Yearly"})
    assert answer["Location"] == reverse("account_reauthenticate", query={"next": CREATE})
    assert SigningKey.objects.count() == 1
    assert client.get(CREATE).context["form"]["reason"].value() == "Yearly"


@pytest.mark.parametrize(
    "permissions", [["view_signingkey"], ["view_signingkey", "add_signingkey"]]
)
def test_looking_is_not_doing(permissions, operator, operator_client, signing_key, successor):
    operator.is_superuser = False
    operator.save()
    operator.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    may_add = "add_signingkey" in permissions
    assert operator_client.get(LIST).content.decode().count(CREATE) == int(may_add)
    assert operator_client.get(CREATE).status_code == (200 if may_add else 403)
    for name in ("activate", "disable"):
        assert operator_client.get(page(successor, name)).status_code == 403
        assert operator_client.post(page(successor, name), {"reason": "x"}).status_code == 403
    shown = operator_client.get(page(successor, "change")).content.decode()
    assert (page(successor, "activate") in shown, page(successor, "disable") in shown) == (
        False,
        False,
    )


# Private keys


def forms_of_secrets(signing_key: SigningKey) -> list[str]:
    """Return every private number of the key as text would show it, and its files."""
    plain = Fernet(settings.KEY_ENCRYPTION_KEYS[0]).decrypt(bytes(signing_key.private_key))
    key = serialization.load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    numbers = key.private_numbers()
    found = [bytes(signing_key.private_key).decode()[:60], plain.hex(), plain.hex(":")]
    found += [base64.b64encode(plain).decode()[20:80]]
    for number in (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp):
        raw = number.to_bytes((number.bit_length() + 7) // 8)
        coded = base64.urlsafe_b64encode(raw).decode()
        found += [str(number), f"{number:x}", coded[:40], base64.b64encode(raw).decode()[:40]]
    return found


def leaks(text: str) -> list[str]:
    """Return what of any private key the text holds."""
    secrets = [s for key in SigningKey.objects.all() for s in forms_of_secrets(key)]
    flat = text.lower()
    found = [secret for secret in secrets if secret.lower() in flat]
    return found + re.findall("PRIVATE KEY", text)


def test_no_page_no_error_and_no_log_holds_a_private_key(
    operator_client, signing_key, successor, caplog
):
    caplog.set_level(logging.DEBUG)
    make_license()
    operator_client.raise_request_exception = False
    pages = ["/admin/", LIST, f"{LIST}?q=x", CREATE, "/admin/portal/logentry/"]
    for key in (signing_key, successor):
        pages += [page(key, name) for name in ("change", "history", "activate", "disable")]
    pages += [f"{LIST}?private_key__startswith=g", f"{LIST}?o=private_key", f"{LIST}?e=1"]
    texts = [operator_client.get(address, follow=True).content.decode() for address in pages]
    sent = [
        (CREATE, {"reason": "Yearly"}),
        (page(successor, "activate"), {}),
        (page(successor, "activate"), {"reason": "Yearly"}),
        (page(signing_key, "disable"), {"reason": "x", "confirmation": "y"}),
        (page(signing_key, "disable"), {"reason": "x", "confirmation": signing_key.kid[:8]}),
    ]
    texts += [operator_client.post(*form, follow=True).content.decode() for form in sent]
    SigningKey.objects.filter(state="active").update(certificate=b"broken")  # an error of ours
    broken = operator_client.get("/admin/licenses/signingkey/")
    texts += [broken.content.decode(), caplog.text, str(list(LogEntry.objects.values()))]
    assert [leaks(text) for text in texts] == [[]] * len(texts)


@pytest.mark.sweep
def test_a_private_key_on_a_page_would_be_found(signing_key):
    """The control: every form of a secret is one that `leaks` sees."""
    for secret in forms_of_secrets(signing_key):
        assert secret in leaks(f"<code>{secret}</code>")
    assert leaks("<code></code>") == []


def test_the_look_up_of_an_unknown_key_is_no_page(operator_client, signing_key):
    for name in ("activate", "disable"):
        address = reverse(f"admin:licenses_signingkey_{name}", args=[999])
        assert operator_client.get(address).status_code == 404
