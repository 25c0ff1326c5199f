"""Reset over HTTP, and the proof that Reset and Delete ask for."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses import tokens
from licenses.flows.reset import Overlap, reset_key
from licenses.flows.revoke import revoke_key
from licenses.models import KeyState, License, LicenseKey, Slot
from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment
from subscriptions.models import Plan, Subscription
from tests.support.accounts import PASSWORD, sign_in, stale
from tests.support.answers import HTMX, events, messages_of, refusals, shape
from tests.support.factories import make_key, make_license, make_subscription

COLLEAGUE = Actor(kind=ActorKind.MEMBER, name="Colleague")


def url(name: str, subscription: Subscription, *slot: str) -> str:
    return reverse(f"licenses:{name}", args=[subscription.pk, *slot])


def detail(subscription: Subscription) -> str:
    return reverse("subscriptions:detail", args=[subscription.pk])


@pytest.fixture
def license(contoso, signing_key) -> License:
    subscription = make_subscription(tenant=contoso, name="Field tools")
    return make_license(subscription=subscription, holder_name="Contoso")


@pytest.fixture
def key(license) -> LicenseKey:
    return license.keys.get(slot=Slot.PRIMARY)


def reset_data(key: LicenseKey, overlap: str = "now") -> dict[str, Any]:
    return {"overlap": overlap, "expected_jti": key.jti}


def claims(key: LicenseKey) -> dict[str, Any]:
    """Return the claims but those that every key has anew."""
    own = {"jti", "iat", "nbf", "exp", "status"}
    return {k: v for k, v in tokens.parse(key.token).claims.items() if k not in own}


def test_reset_replaces_one_key_and_leads_back(manager_client, license, key):
    license.keys.update(issued_at=timezone.now() - timedelta(minutes=5))
    other = license.keys.get(slot=Slot.SECONDARY)
    answer = manager_client.post(url("reset", license.subscription, "primary"), reset_data(key))
    assert (answer.status_code, answer.url) == (302, detail(license.subscription))
    assert messages_of(answer) == ["The primary key was reset."]
    key.refresh_from_db()
    assert key.state == KeyState.REPLACED
    new = license.keys.current().get(slot=Slot.PRIMARY)
    assert new.jti != key.jti
    assert license.keys.current().get(slot=Slot.SECONDARY).token == other.token


def test_reset_tells_an_htmx_page_by_an_event(manager_client, license, key):
    address = url("reset", license.subscription, "primary")
    answer = manager_client.post(address, reset_data(key, "week"), headers=HTMX)
    assert (answer.status_code, events(answer)) == (200, ["close-dialog", "subscription-changed"])
    key.refresh_from_db()
    assert key.state == KeyState.SUPERSEDED
    assert round((key.accepted_until - key.replaced_at) / timedelta(days=1), 3) == 7


def test_reset_ignores_whatever_else_is_posted(manager_client, license, key, fabrikam):
    forged = {
        "usage": "per",
        "holder_name": "Mallory",
        "name": "Mallory",
        "country": "DEU",
        "tenant": fabrikam.pk,
        "tid": fabrikam.pk,
        "sub": uuid4(),
        "days": 9999,
        "expires_at": "2099-01-01",
        "plan_urn": "urn:oneimlx:lic:plan:isvu",
        "authorized_application_id": uuid4(),
        "jti": uuid4(),
        "slot": "secondary",
    }
    before = License.objects.values().get()
    address = url("reset", license.subscription, "primary")
    assert manager_client.post(address, forged | reset_data(key)).status_code == 302
    new = license.keys.current().get(slot=Slot.PRIMARY)
    assert claims(new) == claims(key)
    assert new.expires_at - new.issued_at == timedelta(days=31)
    assert str(new.jti) != str(forged["jti"])
    assert License.objects.values().get() == before


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_reset_with_no_overlap_that_exists_is_refused(headers, manager_client, license, key):
    answer = manager_client.post(
        url("reset", license.subscription, "primary"), reset_data(key, "year"), headers=headers
    )
    assert shape(answer) == (422, "fragment" if headers else "page", "Reset primary key")
    assert list(answer.context["form"].errors) == ["overlap"]
    assert license.keys.count() == 2


def test_nothing_is_asked_of_a_key_that_is_revoked(manager_client, license, key):
    revoke_key(key=key, actor=COLLEAGUE, reason="Leaked")
    address = url("reset", license.subscription, "primary")
    form = manager_client.get(address).context["form"]
    assert [field.name for field in form.hidden_fields()] == ["expected_jti", "overlap"]
    assert manager_client.post(address, reset_data(key, "week")).status_code == 302
    key.refresh_from_db()
    assert (key.state, key.accepted_until) == (KeyState.REPLACED, None)


def test_a_stale_reset_is_told_who_was_first(manager_client, license, key):
    new = reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=COLLEAGUE,
        overlap=Overlap.NOW,
        expected_jti=key.jti,
    )
    answer = manager_client.post(url("reset", license.subscription, "primary"), reset_data(key))
    assert answer.status_code == 422
    assert refusals(answer) == [
        (
            f"Colleague reset the primary key on {moment(new.issued_at)}. Nothing was changed: "
            "look at the new key first."
        )
    ]
    assert license.keys.current().get(slot=Slot.PRIMARY).jti == new.jti


def test_reset_says_that_an_earlier_overlap_ends(manager_client, license):
    old = make_key(license=license, state=KeyState.SUPERSEDED)
    address = url("reset", license.subscription, "primary")
    shown = manager_client.get(address)
    assert shown.context["old"] == old
    assert shown.content.decode().count('data-variant="danger"') == 1
    assert shown.context["form"]["overlap"].label.startswith("When does the key of ")
    other = url("reset", license.subscription, "secondary")
    assert manager_client.get(other).context["old"] is None


@pytest.mark.parametrize("method", ["get", "post"])
def test_reset_is_refused_after_a_change_of_plan(method, manager_client, license, key):
    subscription = license.subscription
    subscription.plan = Plan.objects.get(code="smb-yearly")
    subscription.save()
    answer = getattr(manager_client, method)(url("reset", subscription, "primary"), reset_data(key))
    assert (answer.status_code, answer.context["sentence"]) == (
        422,
        (
            "The plan of this subscription has changed since the license keys were generated. "
            "Delete them and generate new ones to get keys of the new plan."
        ),
    )


# Recent proof


@pytest.fixture
def stale_client(manager) -> Client:
    """A manager who signed in 16 minutes ago."""
    return sign_in(Client(), manager, at=stale())


def proof_before(address: str) -> str:
    return f"/accounts/reauthenticate/?next={quote(address, safe='')}"


@pytest.mark.parametrize("action", [("reset", "primary"), ("delete",)])
def test_the_proof_comes_before_the_form(action, stale_client, license):
    name, *slot = action
    address = url(name, license.subscription, *slot)
    answer = stale_client.get(address)
    assert (answer.status_code, answer.url) == (302, proof_before(address))
    dialog = stale_client.get(address, headers=HTMX)
    assert (dialog.content, dialog["HX-Redirect"]) == (b"", proof_before(address))
    back = prove(stale_client, answer)
    assert (back.redirect_chain, back.context["form"].is_bound) == ([(address, 302)], False)
    assert stale_client.get(address, headers=HTMX).status_code == 200


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=14, seconds=50), 302), (timedelta(minutes=15), 302)],
)
def test_a_proof_counts_for_15_minutes(age, status, manager, license, key):
    client = sign_in(Client(), manager, at=timezone.now() - age)
    client.post(url("reset", license.subscription, "primary"), reset_data(key))
    assert license.keys.count() == (3 if age < timedelta(minutes=15) else 2)


def test_a_stale_proof_leads_to_a_new_one(stale_client, license, key):
    address = url("reset", license.subscription, "primary")
    answer = stale_client.post(address, reset_data(key, "week"))
    assert (answer.status_code, answer.url) == (302, proof_before(address))
    asked = stale_client.get(answer.url)
    shown = " ".join(asked.content.decode().split())
    assert "then you continue where you were, with what you chose." in shown
    assert license.keys.count() == 2


def test_a_stale_proof_leads_an_htmx_page_to_a_new_one(stale_client, license, key):
    address = url("reset", license.subscription, "primary")
    answer = stale_client.post(address, reset_data(key), headers=HTMX)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["HX-Redirect"] == proof_before(address)
    assert license.keys.count() == 2


def prove(client: Client, answer: Any) -> Any:
    """Give the password where the answer leads; return the page that follows."""
    return client.post(answer.url, {"password": PASSWORD}, follow=True)


def test_after_the_proof_the_choice_is_filled_in_once_and_pressed_again(stale_client, license, key):
    address = url("reset", license.subscription, "primary")
    back = prove(stale_client, stale_client.post(address, reset_data(key, "week")))
    assert back.redirect_chain == [(address, 302)]
    assert back.context["form"]["overlap"].value() == "week"
    assert license.keys.count() == 2
    again = stale_client.get(address)
    assert again.context["form"]["overlap"].value() == "now"
    assert stale_client.post(address, reset_data(key, "week")).url == detail(license.subscription)
    assert license.keys.count() == 3


def test_after_the_proof_the_typed_name_is_filled_in(stale_client, license):
    address = url("delete", license.subscription)
    back = prove(stale_client, stale_client.post(address, {"confirmation": "Field tools"}))
    assert back.context["form"]["confirmation"].value() == "Field tools"
    assert License.objects.not_deleted().count() == 1


def test_what_was_typed_is_filled_in_on_its_own_page_only(stale_client, license, key):
    primary, secondary = (url("reset", license.subscription, slot) for slot in Slot)
    asked = stale_client.post(primary, reset_data(key, "week"))
    stale_client.post(asked.url, {"password": PASSWORD})
    assert stale_client.get(secondary).context["form"]["overlap"].value() == "now"
    assert stale_client.get(primary).context["form"]["overlap"].value() == "week"


def test_a_kept_choice_does_not_outlive_a_reset_by_somebody_else(stale_client, license, key):
    """The key that was seen is kept too: pressing again is refused, not applied to the new key."""
    address = url("reset", license.subscription, "primary")
    asked = stale_client.post(address, reset_data(key))
    reset_key(
        license=license,
        slot=Slot.PRIMARY,
        actor=COLLEAGUE,
        overlap=Overlap.NOW,
        expected_jti=key.jti,
    )
    form = prove(stale_client, asked).context["form"]
    posted = {name: form[name].value() for name in form.fields}
    assert stale_client.post(address, posted).status_code == 422
    assert license.keys.count() == 3


def test_a_wrong_password_is_no_proof(stale_client, license, key):
    address = url("reset", license.subscription, "primary")
    asked = stale_client.post(address, reset_data(key))
    assert stale_client.post(asked.url, {"password": "wrong"}).status_code == 200
    assert stale_client.post(address, reset_data(key)).url == asked.url


def test_the_role_comes_before_the_proof(viewer, license, key):
    client = sign_in(Client(), viewer, at=stale())
    address = url("reset", license.subscription, "primary")
    assert client.post(address, reset_data(key)).status_code == 403


def test_generate_and_end_overlap_ask_for_no_proof(stale_client, contoso, license):
    make_key(license=license, state=KeyState.SUPERSEDED)
    address = url("end_overlap", license.subscription, "primary")
    seen = {"expected_jti": license.keys.current().get(slot="primary").jti}
    ended = stale_client.post(address, seen)
    assert ended.url == detail(license.subscription)
    empty = make_subscription(tenant=contoso)
    made = stale_client.post(url("generate", empty), {"usage": "org", "holder_name": "Contoso"})
    assert made.url == detail(empty)
