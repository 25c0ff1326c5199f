"""The one lock that every change of a subscription or its license keys takes first.

Order of locks everywhere: subscription, then the log's chain.
"""

from uuid import UUID

from subscriptions.models import Subscription


def lock(subscription_id: UUID) -> Subscription:
    """Return the subscription as it is now, its row locked until the transaction ends.

    On SQLite a transaction holds the write lock from its start (BEGIN IMMEDIATE) and
    `select_for_update` adds nothing.
    """
    return Subscription.objects.select_for_update().get(pk=subscription_id)
