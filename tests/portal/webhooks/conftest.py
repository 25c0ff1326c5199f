"""What tests of webhooks share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portal.activity.actions import event_types
from portal.tenants.models import Tenant
from portal.webhooks.flows import add_endpoint
from portal.webhooks.models import Endpoint
from tests.support.people import member_actor
from tests.support.receivers import LOOPBACK, Receiver


@pytest.fixture
def allowed(settings: Any) -> None:
    """Allow this machine, as somebody who hosts receivers in the same network does."""
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK


@pytest.fixture(scope="session")
def one_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path_factory.mktemp("receiver"))
    receiver.trust()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(one_receiver: Receiver, allowed: None) -> Receiver:
    """A receiver over TLS that takes everything at first."""
    one_receiver.status, one_receiver.answer, one_receiver.raw = 200, b"", b""
    one_receiver.headers, one_receiver.trickles = {}, False
    one_receiver.before_answer = lambda received: None
    one_receiver.received.clear()
    return one_receiver


@pytest.fixture
def secrets() -> dict[Any, str]:
    """The secrets that were shown when endpoints were added, by endpoint."""
    return {}


@pytest.fixture
def make_endpoint(owner: Any, contoso: Tenant, secrets: dict[Any, str]) -> Callable[..., Endpoint]:
    """Return `make_endpoint(url, tenant=…, events=…)`."""

    def make(
        url: str = "https://receiver.example/hook", tenant: Any = contoso, events: Any = None
    ) -> Endpoint:
        endpoint, secret = add_endpoint(
            tenant=tenant, url=url, events=events or event_types(), actor=member_actor(owner)
        )
        secrets[endpoint.pk] = secret
        return endpoint

    return make
