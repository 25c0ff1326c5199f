"""The way from a subscription to a running terminal: one step at a time, each seen by itself."""

from typing import Any

from django.utils import timezone

from licenses.flows.download import download_key
from licenses.flows.generate import generate_keys
from licenses.models import CheckCount, License, Slot, Usage
from portal.core.actors import SYSTEM
from subscriptions.flows.activate import activate_subscription
from subscriptions.models import State
from tests.support.factories import make_subscription

LIST = "/subscriptions/"
FILLED = '<a class="btn" '


def step(client: Any) -> int | None:
    visit = client.get(LIST).context["first_visit"]
    return visit and visit.step


def test_every_step_is_noticed_and_the_last_one_ends_it(
    manager_client, viewer_client, contoso, signing_key
):
    assert step(manager_client) == 0
    subscription = make_subscription(tenant=contoso, state=State.PENDING)
    assert step(manager_client) == 1
    html = viewer_client.get(LIST).content.decode()
    assert html.count("A manager or owner of Contoso does this.") == 1
    activate_subscription(subscription=subscription, actor=SYSTEM)
    assert step(manager_client) == 2
    html = manager_client.get(LIST).content.decode()
    assert html.count(f'href="{LIST}{subscription.pk}/generate/"') == 1
    subscription.refresh_from_db()
    generate_keys(
        subscription=subscription,
        actor=SYSTEM,
        usage=Usage.ORGANIZATIONAL,
        holder_name="Contoso",
    )
    assert step(manager_client) == 3
    license = License.objects.get()
    download_key(license=license, slot=Slot.PRIMARY, actor=SYSTEM)
    assert step(manager_client) == 4
    now = timezone.now()
    CheckCount.objects.create(
        tenant=contoso,
        license_key=license.keys.get(slot=Slot.PRIMARY),
        hour=now,
        result="valid",
        count=1,
        last_at=now,
    )
    assert step(manager_client) is None


def test_one_button_is_filled(manager_client, contoso):
    html = manager_client.get(LIST).content.decode()
    assert html.count('<button class="btn" type="submit">\n    Start community') == 1
    make_subscription(tenant=contoso, state=State.PENDING)
    main = manager_client.get(LIST).content.decode().split("<main")[1]
    assert main.count(FILLED + "href") == 1


def test_who_has_two_or_a_suspended_one_needs_no_help(manager_client, contoso):
    make_subscription(tenant=contoso, state=State.SUSPENDED)
    assert step(manager_client) is None
    make_subscription(tenant=contoso)
    assert step(manager_client) is None
