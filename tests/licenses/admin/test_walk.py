"""The walk over every address of the admin, as each kind of operator: who may, and no secret."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from licenses import keys
from licenses.models import LicenseKey, SigningKey
from portal.accounts.models import User
from portal.activity.models import LogEntry
from tests.support.admin_pages import ADDED, EDITED, address, fill, make_row_in_log
from tests.support.operator_actions import operator_of

ADDS = {
    "support": set(),
    "sales": {"tenant", "subscription"},
    "security": set(),
    "superuser": {model._meta.model_name for model in ADDED},
}
PAGES = ("changelist", "add", "export", "import", "change", "history", "delete")


def addresses() -> Iterator[tuple[str, str, str]]:
    """Yield (model, page, address) of every page that a link can lead to."""
    for model in admin.site._registry:
        row = model._default_manager.first()
        for pattern in admin.site.get_model_admin(model).get_urls():
            name = str(pattern.name or "")
            page = name.rpartition("_")[2]
            if page not in PAGES:
                continue
            arguments = [row.pk] if page in {"change", "history", "delete"} else []
            yield str(model._meta.model_name), page, address(model, page, *arguments)


@pytest.fixture
def client_of(operator_client: Client):
    make_row_in_log(operator_client)
    return lambda who: operator_client if who == "superuser" else operator_of(who)


@pytest.fixture
def numbers(signing_key: SigningKey) -> list[str]:
    """What of the private key must be nowhere: its numbers, decimal, hexadecimal and base64url."""
    private = keys._private_key(bytes(signing_key.private_key), bytes(signing_key.certificate))
    numbers = private.private_numbers()
    found = []
    for number in (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp):
        raw = number.to_bytes((number.bit_length() + 7) // 8)
        base64 = urlsafe_b64encode(raw).decode().rstrip("=")
        found += [str(number), raw.hex(), raw.hex().upper(), base64]
    return found


@pytest.mark.parametrize(
    "who",
    [
        "support",
        pytest.param("sales", marks=pytest.mark.sweep),
        pytest.param("security", marks=pytest.mark.sweep),
        "superuser",
    ],
)
def test_every_page_answers_as_declared_and_tells_no_secret(
    who, client_of, signing_key, numbers, caplog
):
    fill()
    client = client_of(who)
    tokens = [token for token in LicenseKey.objects.values_list("token", flat=True) if token]
    seen = set()
    for model, page, url in addresses():
        response = client.get(url)
        seen.add(page)
        expected = {200, 302}
        if page == "delete" or (page in {"add", "import"} and model not in ADDS[who]):
            expected = {403}
        assert response.status_code in expected, (who, url)
        if page == "history":
            assert client.get(response.url).status_code == 200, (who, response.url)
        text = (
            b"".join(response.streaming_content) if response.streaming else response.content
        ).decode()
        assert not re.search(r"-----BEGIN (?!CERTIFICATE|PUBLIC)|PRIVATE KEY", text), url
        assert [secret for secret in [*numbers, *tokens] if secret in text] == [], url
    assert seen == set(PAGES)
    told = "".join(str(entry.details) for entry in LogEntry.objects.all())
    assert [secret for secret in numbers if secret in told] == []
    assert [secret for secret in numbers if secret in caplog.text] == []


@pytest.mark.parametrize("who", ["support", "sales", "security"])
def test_what_may_not_be_changed_is_not_changed_by_posting_either(who, client_of, signing_key):
    fill()
    client = client_of(who)
    changes = {"sales": {"tenant", "subscription"}, "security": {"user"}}.get(who, set())
    for model in EDITED:
        row = model.objects.exclude(**{"is_staff": True} if model is User else {"pk": None}).first()
        status = client.post(address(model, "change", row.pk), {"name": "Taken"}).status_code
        assert status == (200 if model._meta.model_name in changes else 403), model
    assert client.get(reverse("admin:index")).status_code == 200
