"""Queries for subscriptions by their license keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db.models import OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from licenses.models.licenses import KeyState
from subscriptions.models import SOON, Subscription, SubscriptionQuerySet


class LicensedSubscriptions(SubscriptionQuerySet):
    """Queries for subscriptions by their license keys.

    `LicensedSubscriptions(Subscription)` starts with all subscriptions.
    """

    def with_license_state(self, now: datetime | None = None) -> Self:
        """Annotate `effective_state`, `has_keys` and `keys_expire_at`.

        The last is the earliest expiry of a current key that is not revoked, or None. Both come
        from correlated subqueries, so that a page reads the keys of its own rows only.
        """
        current = Q(pk=OuterRef("pk"), licenses__deleted_at=None, licenses__keys__state="current")
        # Not Exists: PostgreSQL would hash the keys of all tenants for it.
        with_keys = Subscription.objects.filter(current).order_by()
        # In one call: each further one would join the keys again, the replaced ones too.
        expiries = Subscription.objects.filter(current, licenses__keys__revoked_at=None).order_by(
            "licenses__keys__expires_at"
        )
        rows: Self = self.with_state(now).annotate(
            has_keys=Coalesce(Subquery(with_keys.values(one=Value(True))[:1]), Value(False)),
            keys_expire_at=Subquery(expiries.values("licenses__keys__expires_at")[:1]),
        )
        return rows

    def with_authorized_application_id(self) -> Self:
        """Annotate `authorized_application_id` of the license that is not deleted, or None."""
        licensed = Subscription.objects.filter(pk=OuterRef("pk"), licenses__deleted_at=None)
        return self.annotate(
            authorized_application_id=Subquery(
                licensed.order_by().values("licenses__authorized_application_id")[:1]
            )
        )

    def expiring(self, now: datetime | None = None) -> Self:
        """Return those with a current key, not revoked, that expires within SOON."""
        now = now or timezone.now()
        soon = {
            "licenses__keys__expires_at__gt": now,
            "licenses__keys__expires_at__lte": now + SOON,
        }
        return self._with_keys(licenses__keys__revoked_at=None, **soon)

    def never_downloaded(self) -> Self:
        """Return those that have keys, none of which was downloaded."""
        return self._with_keys().exclude(
            pk__in=_with_current_key(licenses__keys__last_downloaded_at__isnull=False)
        )

    def never_checked(self) -> Self:
        """Return those that have keys, none of which was checked by a terminal."""
        return self._with_keys().exclude(
            pk__in=_with_current_key(licenses__keys__checks__isnull=False)
        )

    def _with_keys(self, **conditions: Any) -> Self:
        return self.filter(pk__in=_with_current_key(**conditions))


def _with_current_key(**conditions: Any) -> QuerySet[Any, Any]:
    """Return the subscriptions with a current key that meets the conditions, for `pk__in`."""
    current = {"licenses__deleted_at": None, "licenses__keys__state": KeyState.CURRENT}
    return Subscription.objects.filter(**current, **conditions).order_by().values("pk")
