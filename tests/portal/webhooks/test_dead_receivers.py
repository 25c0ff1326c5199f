"""Ten dead receivers among a hundred: how long the others wait, with the dead ones and without."""

import socket
import statistics
import time
from contextlib import ExitStack

import pytest
from django.db import transaction
from django.utils import timezone

from portal.activity.actions import Action, event_types
from portal.activity.entries import record
from portal.core.actors import SYSTEM
from portal.webhooks.delivering import deliver_due
from portal.webhooks.flows import MAX_ENDPOINTS, add_endpoint
from portal.webhooks.models import Delivery, Endpoint
from tests.support.factories import make_tenant

pytestmark = [pytest.mark.sweep, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EVENTS = 3
MAX_SECONDS = 30


def test_ten_dead_receivers_among_a_hundred_delay_the_others_by_30_seconds_at_most(
    receiver, capsys
):
    """Dead ones accept connections and never answer: worse than those that refuse.

    All are new at first, when nobody knows which ones are dead; then the same once more.
    """
    arrived: list[float] = []
    receiver.before_answer = lambda got: arrived.append(time.monotonic())
    with ExitStack() as stack:
        tenants = [make_tenant(name=f"Customer {number}") for number in range(10)]
        for number, tenant in enumerate(tenants):
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            for place in range(MAX_ENDPOINTS):
                url = f"{receiver.url}/{number}/{place}"
                if not place:
                    url = f"https://localhost:{silent.getsockname()[1]}/dead"
                add_endpoint(tenant=tenant, url=url, events=event_types(), actor=SYSTEM)
        dead = Endpoint.objects.filter(url__endswith="/dead")

        def delays() -> list[float]:
            for tenant in tenants:
                for _ in range(EVENTS):
                    with transaction.atomic():
                        record(actor=SYSTEM, action=Action.KEYS_DELETED, tenant_id=tenant.pk)
            arrived.clear()
            begun = time.monotonic()
            assert deliver_due() == 90 * EVENTS
            return [at - begun for at in arrived]

        found = {"10 dead, all new": delays()}
        dead.update(retry_at=timezone.now())
        found["10 dead, known"] = delays()
        assert Delivery.objects.waiting().filter(first_tried_at__lte=timezone.now()).count() == 10
        dead.update(off_at=timezone.now())
        found["none dead"] = delays()
    with capsys.disabled():
        for name, each in found.items():
            print(
                f"\n{name}: {len(each)} deliveries to 90 receivers,"
                f" median {statistics.median(each):.2f} s, longest {max(each):.2f} s",
                end="",
            )
    longest = {name: max(each) for name, each in found.items()}
    assert max(longest.values()) - longest["none dead"] < MAX_SECONDS
