"""How operators find a license key that somebody sent them, without leaving it anywhere."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from licenses.files import license_file
from licenses.models import CheckCount, LicenseKey
from licenses.tokens import base64url, from_base64url
from portal.tenants.models import Role, Tenant
from subscriptions.models import Subscription
from tests.support.accounts import make_member
from tests.support.admin_pages import address
from tests.support.factories import make_license, make_subscription
from tests.support.operator_actions import operator_of

FIND = "admin:licenses_licensekey_find"


@pytest.fixture
def key(contoso, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso)).keys.first()


def page_of(key):
    return address(LicenseKey, "check", key.pk)


def test_a_pasted_key_leads_to_its_page(operator_client, key):
    for text in [key.token, f"  {key.token}\n"]:
        response = operator_client.post(reverse(FIND), {"text": text})
        assert response.headers["Location"] == page_of(key)


def test_a_license_file_leads_to_its_page(operator_client, key):
    content = license_file(key, subscription_name="Terminals").content
    raw = content if isinstance(content, bytes) else content.encode()
    assert key.token in json.loads(raw).values() or key.token.encode() in raw
    file = SimpleUploadedFile("license.json", raw, "application/json")
    response = operator_client.post(reverse(FIND), {"file": file})
    assert response.headers["Location"] == page_of(key)


@pytest.mark.parametrize("text", ["", "hello"])
def test_what_is_no_key_of_ours_is_said_at_the_field(text, operator_client):
    response = operator_client.post(reverse(FIND), {"text": text})
    assert response.status_code == 422
    assert response.context["form"].errors


def test_a_changed_key_is_not_taken_for_the_one_it_names(operator_client, key):
    forged = key.token[:-20] + "A" * 20
    for page, field in ((reverse(FIND), "text"), (reverse("admin:search"), "q")):
        response = operator_client.post(page, {field: forged})
        shown = response.content.decode()
        assert (response.status_code, "Location" in response.headers) == (200, False)
        assert forged[:60] not in shown
        assert f'href="{page_of(key)}"' in shown
        assert "<code>signature_invalid</code>" in shown
        assert "The key was changed." in shown


def with_issuer(token, issuer):
    head, claims, signature = token.split(".")
    foreign = json.loads(from_base64url(claims)) | {"iss": issuer, "jti": str(uuid4())}
    return f"{head}.{base64url(json.dumps(foreign).encode())}.{signature}"


@pytest.mark.parametrize(
    ("change", "result", "todo"),
    [
        (lambda token: "eyJhbGciOiJS", "malformed", "The key is cut."),
        (lambda token: token[:200], "malformed", "The key is cut."),
        (lambda token: token[:-50], "signature_invalid", "The key is cut."),
        (lambda token: with_issuer(token, "https://x.example"), "signature_invalid", "another"),
        (lambda token: "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "malformed", "Copy the whole key"),
    ],
    ids=["begun", "cut", "end is cut", "foreign", "other"],
)
def test_of_every_key_without_a_record_it_says_what_a_terminal_hears(
    change, result, todo, operator_client, key
):
    response = operator_client.post(reverse(FIND), {"text": change(key.token)})
    shown = response.content.decode()
    assert response.status_code == 200
    assert f"<code>{result}</code>" in shown
    assert todo in shown
    assert ("https://x.example</code>: not this portal" in shown) == (todo == "another")


def test_the_beginning_of_a_key_is_sent_to_where_keys_are_found(operator_client):
    shown = operator_client.get(reverse("admin:search"), {"q": "eyJhbGci"}).content.decode()
    assert "That begins like a license key." in shown
    assert "Use fewer words" not in shown


@pytest.mark.parametrize("group", ["support", "sales", "security"])
def test_every_operator_finds(group, key):
    response = operator_of(group).post(reverse(FIND), {"text": key.token})
    assert response.headers["Location"] == page_of(key)


@pytest.mark.parametrize("model", [LicenseKey, Subscription, Tenant])
def test_a_key_in_an_address_is_refused_and_forgotten(model, operator_client, client, key):
    url = address(model, "changelist")
    for anybody in [operator_client, client]:
        response = anybody.get(url, {"q": key.token[:200]})
        assert (response.status_code, response.headers["Location"]) == (302, url)
    listing = operator_client.get(url).content.decode()
    assert "That looks like a license key." in listing


# Searching


def found(client, model, text, **filters):
    response = client.get(address(model, "changelist"), {"q": str(text), **filters})
    assert response.status_code == 200
    return {row.pk for row in response.context["cl"].result_list}


def test_everything_is_found_by_what_customers_quote(operator_client, contoso, key, signing_key):
    make_license()  # somebody else's
    make_member(tenant=contoso, role=Role.OWNER, email="jane@mail.contoso.example")
    license = key.license
    for text in [
        license.subscription_id,
        license.authorized_application_id,
        key.jti,
        "JANE@mail.contoso.example",
        "mail.contoso.example",
        "@mail.contoso.example",
        contoso.pk,
        "contoso",
    ]:
        assert found(operator_client, Tenant, text) == {contoso.pk}, text
        assert found(operator_client, Subscription, text) == {license.subscription_id}, text
    assert found(operator_client, LicenseKey, signing_key.kid) == {
        *LicenseKey.objects.values_list("pk", flat=True)
    }


def test_filters_find_what_needs_care(operator_client, key):
    subscription = key.license.subscription
    other = next(k for k in key.license.keys.all() if k.pk != key.pk)
    LicenseKey.objects.filter(pk=key.pk).update(last_downloaded_at=timezone.now())
    CheckCount.objects.create(
        tenant=key.tenant,
        license_key=key,
        hour=timezone.now(),
        result="valid",
        count=1,
        last_at=timezone.now(),
    )
    assert found(operator_client, LicenseKey, "", needs="not_downloaded") == {other.pk}
    assert found(operator_client, LicenseKey, "", needs="not_checked") == {other.pk}
    assert found(operator_client, LicenseKey, "", country="USA") == {key.pk, other.pk}
    assert found(operator_client, LicenseKey, "", country="DEU") == set()
    assert found(operator_client, Subscription, "", keys="not_downloaded") == set()
    LicenseKey.objects.update(last_downloaded_at=None)
    assert found(operator_client, Subscription, "", keys="not_downloaded") == {subscription.pk}
    soon = timezone.now() + timedelta(days=29)
    LicenseKey.objects.filter(pk=key.pk).update(expires_at=soon)
    assert key.pk in found(operator_client, LicenseKey, "", needs="expiring")
    assert found(operator_client, Subscription, "", keys="expiring") == {subscription.pk}


def test_megabytes_of_pasted_text_keep_the_form(operator_client):
    answer = operator_client.post(reverse(FIND), {"text": "x" * 3_000_000})
    assert (answer.status_code, answer.context["form"].errors) == (
        422,
        {"text": ["A license key or license file has at most 64 KiB. Paste nothing else."]},
    )
