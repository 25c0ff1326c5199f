"""Download goes by the rows as they are under the lock."""

import pytest

from licenses.flows.delete import delete_keys
from licenses.flows.download import download_key
from licenses.models import License, SigningKey, Slot
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription
from tests.support.factories import make_license, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def outdated(contoso: Tenant, signing_key: SigningKey) -> License:
    """A license with its subscription, as somebody has read them before the test changes them."""
    license = make_license(subscription=make_subscription(tenant=contoso))
    return License.objects.select_related("subscription").get(pk=license.pk)


def refusal(license: License) -> str:
    before = LogEntry.objects.count()
    with pytest.raises(Refused) as caught:
        download_key(license=license, slot=Slot.PRIMARY, actor=SYSTEM)
    assert LogEntry.objects.count() == before
    return caught.value.sentence


def test_of_a_subscription_that_was_suspended_meanwhile_is_refused(outdated: License) -> None:
    Subscription.objects.update(state=State.SUSPENDED)
    assert refusal(outdated) == (
        "This subscription is suspended. License keys are downloaded from active subscriptions "
        "only."
    )


def test_of_keys_that_were_deleted_meanwhile_is_refused(outdated: License) -> None:
    delete_keys(license=License.objects.get(pk=outdated.pk), actor=SYSTEM)
    assert refusal(outdated) == "These license keys were deleted. There is nothing to download."
