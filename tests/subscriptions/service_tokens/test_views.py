"""Owners make, rotate and revoke service tokens on pages; a secret is shown once."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.core import token_format
from portal.tenants.models import Tenant
from subscriptions.service_tokens.models import Scope, ServiceToken
from tests.support.factories import make_subscription
from tests.support.service_tokens import make_service_token

pytestmark = pytest.mark.django_db

LIST, MAKE = "/tenant/tokens/", "/tenant/tokens/new/"
DAY = timedelta(days=1)


def text_of(answer: Any) -> str:
    """Return what a page says, in words."""
    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def filled(client: Client, **fields: Any) -> dict[str, Any]:
    """Return what the form posts, filled in."""
    form = client.get(MAKE).context["form"]
    values = {
        "id": form["id"].value(),
        "name": "Berlin",
        "scopes": ["keys:renew"],
        "reach": "all",
        "days": 90,
    }
    return values | fields


def secrets_in(answer: Any) -> list[str]:
    return sorted({*re.findall(token_format.SERVICE_TOKEN, answer.content.decode())})


def test_a_secret_is_shown_once_and_by_no_cache_and_uncompressed(owner_client: Client) -> None:
    data = filled(owner_client)
    shown = owner_client.post(MAKE, data, headers={"accept-encoding": "gzip"})
    [raw] = secrets_in(shown)
    assert (shown.status_code, token_format.is_whole(raw)) == (200, True)
    assert shown["Cache-Control"] == "no-store, no-transform"
    assert "Content-Encoding" not in shown
    again = owner_client.post(MAKE, data)
    assert (again.status_code, secrets_in(again)) == (422, [])
    assert "Berlin was made already" in text_of(again)
    token = ServiceToken.objects.get()
    pages = (LIST, MAKE, "/logs/", reverse("service_tokens:rotate", args=[token.pk]))
    assert [secrets_in(owner_client.get(page)) for page in pages] == [[]] * len(pages)


def test_what_was_typed_survives_the_proof(contoso: Tenant, owner: User, client_for: Any) -> None:
    client = client_for(owner, at=timezone.now() - timedelta(hours=1))
    data = filled(client, scopes=["keys:check", "keys:reset"], reach="chosen", networks="192.0.2.1")
    answer = client.post(MAKE, data)
    assert answer["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': MAKE})}"
    form = client.get(MAKE).context["form"]
    names = ("id", "scopes", "reach", "networks", "name")
    assert [form[name].value() for name in names] == [data[name] for name in names]
    assert ServiceToken.objects.count() == 0


def test_subscriptions_are_chosen_by_name_or_identifier(
    contoso: Tenant, owner_client: Client
) -> None:
    first, second = (make_subscription(tenant=contoso, name=name) for name in ("Größe", "Two"))
    lines = f"größe\r\n\r\n {second.pk} \r\nGröße"
    answer = owner_client.post(MAKE, filled(owner_client, reach="chosen", subscriptions=lines))
    assert (answer.status_code, set(ServiceToken.objects.get().chosen.all())) == (
        200,
        {first, second},
    )


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"reach": "chosen"}, "subscriptions", "Enter the subscriptions that the token reaches."),
        ({"subscriptions": "Two"}, "subscriptions", "Choose “Only those below”, or leave this "),
        (
            {"reach": "chosen", "subscriptions": "Foreign"},
            "subscriptions",
            "There is no subscription “Foreign”.",
        ),
        (
            {"reach": "chosen", "subscriptions": "Twin"},
            "subscriptions",
            "Several subscriptions are called “Twin”. Enter the identifier.",
        ),
        ({"networks": "everywhere"}, "networks", "“everywhere” is no network, such as"),
        ({"days": "401"}, "days", "Ensure this value is less than or equal to 400."),
        ({"scopes": []}, "scopes", "Choose what the token may do."),
        ({"id": "x"}, "id", "Enter a valid UUID."),
    ],
)
def test_errors_stand_at_their_field(
    contoso: Tenant, owner_client: Client, fields: Any, field: str, sentence: str
) -> None:
    make_subscription(name="Foreign")
    for _ in range(2):
        make_subscription(tenant=contoso, name="Twin")
    answer = owner_client.post(MAKE, filled(owner_client, **fields))
    assert answer.status_code == 422
    assert answer.context["form"].errors[field][0].startswith(sentence)
    assert ServiceToken.objects.count() == 0


def test_the_list_tells_state_use_and_maker(contoso: Tenant, owner_client: Client) -> None:
    now = timezone.now()
    make_service_token(tenant=contoso, name="Unused", scopes=[Scope.LOG_READ])
    make_service_token(
        tenant=contoso,
        name="Used",
        networks=["192.0.2.0/24"],
        only=[make_subscription(tenant=contoso, name="Field tools")],
        last_used_at=now,
        last_used_from="192.0.2.9",
    )
    make_service_token(
        tenant=contoso, name="Gone", revoked_at=now, revoked_by_name="Bo", revoked_reason="Leaked."
    )
    working, _, ended = text_of(owner_client.get(LIST)).partition("Tokens that ended")
    assert [name in working for name in ("Unused", "Used", "Gone")] == [True, True, False]
    for words in ("Field tools only from 192.0.2.0/24", "from 192.0.2.9", "made by Ada on"):
        assert words in working
    assert "by Bo Leaked." in ended
    assert "it goes on working when they leave" in working


def test_the_list_costs_as_many_queries_for_many(contoso: Tenant, owner_client: Client) -> None:
    one = make_subscription(tenant=contoso)
    owner_client.get(LIST)  # which notes the session
    counts = []
    for number in range(2):
        for _ in range(1 + 9 * number):
            make_service_token(tenant=contoso, only=[one])
            make_service_token(tenant=contoso, revoked_at=timezone.now())
        with CaptureQueriesContext(connection) as ran:
            owner_client.get(LIST)
        counts.append(len(ran))
    assert counts[0] == counts[1]


def test_a_rotation_shows_the_new_secret_and_until_when_the_old_one_works(
    contoso: Tenant, owner_client: Client
) -> None:
    token, old = make_service_token(tenant=contoso)
    address = reverse("service_tokens:rotate", args=[token.pk])
    shown = owner_client.post(address, {"overlap": "0"})
    [raw] = secrets_in(shown)
    assert raw != old
    assert f"which ends in {old[-4:]} , has stopped working." in text_of(shown)
    again = owner_client.post(address, {"overlap": "0"})
    assert (again.status_code, secrets_in(again)) == (422, [])
    assert "was rotated on" in text_of(again)


def test_revoking_names_every_token_before_it_that_still_works(
    contoso: Tenant, owner_client: Client
) -> None:
    new, _ = make_service_token(tenant=contoso)
    token, now = new, timezone.now()
    for ending, overlap_ends_at in [("Ab1z", now + DAY), ("Over", now), ("Cd2y", now + DAY)]:
        token, _ = make_service_token(
            tenant=contoso, successor=token, overlap_ends_at=overlap_ends_at, ending=ending
        )
    address = reverse("service_tokens:revoke", args=[new.pk])
    shown = text_of(owner_client.get(address))
    assert [e for e in ("Ab1z", "Over", "Cd2y") if f"which ends in {e} , still works" in shown] == [
        "Ab1z",
        "Cd2y",
    ]
    answer = owner_client.post(address, {"reason": "Leaked."}, follow=True)
    assert "Pipeline was revoked. Programs that use it are refused." in answer.content.decode()


def test_the_page_of_the_tenant_leads_owners_there(
    owner_client: Client, manager_client: Client
) -> None:
    found = [
        LIST in client.get("/tenant/").content.decode() for client in (owner_client, manager_client)
    ]
    assert found == [True, False]


def test_a_form_for_another_tenant_makes_nothing(owner_client: Client, fabrikam: Tenant) -> None:
    answer = owner_client.post(MAKE, filled(owner_client, tenant=str(fabrikam.pk)))
    assert (answer.status_code, ServiceToken.objects.count()) == (404, 0)
