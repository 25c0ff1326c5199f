"""Pages of webhooks: what owners and managers see and do."""

import re
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.activity.actions import EVENT_WORDS, event_types
from portal.tenants.models import Role
from portal.webhooks import views
from portal.webhooks.delivering import claim, finish
from portal.webhooks.flows import MAX_ENDPOINTS, send_test
from portal.webhooks.models import EVERYTHING, TEST_EVENT, Endpoint
from portal.webhooks.sending import Answer
from portal.webhooks.telling import store
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
    assert "including events that later" in manager_client.get(address("detail", endpoint)).text


@pytest.mark.parametrize("name", ["off", "on", "delete", "test"])
def test_the_button_of_a_dialog_sends_its_form(name, manager_client, make_endpoint):
    page = manager_client.get(address(name, make_endpoint()))
    [button] = re.findall(r'type="submit">\s*([\w ]+?)\s*</button>', page.text.split("<main")[1])
    assert button == page.context["words"].button


def test_every_event_has_a_name_and_says_when_it_is_told():
    assert EVENT_WORDS.keys() == {*event_types(), TEST_EVENT}


def test_the_list_says_how_each_one_is(manager_client, make_endpoint, django_assert_num_queries):
    empty = manager_client.get(reverse("webhooks:list"))
    assert "No webhook yet" in empty.text
    endpoints = [make_endpoint(f"https://{n}.example") for n in range(MAX_ENDPOINTS)]
    endpoints[0].failures = 1
    endpoints[0].save()
    endpoints[1].off_at, endpoints[1].off_error = timezone.now(), "It answered with status 410."
    endpoints[1].save()
    page = manager_client.get(reverse("webhooks:list"))
    assert re.findall(r'data-tone="\w+">([\w ]+)<', page.text) == [
        "Failing",
        "Switched off",
        *["On"] * 8,
    ]
    assert "It answered with status 410." in page.text
    assert page.text.count("Switch on…") == page.text.count(address("on", endpoints[1])) == 1
    assert "as many as a tenant may have" in page.text


def test_what_the_receiver_answered_is_text(manager_client, make_endpoint, owner):
    endpoint = make_endpoint()
    send_test(endpoint=endpoint, actor=member_actor(owner))
    claimed = claim(endpoint)
    text, headers = "<script>alert(1)</script>", "webhook-timestamp: 1796000000"
    finish(claimed.delivery, Answer(code=500, text=text, milliseconds=3_312, headers=headers))
    page = manager_client.get(address("detail", endpoint))
    assert "webhook.test" in page.text
    assert "attempt 1" in page.text
    page = manager_client.get(reverse("webhooks:delivery", args=[endpoint.pk, claimed.delivery.pk]))
    assert "&lt;script&gt;alert(1)" in page.text
    assert claimed.request.event_id in page.text
    assert headers in page.text
    assert "3.3 s" in page.text
    at = timezone.localtime(claimed.delivery.attempts.get().at)
    assert f"{at:%H:%M:%S}" in page.text


def test_older_deliveries_are_on_further_pages(manager_client, make_endpoint, monkeypatch):
    monkeypatch.setattr(views, "DELIVERIES_PER_PAGE", 2)
    endpoint = make_endpoint()
    for number in range(3):
        store([endpoint], kind=f"kind.{number}", at=timezone.now(), data={}, tenant_id=None)
    first = manager_client.get(address("detail", endpoint))
    assert [row.event.type for row in first.context["deliveries"]] == ["kind.2", "kind.1"]
    [older] = re.findall(r'href="([^"]+after=[^"]+)"', first.text)
    second = manager_client.get(unescape(older))
    assert [row.event.type for row in second.context["deliveries"]] == ["kind.0"]


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
    chosen = {"url": URL, "events": ["key.reset", "key.deleted"], "reason": "For the CRM"}
    page = operator_client.post(add, chosen)
    [secret] = set(re.findall(r"whsec_[\w+/=]+", page.text))
    assert {"no-store", "no-transform"} < set(page["Cache-Control"].split(", "))
    vendors = Endpoint.objects.get(tenant=None)
    assert vendors.events == [each for each in event_types() if each in chosen["events"]]
    change = reverse("admin:portal_endpoint_change_webhook", args=[vendors.pk])
    form = operator_client.get(change).context["form"]
    assert (form["url"].value(), form["events"].value()) == (URL, vendors.events)
    operator_client.post(change, {**chosen, "events": ["key.renewed"]})
    vendors.refresh_from_db()
    assert vendors.events == ["key.renewed"]
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
    Endpoint.objects.filter(pk=own.pk).update(url="https://receiver.example/s3cret")
    listed = operator_client.get(reverse("admin:portal_endpoint_changelist"))
    page = operator_client.get(reverse("admin:portal_endpoint_change", args=[own.pk]))
    for text in (listed.text, page.text):
        assert "receiver.example" in text
        assert "gAAAA" not in text
        assert "s3cret" not in text
    assert URL in listed.text
    address = reverse("admin:portal_endpoint_changelist")
    assert operator_client.get(f"{address}?url=https://receiver.example/s3cret").status_code == 400


def test_operators_read_the_vendors_deliveries_and_send_them_again(
    operator_client, make_endpoint, owner
):
    own, vendors = make_endpoint(), make_endpoint("https://vendor.example", tenant=None)
    for endpoint in (own, vendors):
        send_test(endpoint=endpoint, actor=member_actor(owner))
        answer = Answer(code=200, text="<b>thanks</b>", headers="x-sent: 1")
        finish(claim(endpoint).delivery, answer)
    of_tenant, of_vendor = own.deliveries.get(), vendors.deliveries.get()
    page = operator_client.get(reverse("admin:portal_delivery_change", args=[of_vendor.pk])).text
    assert "&quot;type&quot;: &quot;webhook.test&quot;" in page
    assert "&lt;b&gt;thanks" in page
    assert "x-sent: 1" in page
    page = operator_client.get(reverse("admin:portal_delivery_change", args=[of_tenant.pk])).text
    assert "thanks" not in page
    again = "admin:portal_delivery_send_again"
    foreign = operator_client.post(reverse(again, args=[of_tenant.pk]), {"reason": "Lost"})
    assert foreign.status_code == 404
    done = operator_client.post(reverse(again, args=[of_vendor.pk]), {"reason": "Lost"})
    assert done.status_code == 200
    [waiting] = vendors.deliveries.waiting()
    assert (waiting.event, waiting.is_resent) == (of_vendor.event, True)
    assert operator_client.get(reverse(again, args=[waiting.pk])).status_code == 404


def test_what_an_operator_chose_comes_back_after_the_proof(client_for, operator):
    client, add = client_for(operator, at=stale()), reverse("admin:portal_endpoint_add_webhook")
    chosen = {"url": URL, "events": ["key.reset", "key.deleted"], "reason": "For the CRM"}
    assert client.post(add, chosen).status_code == 302
    assert client.get(add).context["form"].initial == chosen
