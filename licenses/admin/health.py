"""How tenants, subscriptions and license keys are, in a badge for lists."""

from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum

from licenses.checking.badges import badge_of, with_days
from licenses.checking.results import PASSING
from licenses.figures.needs import DAY, WEEK, lapsed_keys
from licenses.models import CheckCount, LicenseKey
from portal.operators.values import Shown, badge
from subscriptions.models import State, Subscription


def tenant_health(now: datetime) -> dict[str, Any]:
    """Return annotations of tenants; the numbers are None where there is nothing to count."""
    subscriptions = Subscription.objects.filter(tenant=OuterRef("pk"))
    running = Q(ends_at=None) | Q(ends_at__gt=now)
    checks = CheckCount.objects.filter(tenant=OuterRef("pk"), hour__gt=now - DAY)
    dying = LicenseKey.objects.current().filter(
        tenant=OuterRef("pk"),
        revoked_at=None,
        expires_at__gt=now,
        expires_at__lte=now + WEEK,
        license__subscription__state=State.ACTIVE,
    )
    return {
        "all_subscriptions": _of_tenant(subscriptions, Count("pk")),
        "active_subscriptions": _of_tenant(
            subscriptions.filter(running, state=State.ACTIVE), Count("pk")
        ),
        "refused": _of_tenant(checks.exclude(result__in=PASSING), Sum("count")),
        "has_lapsed_keys": Exists(lapsed_keys(now).filter(tenant=OuterRef("pk"))),
        "has_dying_keys": Exists(dying),
    }


def keys_health() -> dict[str, Any]:
    """Return annotations of subscriptions, of the present keys: those of `read_license_state`."""
    keys = LicenseKey.objects.current().filter(
        license__subscription=OuterRef("pk"), license__deleted_at=None
    )
    kept = keys.filter(revoked_at=None, signing_key__disabled_at=None).values("expires_at")
    return {
        "has_keys": Exists(keys),
        "has_revoked_key": Exists(keys.filter(revoked_at__isnull=False)),
        "has_withdrawn_key": Exists(keys.filter(signing_key__disabled_at__isnull=False)),
        "keys_expire_at": Subquery(kept.order_by("expires_at")[:1]),
        "keys_last_until": Subquery(kept.order_by("-expires_at")[:1]),
    }


def _of_tenant(rows: QuerySet[Any], figure: Any) -> Subquery:
    return Subquery(rows.order_by().values("tenant").annotate(figure=figure).values("figure"))


def badge_of_any(key: LicenseKey, now: datetime) -> Shown:
    """Return the badge that members see, or the stored state of a key that is over."""
    if key.revoked_at is None and not key.is_in_use(now):
        return badge(key.get_state_display(), "muted")
    shown = with_days(badge_of(key, key.license.subscription, now), key.expires_at, now)
    return badge(shown.label, shown.tone)
