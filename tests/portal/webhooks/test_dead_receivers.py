"""Ten dead receivers among a hundred: how long the others wait."""

import socket
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
from portal.webhooks.models import Delivery
from tests.support.factories import make_tenant

pytestmark = [pytest.mark.sweep, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EVENTS = 3
MAX_SECONDS = 30


def test_ten_dead_receivers_among_a_hundred_delay_the_others_by_30_seconds_at_most(
    receiver, capsys
):
    """Dead ones accept connections and never answer: worse than those that refuse."""
    arrived: list[tuple[float, str]] = []
    receiver.before_answer = lambda got: arrived.append((time.monotonic(), got.path))
    with ExitStack() as stack:
        tenants = [make_tenant(name=f"Customer {number}") for number in range(10)]
        for number, tenant in enumerate(tenants):
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            for place in range(MAX_ENDPOINTS):
                url = f"{receiver.url}/{number}/{place}"
                if not place:
                    url = f"https://localhost:{silent.getsockname()[1]}/dead"
                add_endpoint(tenant=tenant, url=url, events=event_types(), actor=SYSTEM)
        for tenant in tenants:
            for _ in range(EVENTS):
                with transaction.atomic():
                    record(actor=SYSTEM, action=Action.KEYS_DELETED, tenant_id=tenant.pk)
        begun, used = time.monotonic(), time.process_time()
        assert deliver_due() == 90 * EVENTS
    delays = sorted(at - begun for at, _ in arrived)
    half, last, cpu = delays[len(delays) // 2], delays[-1], time.process_time() - used
    with capsys.disabled():
        print(f"\nhalf within {half:.1f} s, all within {last:.1f} s, {cpu:.1f} s of CPU")
    assert delays[-1] < MAX_SECONDS
    assert Delivery.objects.waiting().count() == 10 * EVENTS
    failing = Delivery.objects.waiting().filter(first_tried_at__lte=timezone.now())
    assert failing.count() == 10
