"""What is wrong with a customer's subscriptions: which one, since when, and where to act."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Max, Min, Sum
from django.urls import reverse

from licenses.checking.results import PASSING, Result
from licenses.checking.use import ago
from licenses.figures.needs import DAY, WEEK, Need, advice_on
from licenses.models import CheckCount, LicenseKey
from portal.activity.models import LogEntry
from portal.core.dates import moment, remaining
from portal.tenants.models import Tenant
from subscriptions.models import State, Subscription


def why_stopped(subscription: Subscription, now: datetime) -> LogEntry | None:
    """Return the row of the log that has the reason of a suspension or an end, if there is one."""
    if subscription.state_at(now) != State.SUSPENDED and subscription.state != State.ENDED:
        return None
    about = LogEntry.objects.for_tenant(subscription.tenant_id).for_subscription(subscription.pk)
    return about.exclude(reason="").first()


def troubles(
    subscription: Subscription, why: LogEntry | None, keys: Iterable[LicenseKey], now: datetime
) -> Iterator[Need]:
    """Yield what is wrong with the subscription, whose keys in use these are."""
    state, ends_at, keys = subscription.state_at(now), subscription.ends_at, list(keys)
    address = f"#subscription-{subscription.pk}"
    if state == State.SUSPENDED:
        since = f"Since {moment(subscription.state_since)}. " if subscription.state_since else ""
        about = f"{since}{why.reason if why else ''}"
        yield Need(
            kind="Suspended", tone="bad", name=str(subscription), about=about, address=address
        )
    if state == State.ACTIVE and keys and all(key.expires_at <= now for key in keys):
        last = max(key.expires_at for key in keys)
        yield Need(
            kind="All keys expired",
            tone="bad",
            name=str(subscription),
            about=f"The last one expired {moment(last)}. The customer resets one, downloads its "
            "license file and installs it.",
            address=address,
        )
    if state != State.ENDED and ends_at and now < ends_at <= now + WEEK:
        yield Need(
            kind="Ends",
            tone="warn",
            name=str(subscription),
            about=f"Ends in {remaining(ends_at, now)}, {moment(ends_at)}.",
            address=address,
        )


def refused_lately(tenant: Tenant, now: datetime) -> Iterator[Need]:
    """Yield what terminals were refused in the last 24 hours, by subscription and result."""
    name = "license_key__license__subscription__name"
    checks = CheckCount.objects.filter(tenant=tenant, hour__gt=now - DAY)
    rows: Any = checks.exclude(result__in=PASSING).order_by().values(name, "result")
    counted = rows.annotate(
        times=Sum("count"), since=Min("hour"), last=Max("last_at"), key=Max("license_key")
    )
    for row in counted.order_by("-times", "result")[:MOST]:
        result, times = Result(row["result"]), row["times"]
        often = "once" if times == 1 else f"{times:,} times"
        yield Need(
            kind="Terminals refused",
            tone="warn",
            name=row[name],
            about=f"{result.label}: {often} since {moment(row['since'])}, last "
            f"{ago(row['last'], now)}. {advice_on(result)}",
            address=reverse("admin:licenses_licensekey_check", args=[row["key"]]),
        )


MOST = 10
"""Rows of refused checks that are told; the list has all."""
