"""How the subscriptions and license keys of tenants are, for the list of tenants."""

from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum

from licenses.checking.results import PASSING
from licenses.figures.needs import DAY, WEEK, lapsed_keys
from licenses.models import CheckCount, LicenseKey
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


def _of_tenant(rows: QuerySet[Any], figure: Any) -> Subquery:
    return Subquery(rows.order_by().values("tenant").annotate(figure=figure).values("figure"))
