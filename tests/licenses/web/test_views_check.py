"""Check and Inspect Claims over HTTP: stored, pasted and uploaded keys, and what is no key."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import encode_multipart
from django.urls import reverse
from django.utils import timezone

from licenses import tokens
from licenses.files import MAX_UPLOAD_BYTES, license_file
from licenses.models import CheckCount, License, LicenseKey
from portal.activity.models import LogEntry
from portal.tenants.models import Tenant
from portal.web.large_forms import KEPT_BYTES
from subscriptions.models import Subscription
from tests.support.accounts import sign_in
from tests.support.answers import HTMX, WHOLE_PAGES, refusals, shape, vary
from tests.support.factories import make_license, make_subscription


@pytest.fixture
def license(contoso, signing_key) -> License:
    return make_license(subscription=make_subscription(tenant=contoso, name="Field tools"))


@pytest.fixture
def key(license) -> LicenseKey:
    return license.keys.get(slot="primary")


@pytest.fixture
def foreign(fabrikam, signing_key) -> LicenseKey:
    """A key of another tenant."""
    return make_license(subscription=make_subscription(tenant=fabrikam)).keys.get(slot="primary")


def url(name: str, subscription: Subscription, *slot: str) -> str:
    return reverse(f"licenses:{name}", args=[subscription.pk, *slot])


def result(answer: Any) -> str:
    return str(answer.context["verdict"].result)


def checks() -> list[tuple[str, str, str]]:
    return [*LogEntry.objects.order_by("id").values_list("action", "slot", "result")]


def uploaded(content: bytes, name: str = "license.json") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, content, content_type="application/json")}


def file_of(key: LicenseKey) -> dict[str, Any]:
    return json.loads(license_file(key, subscription_name="Field tools").content)


# Pages and fragments


PAGES = [("check", []), ("check_presented", []), ("claims", ["primary"])]
HEADINGS = {"claims": "Claims of the primary key"}


@pytest.mark.parametrize("headers", WHOLE_PAGES.values(), ids=WHOLE_PAGES)
@pytest.mark.parametrize(("name", "slot"), PAGES)
def test_everything_is_a_page_of_its_own(name, slot, headers, viewer_client, license):
    answer = viewer_client.get(url(name, license.subscription, *slot), headers=headers)
    assert shape(answer) == (200, "page", HEADINGS.get(name, "Check license"))
    assert (answer["Cache-Control"], vary(answer)) == ("no-store", {"HX-Request", "Cookie"})


@pytest.mark.parametrize(("name", "slot"), PAGES)
def test_everything_is_a_fragment_for_htmx(name, slot, viewer_client, license):
    answer = viewer_client.get(url(name, license.subscription, *slot), headers=HTMX)
    assert shape(answer) == (200, "fragment", HEADINGS.get(name, "Check license"))
    assert (answer["Cache-Control"], vary(answer)) == ("no-store", {"HX-Request", "Cookie"})


# Stored keys


@pytest.mark.parametrize("slot", ["primary", "secondary"])
def test_a_stored_key_is_checked_on_a_page(slot, viewer_client, license):
    answer = viewer_client.post(url("check", license.subscription), {"slot": slot})
    assert shape(answer) == (200, "page", "Check license")
    assert result(answer) == "valid"
    assert checks() == [("license_key.checked", slot, "valid")]


def test_the_verdict_alone_goes_into_an_htmx_page(viewer_client, license):
    answer = viewer_client.post(
        url("check", license.subscription), {"slot": "primary"}, headers=HTMX
    )
    assert shape(answer) == (200, "fragment", "")
    assert result(answer) == "valid"
    assert [answer.get("HX-Retarget"), answer["Cache-Control"]] == [None, "no-store"]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_no_slot_that_exists_is_refused_in_the_dialog(headers, viewer_client, license):
    answer = viewer_client.post(
        url("check", license.subscription), {"slot": "third"}, headers=headers
    )
    assert shape(answer) == (422, "fragment" if headers else "page", "Check license")
    assert answer["HX-Retarget"] == "#dialog"
    assert (list(answer.context["form"].errors), checks()) == (["slot"], [])


def test_a_slot_is_judged_at_once_in_a_dialog_of_its_own(viewer_client, license):
    answer = viewer_client.post(
        url("check", license.subscription),
        {"slot": "secondary"},
        headers=HTMX | {"HX-Target": "dialog"},
    )
    assert shape(answer) == (200, "fragment", "Check license")
    assert (result(answer), answer.context["form"]["slot"].value()) == ("valid", "secondary")
    assert checks() == [("license_key.checked", "secondary", "valid")]


def test_checks_from_the_portal_are_no_checks_by_terminals(viewer_client, license):
    viewer_client.post(url("check", license.subscription), {"slot": "primary"})
    assert not CheckCount.objects.exists()


# Pasted keys

COPIED = {
    "bare": str,
    "blanks": "\n {} \n".format,
    "mark": "\ufeff{}".format,
    "header": "Authorization: Bearer {}".format,
    "variable": "export LICENSE_KEY='{}';".format,
    "wrapped": lambda token: "\r\n    ".join(token[at : at + 76] for at in range(0, 2000, 76)),
    "invisible": lambda token: "\u200b".join(token[at : at + 40] for at in range(0, 2000, 40)),
}


@pytest.mark.parametrize("around", COPIED.values(), ids=COPIED)
def test_a_pasted_key_is_checked(around, viewer_client, license, key):
    answer = viewer_client.post(
        url("check_presented", license.subscription), {"text": around(key.token)}
    )
    assert shape(answer) == (200, "page", "Check license")
    assert result(answer) == "valid"
    assert checks() == [("license_key.checked", "primary", "valid")]


def test_a_pasted_key_of_another_subscription_is_recorded_there(viewer_client, contoso, license):
    other = make_license(subscription=make_subscription(tenant=contoso)).keys.get(slot="secondary")
    answer = viewer_client.post(
        url("check_presented", license.subscription), {"text": other.token}, headers=HTMX
    )
    assert shape(answer) == (200, "fragment", "")
    assert result(answer) == "valid"
    row = LogEntry.objects.get()
    assert (row.subscription_id, row.slot) == (other.license.subscription_id, "secondary")


def test_a_foreign_key_is_a_mismatch_and_nothing_is_told_or_recorded(
    viewer_client, license, foreign
):
    address = url("check_presented", license.subscription)
    presented = [{"text": foreign.token}, uploaded(json.dumps(file_of(foreign)).encode())]
    for data in presented:
        verdict = viewer_client.post(address, data).context["verdict"]
        assert (verdict.result, verdict.key) == ("tenant_mismatch", None)
    assert not LogEntry.objects.exists()


def test_no_word_tells_a_foreign_key_from_one_that_was_deleted(viewer_client, license, foreign):
    address = url("check_presented", license.subscription)
    before = viewer_client.post(address, {"text": foreign.token}).context["verdict"]
    foreign.revoked_at = foreign.issued_at
    foreign.save()
    after = viewer_client.post(address, {"text": foreign.token}).context["verdict"]
    assert (before.result, before.description) == (after.result, after.description)


@pytest.mark.parametrize(
    ("key_has", "subscription_has", "begins", "label"),
    [
        ({"revoked_at": timezone.now()}, {}, "it was revoked", "Reset Primary…"),
        ({}, {"state": "suspended"}, "the subscription is suspended", "Ask for help"),
    ],
)
def test_a_refusal_leads_to_its_remedy(
    key_has, subscription_has, begins, label, manager_client, viewer_client, license, settings
):
    settings.SUPPORT_URL = "https://vendor.example/help"
    license.keys.update(**key_has)
    Subscription.objects.update(**subscription_has)
    pages = [
        client.post(url("check", license.subscription), {"slot": "primary"})
        for client in (manager_client, viewer_client)
    ]
    assert pages[0].context["why"].startswith(begins)
    assert "The primary key of" in pages[0].content.decode()
    assert pages[0].context["remedy"].label == label
    assert bool(pages[1].context["remedy"]) == (label == "Ask for help")


@pytest.mark.parametrize("text", ["x", "a.b.c", "-" * 1000, "ключ"])
def test_text_that_is_no_key_gets_a_verdict(text, viewer_client, license):
    answer = viewer_client.post(url("check_presented", license.subscription), {"text": text})
    assert (answer.status_code, result(answer), checks()) == (200, "malformed", [])


@pytest.mark.parametrize("data", [{}, {"text": ""}, {"text": " \n"}])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_nothing_given_is_said_so(data, headers, viewer_client, license):
    answer = viewer_client.post(url("check_presented", license.subscription), data, headers=headers)
    assert shape(answer) == (422, "fragment" if headers else "page", "Check license")
    assert answer["HX-Retarget"] == "#dialog"
    assert refusals(answer) == ["Paste a license key or choose a license file."]


def test_an_over_long_text_is_refused(viewer_client, license):
    answer = viewer_client.post(
        url("check_presented", license.subscription), {"text": "x" * (MAX_UPLOAD_BYTES + 1)}
    )
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["text"])


def test_a_text_and_a_file_are_not_checked_together(viewer_client, license, key, foreign):
    data = uploaded(json.dumps(file_of(key)).encode()) | {"text": foreign.token}
    answer = viewer_client.post(url("check_presented", license.subscription), data)
    kept = answer.context["form"]["text"].value()
    assert (answer.status_code, kept, checks()) == (422, foreign.token, [])
    [sentence] = refusals(answer)
    assert sentence == (
        "You chose a file and pasted text too, so nothing was checked. Clear the text and choose "
        "the file again, or check the text alone."
    )


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize("megabytes", [3, 12])
def test_megabytes_of_pasted_text_keep_the_form(megabytes, headers, client_for, viewer, license):
    client = client_for(viewer, enforce_csrf_checks=True)
    address = url("check_presented", license.subscription)
    token = client.get(address).context["csrf_token"]
    data = {"csrfmiddlewaretoken": str(token), "text": "x" * megabytes * 1_000_000}
    answer = client.post(address, data, headers=headers)
    assert shape(answer) == (422, "fragment" if headers else "page", "Check license")
    assert refusals(answer) == [
        "A license key or license file has at most 64 KiB. Paste nothing else."
    ]
    kept = answer.context["form"]["text"].value()
    assert MAX_UPLOAD_BYTES < len(kept) <= KEPT_BYTES
    assert set(kept) == {"x"}
    del data["csrfmiddlewaretoken"]
    assert client.post(address, data, headers=headers).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_the_server_itself_takes_megabytes_of_pasted_text(live_portal, viewer, license):
    session = sign_in(Client(), viewer).cookies[settings.SESSION_COOKIE_NAME].value
    address = live_portal.url + url("check_presented", license.subscription)
    cookies = f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={'a' * 32}"
    parts = {"csrfmiddlewaretoken": "a" * 32, "text": "x" * 3_000_000}
    body = encode_multipart("boundary", parts)
    headers = {
        "Cookie": cookies,
        "Content-Type": "multipart/form-data; boundary=boundary",
        "Origin": live_portal.url,
    }
    request = urllib.request.Request(address, body, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as answer:
        html = answer.read().decode()
    assert answer.status == 422
    sentence = "A license key or license file has at most 64 KiB. Paste nothing else."
    assert html.count(sentence) == 1


def test_megabytes_are_too_much_for_every_other_form(manager_client, license):
    address = reverse("subscriptions:rename", args=[license.subscription_id])
    assert manager_client.post(address, {"name": "x" * 3_000_000}).status_code == 400


def test_megabytes_that_are_no_form_are_refused(viewer_client, license):
    answer = viewer_client.post(
        url("check_presented", license.subscription),
        b"x" * 3_000_000,
        content_type="multipart/form-data; boundary=b",
    )
    assert answer.status_code in {400, 422}


# Uploaded files


def test_an_uploaded_file_is_checked(viewer_client, license, key):
    address = url("check_presented", license.subscription)
    content = json.dumps(file_of(key)).encode()
    for data in (
        uploaded(content),
        uploaded(b"\xef\xbb\xbf" + content),
        uploaded(content.decode().encode("utf-16")),
        uploaded(b"\xfe\xff" + content.decode().encode("utf-16-be")),
        uploaded(content.decode().encode("utf-32")),
        {"text": content.decode()},
    ):
        assert result(viewer_client.post(address, data)) == "valid"
    assert checks() == [("license_key.checked", "primary", "valid")] * 6


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("key_type", "secondary_key", "key_type_mismatch"),
        ("subject", "00000000-0000-4000-8000-000000000000", "subject_mismatch"),
        ("consumer_tenant_id", "00000000-0000-4000-8000-000000000000", "tenant_mismatch"),
        ("consumer_tenant_id", None, "tenant_mismatch"),
        ("authorized_party", "urn:other", "party_mismatch"),
        ("authorized_application_ids", [], "application_not_authorized"),
        ("broker_id", "urn:other", "provider_mismatch"),
        ("validation_key", "bm90aGluZw==", "valid"),
        ("audience", "Somebody else", "valid"),
    ],
)
def test_the_members_of_a_file_are_the_request(
    member, value, expected, viewer_client, license, key
):
    content = json.dumps(file_of(key) | {member: value}).encode()
    answer = viewer_client.post(url("check_presented", license.subscription), uploaded(content))
    assert result(answer) == expected


def test_a_file_that_names_nothing_agrees_with_nothing(viewer_client, license, key):
    content = json.dumps({"key": key.token}).encode()
    answer = viewer_client.post(url("check_presented", license.subscription), uploaded(content))
    assert result(answer) == "tenant_mismatch"


NO_FILES = {
    "65,537 bytes": (
        b"{" + b" " * MAX_UPLOAD_BYTES,
        "A license file has at most 64 KiB; choose another file.",
    ),
    "5 MB": (b" " * 5_000_000, "A license file has at most 64 KiB; choose another file."),
    "not UTF-8": (b'{"key": "\xff"}', "This is not a license file: it is not UTF-8 text."),
    "UTF-16 without its mark": (
        '{"key": "é"}'.encode("utf-16-le"),
        "This is not a license file: it is not UTF-8 text.",
    ),
    "half of UTF-16": (b"\xff\xfe{", "This is not a license file: it is not UTF-8 text."),
    "not JSON": (
        b'{"key": "x"',
        "This is not a license file: it is not valid JSON. Upload the file as it was downloaded.",
    ),
    "too deep": (
        b'{"key": ' * 8000,
        "This is not a license file: it is not valid JSON. Upload the file as it was downloaded.",
    ),
    "no key": (b"{}", 'This is not a license file: it has no text member "key".'),
    "key of another type": (
        b'{"key": ["x"]}',
        'This is not a license file: it has no text member "key".',
    ),
    "empty": (b"", "The submitted file is empty."),
}


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize(("content", "sentence"), NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_license_file_is_said_so(content, sentence, headers, viewer_client, license):
    answer = viewer_client.post(
        url("check_presented", license.subscription), uploaded(content), headers=headers
    )
    assert shape(answer) == (422, "fragment" if headers else "page", "Check license")
    assert (refusals(answer), checks()) == ([sentence], [])


def test_a_file_of_65536_bytes_is_read(viewer_client, license, key):
    content = json.dumps(file_of(key)).encode().ljust(MAX_UPLOAD_BYTES)
    answer = viewer_client.post(url("check_presented", license.subscription), uploaded(content))
    assert result(answer) == "valid"


@pytest.mark.parametrize("content", [b'["key"]', b'"key"', b"null", b'{"key": "\\ud800.a.b"}'])
def test_json_that_is_no_license_gets_a_verdict(content, viewer_client, license):
    answer = viewer_client.post(url("check_presented", license.subscription), uploaded(content))
    assert (answer.status_code, result(answer)) == (200, "malformed")


def test_a_file_is_stored_nowhere(viewer_client, license, key, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    media = Path(settings.MEDIA_ROOT or tmp_path)
    before = sorted(media.iterdir())
    address = url("check_presented", license.subscription)
    for size in (2_000, 200_000, 5_000_000):
        viewer_client.post(address, uploaded(json.dumps(file_of(key)).encode().ljust(size)))
    assert [*tmp_path.iterdir()] == []
    assert sorted(media.iterdir()) == before
    assert [handler for handler in settings.FILE_UPLOAD_HANDLERS if "Temporary" in handler] == []


# Inspect Claims


def test_claims_are_shown_decoded(viewer_client, license, key):
    inspection = viewer_client.get(url("claims", license.subscription, "primary")).context[
        "inspection"
    ]
    parsed = tokens.parse(key.token)
    assert [claim.name for claim in inspection.header] == list(parsed.header)
    assert [claim.name for claim in inspection.claims] == list(parsed.claims)
    assert json.loads(inspection.raw) == {"header": parsed.header, "payload": parsed.claims}
    dates = {claim.name: claim.at for claim in inspection.claims if claim.at}
    issued, expires = (datetime.fromtimestamp(parsed.claims[n], UTC) for n in ("iat", "exp"))
    assert dates == {"iat": issued, "nbf": issued, "exp": expires}
    assert not LogEntry.objects.exists()


def test_a_name_in_the_claims_is_text_and_no_markup(viewer_client, contoso: Tenant, signing_key):
    name = "<script>alert(1)</script>"
    license = make_license(subscription=make_subscription(tenant=contoso), holder_name=name)
    html = viewer_client.get(url("claims", license.subscription, "primary")).content.decode()
    assert (html.count(name), html.count("&lt;script&gt;alert(1)&lt;/script&gt;")) == (0, 4)
