"""Which pages are compressed, and that they stay what they are."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.accounts.allauth_internals import TOTP
from portal.accounts.models import User
from portal.tenants.models import Tenant
from portal.web.compression import MIN_BYTES
from tests.support.accounts import PASSWORD, TOTP_SECRET, prove
from tests.support.answers import HTMX, vary
from tests.support.factories import make_subscription
from tests.support.wire import csrf_token

pytestmark = pytest.mark.django_db

LOGIN, LIST = "/accounts/login/", "/subscriptions/"
GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def text(answer: Any) -> str:
    """Return a compressed page, having seen that it is one and that its length is right."""
    assert (answer["Content-Encoding"], "Accept-Encoding" in answer["Vary"]) == ("gzip", True)
    assert int(answer["Content-Length"]) == len(answer.content)
    return gzip.decompress(answer.content).decode()


def is_plain(answer: Any) -> bool:
    return "Content-Encoding" not in answer


def test_a_page_is_compressed_for_browsers_that_take_it(
    owner_client: Client, contoso: Tenant
) -> None:
    plain = owner_client.get(LIST)
    assert (is_plain(plain), "Accept-Encoding" in plain["Vary"]) == (True, True)
    small = owner_client.get(LIST, headers=GZIP)
    assert "Contoso" in text(small)
    assert len(small.content) < len(plain.content) / 2
    differing = {"X-Request-ID", "Content-Encoding", "Content-Length"}
    assert headers(small, differing) == headers(plain, differing)


def headers(answer: Any, left_out: set[str]) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in left_out}


def test_the_same_page_has_several_lengths(owner_client: Client) -> None:
    """So that nobody learns of its content by them (BREACH)."""
    lengths = {len(owner_client.get("/nothing", headers=GZIP).content) for _ in range(20)}
    assert len(lengths) > 1


def test_a_fragment_is_compressed_as_a_page_is(owner_client: Client, contoso: Tenant) -> None:
    for number in range(10):
        make_subscription(tenant=contoso, name=f"Subscription {number}")
    answer = owner_client.get(LIST, headers=HTMX | GZIP)
    fragment = text(answer)
    assert ("Subscription 9" in fragment, "<html" in fragment) == (True, False)
    assert vary(answer) == {"HX-Request", "Cookie"}


def test_what_is_small_stays_as_it_is(owner_client: Client) -> None:
    answer = owner_client.get("/tenant/leave/", headers=HTMX | GZIP)
    assert len(answer.content) <= MIN_BYTES
    assert (is_plain(answer), answer["Vary"]) == (True, "HX-Request, Cookie")


def test_pages_that_show_a_secret_stay_as_they_are(owner: User, owner_client: Client) -> None:
    set_up = reverse("mfa_activate_totp")
    pages = [
        owner_client.get(set_up, headers=GZIP),
        owner_client.post(set_up, {"code": "000000"}, headers=GZIP),
    ]
    TOTP.activate(owner, TOTP_SECRET)
    prove(owner_client)
    owner_client.post(reverse("mfa_generate_recovery_codes"))
    pages.append(owner_client.get(reverse("mfa_view_recovery_codes"), headers=GZIP))
    for page in pages:
        assert "data-secret" in page.text
        assert (is_plain(page), page["Cache-Control"]) == (True, "no-store, no-transform")


def test_every_template_that_shows_a_secret_belongs_to_such_a_page() -> None:
    folder = Path(settings.BASE_DIR / "templates")
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.html")
        if " data-secret" in path.read_text("utf-8")
    }
    assert found == {
        "admin/webhook_secret.html",
        "mfa/recovery_codes/index.html",
        "mfa/totp/activate_form.html",
        "service_tokens/shown.html",  # whose view marks its answer itself
        "webhooks/secret.html",
    }


def test_downloads_and_answers_to_programs_stay_as_they_are(
    owner_client: Client, signing_key: object
) -> None:
    for path in ("/logs/export/", "/.well-known/jwks.json", "/healthz/live"):
        assert is_plain(owner_client.get(path, headers=GZIP)), path


def test_static_files_are_compressed_once(client: Client) -> None:
    [file] = Path(settings.STATIC_ROOT).glob("app.*.css")
    answer: Any = client.get(f"/static/{file.name}", headers={"Accept-Encoding": "gzip"})
    sent = b"".join(answer.streaming_content)
    assert (answer["Content-Encoding"], gzip.decompress(sent)) == ("gzip", file.read_bytes())


def test_admin_and_error_pages_are_compressed(operator_client: Client) -> None:
    assert "<title>Operators " in text(operator_client.get("/admin/", headers=GZIP))
    missing = operator_client.get("/nothing", headers=GZIP)
    assert (missing.status_code, "<h1" in text(missing)) == (404, True)
    foreign = Client(enforce_csrf_checks=True).post(LOGIN, {}, headers=GZIP)
    assert (foreign.status_code, "<h1" in text(foreign)) == (403, True)


def test_forms_of_compressed_pages_are_taken(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    first, second = (csrf_token(text(client.get(LOGIN, headers=GZIP)).encode()) for _ in range(2))
    assert first != second  # each is masked anew
    form = {"login": owner.email, "password": PASSWORD, "csrfmiddlewaretoken": first}
    answer = client.post(LOGIN, form, headers=GZIP)
    assert (answer.status_code, answer["Location"]) == (302, "/")
