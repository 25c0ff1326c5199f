"""Pages of webhooks: what owners and managers see and do."""

import re

import pytest
from django.urls import reverse

from portal.activity.actions import EVENT_WORDS, event_types
from portal.tenants.models import Role
from portal.webhooks.delivering import claim, finish
from portal.webhooks.flows import MAX_ENDPOINTS, send_test
from portal.webhooks.models import EVERYTHING, TEST_EVENT, Endpoint
from portal.webhooks.sending import Answer
from subscriptions.flows.rename import rename_subscription
from tests.support.accounts import make_member, stale
from tests.support.factories import make_subscription
from tests.support.people import member_actor

pytestmark = pytest.mark.django_db
URL = "https://receiver.example/hook"


def address(name, endpoint):
    return reverse(f"webhooks:{name}", args=[endpoint.pk])


def test_the_secret_is_shown_once_and_kept_nowhere(manager_client):
    page = manager_client.post(reverse("webhooks:add"), {"url": URL, "events": ["key.reset"]})
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store, no-transform")
    [secret] = set(re.findall(r"whsec_[\w+/=]+", page.text))
    endpoint = Endpoint.objects.get()
    assert (endpoint.url, endpoint.events, endpoint.created_by_name) == (
        URL,
        ["key.reset"],
        "Manager",
    )
    for name in ("detail", "change", "rotate"):
        assert secret not in manager_client.get(address(name, endpoint)).text


def test_what_is_wrong_stands_at_its_field(manager_client):
    page = manager_client.post(reverse("webhooks:add"), {"url": "http://x.example"})
    assert page.status_code == 422
    assert page.context["form"].errors == {
        "url": ["The address must begin with https://."],
        "events": ["Choose at least one event."],
    }


def test_an_old_proof_is_not_enough_and_what_was_typed_comes_back(client_for, manager):
    client = client_for(manager, at=stale())
    typed = {"url": URL, "events": ["key.reset", "key.deleted"]}
    answer = client.post(reverse("webhooks:add"), typed)
    assert (answer.status_code, Endpoint.objects.count()) == (302, 0)
    form = client.get(reverse("webhooks:add")).context["form"]
    assert form.initial == typed


def test_every_event_is_ticked_at_first(manager_client):
    form = manager_client.get(reverse("webhooks:add")).context["form"]
    assert form.initial["events"] == event_types()


def test_everything_stands_for_all_events_and_alone(manager_client, contoso, owner):
    chosen = {"url": URL, "events": ["key.reset", EVERYTHING]}
    manager_client.post(reverse("webhooks:add"), chosen)
    endpoint = Endpoint.objects.get()
    assert endpoint.events == [EVERYTHING]
    rename_subscription(
        subscription=make_subscription(tenant=contoso), actor=member_actor(owner), name="Lab"
    )
    assert [each.event.type for each in endpoint.deliveries.all()] == ["subscription.changed"]
    form = manager_client.get(address("change", endpoint)).context["form"]
    assert form.initial["events"] == [EVERYTHING]
    assert "also events that later" in manager_client.get(address("detail", endpoint)).text


def test_every_event_has_a_name_and_says_when_it_is_told():
    assert EVENT_WORDS.keys() == {*event_types(), TEST_EVENT}


def test_the_list_says_how_each_one_is(manager_client, make_endpoint, django_assert_num_queries):
    empty = manager_client.get(reverse("webhooks:list"))
    assert "No webhook yet" in empty.text
    endpoints = [make_endpoint(f"https://{n}.example") for n in range(MAX_ENDPOINTS)]
    endpoints[0].failures = 1
    endpoints[0].save()
    page = manager_client.get(reverse("webhooks:list"))
    assert re.findall(r'data-tone="\w+">([\w ]+)<', page.text) == ["Failing", *["On"] * 9]
    assert "as many as a tenant may have" in page.text


def test_what_the_receiver_answered_is_text(manager_client, make_endpoint, owner):
    endpoint = make_endpoint()
    send_test(endpoint=endpoint, actor=member_actor(owner))
    claimed = claim(endpoint)
    finish(claimed.delivery, Answer(code=500, text="<script>alert(1)</script>", milliseconds=12))
    page = manager_client.get(address("detail", endpoint))
    assert "webhook.test" in page.text
    assert "attempt 1" in page.text
    page = manager_client.get(reverse("webhooks:delivery", args=[endpoint.pk, claimed.delivery.pk]))
    assert "&lt;script&gt;alert(1)" in page.text
    assert claimed.request.event_id in page.text
    assert "12 ms" in page.text


def test_of_a_double_click_the_second_rotates_nothing(manager_client, make_endpoint):
    endpoint = make_endpoint()
    seen = {"seen": endpoint.secret_made_at.isoformat()}
    first = manager_client.post(address("rotate", endpoint), seen)
    assert "The old secret signs too until" in first.text
    second = manager_client.post(address("rotate", endpoint), seen)
    assert second.status_code == 422
    assert "after you opened this page" in second.text


def test_a_dialog_is_a_part_and_closes(manager_client, make_endpoint):
    endpoint, htmx = make_endpoint(), {"HX-Request": "true"}
    part = manager_client.get(address("off", endpoint), headers=htmx)
    assert "<html" not in part.text
    done = manager_client.post(address("off", endpoint), headers=htmx)
    assert "webhook-changed" in done["HX-Trigger"]
    assert "Switch on…" in manager_client.get(address("detail", endpoint)).text


def test_another_tenants_webhook_does_not_exist(
    stranger_client, make_endpoint, owner, contoso, fabrikam, stranger, client_for
):
    endpoint = make_endpoint()
    assert stranger_client.get(address("detail", endpoint)).status_code == 404
    vendors = make_endpoint("https://vendor.example", tenant=None)
    assert stranger_client.get(address("detail", vendors)).status_code == 404
    both = make_member(tenant=fabrikam, role=Role.OWNER, email="both@contoso.example")
    contoso.memberships.create(user=both, role=Role.OWNER)
    assert "Switch to Contoso" in client_for(both).get(address("detail", endpoint)).text


def test_the_page_of_the_tenant_leads_there_for_managers(manager_client, viewer_client):
    link = f'href="{reverse("webhooks:list")}"'
    assert link in manager_client.get(reverse("tenant:detail")).text
    assert link not in viewer_client.get(reverse("tenant:detail")).text


def test_operators_set_the_vendors_own_and_see_the_others(operator_client, make_endpoint):
    own = make_endpoint()
    add = reverse("admin:portal_endpoint_add_webhook")
    page = operator_client.post(add, {"url": URL, "reason": "For the CRM"})
    [secret] = set(re.findall(r"whsec_[\w+/=]+", page.text))
    assert {"no-store", "no-transform"} < set(page["Cache-Control"].split(", "))
    vendors = Endpoint.objects.get(tenant=None)
    assert vendors.events == event_types()
    shown = operator_client.get(reverse("admin:portal_endpoint_change", args=[vendors.pk]))
    assert secret not in shown.text
    for name, expected in (("rotate_secret", 200), ("send_test", 200), ("switch_off", 200)):
        act = reverse(f"admin:portal_endpoint_{name}", args=[vendors.pk])
        answer = operator_client.post(act, {"reason": "Because"})
        assert (name, answer.status_code) == (name, expected)
        assert ("whsec_" in answer.text) == (name == "rotate_secret")
        foreign = reverse(f"admin:portal_endpoint_{name}", args=[own.pk])
        assert operator_client.post(foreign, {"reason": "Because"}).status_code == 404
    assert operator_client.get(reverse("admin:portal_delivery_changelist")).status_code == 200
    listed = operator_client.get(reverse("admin:portal_endpoint_changelist"))
    assert "gAAAA" not in listed.text
