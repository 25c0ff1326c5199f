"""`verify_store` finds what was changed in the database past the portal."""

from collections import Counter

import pytest
from django.db import connection

from licenses import keys
from licenses.models import License, LicenseKey, SigningKey, StatusList
from licenses.status_list import decoys
from licenses.store.proof import findings
from licenses.tokens import sha256_of
from portal.activity.models import LogEntry
from portal.activity.triggers import remove_triggers
from tests.support.factories import make_key, make_license, make_subscription
from tests.support.stores import may_do_anything, said

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def row(subscription, slot="primary"):
    return LicenseKey.objects.get(license__subscription=subscription, slot=slot)


def change(key, **values):
    LicenseKey.objects.filter(pk=key.pk).update(**values)


def prefix(key):
    return f"License key {key.jti} of subscription {key.license.subscription_id}: "


def another_signature(key, subscription):
    head, _, signature = key.token.rpartition(".")
    token = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    change(key, token=token, token_sha256=sha256_of(token))
    return ["its signature does not verify"]


def another_token(key, subscription):
    change(key, token=row(subscription, "secondary").token)
    return [
        "its token is not the one that was issued (SHA-256)",
        "its token and its row differ in jti, status",
    ]


def no_token_at_all(key, subscription):
    change(key, token="x", token_sha256=sha256_of("x"))
    why = "It is not three parts of base64url characters with two dots between"
    return [f"its token is malformed: {why}"]


def a_later_expiry(key, subscription):
    change(key, expires_at=key.expires_at.replace(year=key.expires_at.year + 1))
    return ["its token and its row differ in exp"]


def another_subscription(key, subscription):
    other = make_subscription(tenant=subscription.tenant)
    License.objects.filter(pk=key.license_id).update(subscription=other)
    return ["its token and its row differ in sub"]


def an_index_outside(key, subscription):
    change(key, status_index=key.status_list.size)
    return [
        "its token and its row differ in status",
        f"its status index {key.status_list.size} is outside of list {key.status_list_id}",
    ]


def a_decoy(key, subscription):
    index = min(decoys(bytes(key.status_list.decoy_seed), key.status_list.size))
    change(key, status_index=index)
    return [
        "its token and its row differ in status",
        f"its status index {index} is one that list {key.status_list_id} refuses",
    ]


def another_list(key, subscription):
    StatusList.objects.create(number=77, size=key.status_list.size, decoy_seed=bytes(32))
    change(key, status_list=77)
    return ["its token and its row differ in status"]


def another_signing_key(key, subscription):
    other = keys.create()
    change(key, signing_key=other)
    return [f"it was signed by {key.signing_key.kid}, and its row names {other.kid}"]


@pytest.mark.parametrize(
    "tamper",
    [
        another_signature,
        another_token,
        no_token_at_all,
        a_later_expiry,
        another_subscription,
        an_index_outside,
        a_decoy,
        another_list,
        another_signing_key,
    ],
)
def test_a_license_key_that_was_changed_is_found(tamper, subscription):
    key = row(subscription)
    faults = tamper(key, subscription)
    key.refresh_from_db()
    expected = sorted(f"{prefix(key)}{fault}." for fault in faults)
    found = [sentence for sentence in findings(Counter()) if str(key.jti) in sentence]
    assert sorted(found) == expected


def test_what_was_not_changed_is_whole_and_counted(subscription):
    make_key(license=make_license(), state="replaced")
    deleted = make_key(license=License.objects.first(), state="deleted")
    assert deleted.token is None
    looked_at = Counter[str]()
    assert list(findings(looked_at)) == []
    assert looked_at == {
        "signing keys": 1,
        "license keys": 5,
        "chains of the log": 1,
        "rows of the log": 1,
    }


def test_a_signing_key_that_cannot_sign_is_found(subscription):
    signing_key, other = SigningKey.objects.get(), keys.create()
    SigningKey.objects.filter(pk=other.pk).update(private_key=signing_key.private_key)
    [found] = findings(Counter())
    assert found == (
        f"Signing key {other.kid} (passive): its private key does not belong to its certificate."
    )
    SigningKey.objects.filter(pk=other.pk).update(private_key=b"lost")
    [found] = findings(Counter())
    assert found == (
        f"Signing key {other.kid} (passive): its private key cannot be decrypted with "
        "KEY_ENCRYPTION_KEYS."
    )
    SigningKey.objects.filter(pk=other.pk).update(state="disabled")
    assert list(findings(Counter())) == []


def test_a_row_of_the_log_that_was_changed_is_found(subscription):
    may_do_anything()
    remove_triggers()
    LogEntry.objects.update(actor_name="Somebody else")
    out, err, sentence = said("verify_store")
    assert err == f"Log of Contoso ({subscription.tenant_id}): row 1 was changed.\n"
    assert out.startswith(
        "Looked at 1 signing keys, 2 license keys, 1 chains of the log, 1 rows of the log in "
    )
    assert sentence == "The store is not whole: findings: 1."


def test_slots_that_hold_two_keys_are_found_where_the_constraint_was_taken_away(subscription):
    first = row(subscription)
    may_do_anything()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX license_key_one_current")
    second = make_key(license=first.license)
    assert list(findings(Counter())) == [
        f"2 current keys are in license {first.license_id}, slot primary."
    ]
    License.objects.filter(pk=first.license_id).update(deleted_at=first.issued_at)
    found = list(findings(Counter()))
    assert f"License key {second.jti} is not deleted, and its license is." in found
