"""Queries for subscriptions by their license keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self, override
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from licenses.models.check_counts import CheckCount
from licenses.models.licenses import KeyState, License, LicenseKey
from subscriptions.models import EXPIRY_NOTICE, SOON, State, Subscription, SubscriptionQuerySet


class LicensedSubscriptions(SubscriptionQuerySet):
    """Queries for subscriptions by their license keys.

    `LicensedSubscriptions(Subscription)` starts with all subscriptions.
    """

    def with_authorized_application_id(self) -> Self:
        """Annotate `authorized_application_id` of the license that is not deleted, or None."""
        licensed = Subscription.objects.filter(pk=OuterRef("pk"), licenses__deleted_at=None)
        return self.annotate(
            authorized_application_id=Subquery(
                licensed.order_by().values("licenses__authorized_application_id")[:1]
            )
        )

    def licensed(self) -> Self:
        """Return those that have license keys."""
        return self.filter(Exists(_living_license()))

    def unlicensed(self) -> Self:
        """Return those that have no license keys, be it that they never had any."""
        return self.filter(~Exists(_living_license()))

    def by_expiry(self, among: QuerySet[LicenseKey, Any] | None = None) -> Self:
        """Return those with a current key that is not revoked; annotate its `keys_expire_at`.

        It is the key that expires first; `among` names the keys that it may be.
        """
        conditions: dict[str, Any] = {
            "licenses__deleted_at": None,
            "licenses__keys__state": KeyState.CURRENT,
            "licenses__keys__revoked_at": None,
            # Known already; said again for the index by tenant and expiry.
            "licenses__keys__tenant": F("tenant"),
        }
        if among is not None:
            conditions["licenses__keys__in"] = among
        # By the names of annotations: another path through relations would be another join.
        expires_at, slot = OuterRef("keys_expire_at"), OuterRef("key_slot")
        earlier = LicenseKey.objects.current().filter(
            Q(expires_at__lt=expires_at) | Q(expires_at=expires_at, slot__lt=slot),
            license=OuterRef("key_license"),
            revoked_at=None,
        )
        return (
            self.filter(**conditions)
            .annotate(
                keys_expire_at=F("licenses__keys__expires_at"),
                key_slot=F("licenses__keys__slot"),
                key_license=F("licenses__pk"),
            )
            .filter(~Exists(earlier))
        )

    def expiring_soon(self, now: datetime, **among: Any) -> Self:
        """Return the active ones whose first key to expire does so within EXPIRY_NOTICE."""
        within = Q()
        for period, notice in EXPIRY_NOTICE.items():
            within |= Q(plan__billing_period=period, keys_expire_at__lte=now + notice)
        rows = self.in_state(State.ACTIVE, now).by_expiry(**among)
        return rows.filter(
            within, keys_expire_at__gt=now, keys_expire_at__lte=now + max(EXPIRY_NOTICE.values())
        )

    def expired(self, now: datetime, **among: Any) -> Self:
        """Return the active ones with an expired key."""
        return self.in_state(State.ACTIVE, now).by_expiry(**among).filter(keys_expire_at__lte=now)

    def revoked(self) -> Self:
        """Return those with a revoked key in a slot."""
        keys = LicenseKey.objects.current().filter(revoked_at__isnull=False)
        return self.filter(Exists(_of_subscription(keys)))

    def withdrawn(self) -> Self:
        """Return those with a key in a slot whose signing key was disabled."""
        keys = LicenseKey.objects.current().filter(signing_key__disabled_at__isnull=False)
        return self.filter(Exists(_of_subscription(keys)))

    def refused(self, now: datetime, *, asked: timedelta, replaced: timedelta) -> Self:
        """Return those whose terminals ask with an old key that has stopped, and are refused.

        They did so within `asked`; the old key is the last one of its slot, replaced within
        `replaced`.
        """
        old = LicenseKey.objects.filter(
            state__in=[KeyState.SUPERSEDED, KeyState.REPLACED], replaced_at__gte=now - replaced
        )
        newer = old.filter(
            license=OuterRef("license"),
            slot=OuterRef("slot"),
            replaced_at__gt=OuterRef("replaced_at"),
        )
        checks = CheckCount.objects.filter(
            license_key=OuterRef("pk"),
            last_at__gt=now - asked,
            last_at__gte=OuterRef("stopped_at"),
        )
        stopped = old.annotate(stopped_at=Coalesce("accepted_until", "replaced_at")).filter(
            ~Exists(newer), Exists(checks), stopped_at__lte=now
        )
        return self.filter(Exists(_of_subscription(stopped)))

    def overlap_ending(self, now: datetime, *, within: timedelta, asked: timedelta) -> Self:
        """Return those with an old key that works, stops `within` that time, and is in use.

        A terminal asked with it within `asked`.
        """
        checks = CheckCount.objects.filter(license_key=OuterRef("pk"), last_at__gt=now - asked)
        ending = LicenseKey.objects.overlapping(now).filter(
            Exists(checks), accepted_until__lte=now + within
        )
        return self.filter(Exists(_of_subscription(ending)))

    def plan_changed(self) -> Self:
        """Return those whose license keys are of another plan than they are."""
        return self.filter(Exists(_living_license().exclude(plan=OuterRef("plan"))))

    @override
    def _matches(self, text: str) -> Q:
        """Find whole authorized application ids and key ids (`jti`) too, also of old keys."""
        found = super()._matches(text)
        try:
            id = UUID(text)
        except ValueError:
            return found
        licenses = License.objects.order_by().values("subscription")
        return (
            found
            | Q(pk__in=licenses.filter(authorized_application_id=id))
            | Q(pk__in=licenses.filter(keys__jti=id))
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


def read_license_state(rows: Iterable[Any]) -> None:
    """Set what the list shows of the keys of subscriptions, by one query for all of them.

    `has_keys`, `has_revoked_key` and `has_withdrawn_key` are of the current keys, `keys_expire_at`
    and `keys_last_until` the earliest and the latest expiry of those that are neither, or None;
    `expiries` has the expiry of each of these by its slot.
    """
    by_id = {row.pk: row for row in rows}
    for row in by_id.values():
        row.has_keys, row.has_revoked_key, row.has_withdrawn_key = False, False, False
        row.keys_expire_at, row.keys_last_until, row.expiries = None, None, {}
    keys = LicenseKey.objects.current().filter(
        license__subscription__in=by_id, license__deleted_at=None
    )
    for id, slot, expires_at, revoked_at, withdrawn_at in keys.values_list(
        "license__subscription", "slot", "expires_at", "revoked_at", "signing_key__disabled_at"
    ):
        row = by_id[id]
        row.has_keys = True
        if revoked_at is not None:
            row.has_revoked_key = True
        elif withdrawn_at is not None:
            row.has_withdrawn_key = True
        else:
            row.expiries[slot] = expires_at
            row.keys_expire_at = min(expires_at, row.keys_expire_at or expires_at)
            row.keys_last_until = max(expires_at, row.keys_last_until or expires_at)


def _living_license() -> QuerySet[License, License]:
    return License.objects.not_deleted().filter(subscription=OuterRef("pk")).order_by()


def _of_subscription(keys: QuerySet[LicenseKey, Any]) -> QuerySet[Any, Any]:
    """Return those of the keys that are of the outer subscription's license."""
    its = {"license__subscription": OuterRef("pk"), "license__deleted_at": None}
    return keys.filter(**its).order_by()


def _with_current_key(**conditions: Any) -> QuerySet[Any, Any]:
    """Return the subscriptions with a current key that meets the conditions, for `pk__in`."""
    current = {"licenses__deleted_at": None, "licenses__keys__state": KeyState.CURRENT}
    return Subscription.objects.filter(**current, **conditions).order_by().values("pk")
