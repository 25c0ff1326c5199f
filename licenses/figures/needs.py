"""What needs one of the operators today: asked of the rows themselves, a few of each, by index."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q, Sum
from django.urls import reverse

from licenses.checking.results import PASSING, Result
from licenses.checking.use import read_use
from licenses.checks import warnings_of
from licenses.figures.withdrawals import progress
from licenses.models import CheckCount, LicenseKey, LicenseKeyQuerySet, SigningKey
from portal.core.dates import moment, remaining
from portal.mail.models import Outbox
from portal.operators.model_admin import listing
from portal.operators.models import PendingChange
from portal.tenants.models import Tenant
from portal.webhooks.models import Endpoint
from subscriptions.models import State, Subscription

MOST = 5
"""Rows of each kind: the lists have the others."""
READ = 200
"""License keys that are read to find the subscriptions that have nothing but expired ones."""
MANY = 5
"""Refused checks that are worth a look even where the key has passed since."""
EXPLAINED = {*PASSING, Result.EXPIRED, Result.SUBSCRIPTION_SUSPENDED, Result.SUBSCRIPTION_ENDED}
"""Results of checks that call for nobody: they pass, or another need or an operator is why."""
BY_VENDOR = {
    Result.SUBSCRIPTION_SUSPENDED: "It passes again as soon as the subscription is resumed here.",
    Result.SUBSCRIPTION_ENDED: (
        "A new subscription is needed, unless a later end date is set here for this one."
    ),
    Result.REVOKED: "An operator revoked it for a reason. A reset of the slot gives a new key.",
}
"""Advice where that of the result sends the reader to the vendor, who is the reader here."""
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LAPSED = timedelta(days=90)
"""How long a subscription whose keys have all expired is worth a call."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something to look at: a row by its name, what about it, and its page."""

    kind: str
    tone: str
    name: str
    about: str
    address: str


def needs(signing_key: SigningKey | None, now: datetime) -> list[Need]:
    """Return what needs somebody, the most urgent first."""
    return [
        *_withdrawn(now),
        *_signing_key(signing_key),
        *_pending(),
        *_closing(now),
        *_mails(now),
        *webhooks_off(None),
        *_ending(now),
        *_lapsed(now),
        *_refused(now),
    ]


def _signing_key(active: SigningKey | None) -> Iterator[Need]:
    if active is None:
        yield Need(
            kind="Signing key",
            tone="bad",
            name="None is active",
            about="No license keys can be generated or reset.",
            address=listing("licenses_signingkey"),
        )
        return
    for warning in warnings_of(active):
        yield Need(
            kind="Signing key",
            tone="warn",
            name=active.kid[:8],
            about=str(warning.msg),
            address=_page(active),
        )


def _withdrawn(now: datetime) -> Iterator[Need]:
    """Yield disabled signing keys after which license keys are still to be reset."""
    left = LicenseKey.objects.to_reset(now).filter(signing_key=OuterRef("pk"))
    rows = SigningKey.objects.filter(~Q(disabled_at=None), Exists(left)).order_by("-disabled_at")
    for signing_key in rows.defer("private_key", "certificate")[:MOST]:
        yield Need(
            kind="Withdrawn",
            tone="bad",
            name=signing_key.kid[:8],
            about=progress(signing_key, now).sentence,
            address=reverse("admin:licenses_signingkey_affected", args=[signing_key.pk]),
        )


def _pending() -> Iterator[Need]:
    waiting = PendingChange.objects.waiting().select_related("user", "tenant", "requested_by")
    for change in waiting.order_by("due_at")[:MOST]:
        yield Need(
            kind="Recovery",
            tone="warn",
            name=str(change),
            about=f"Asked for by {change.requested_by}, due {moment(change.due_at)}.",
            address=_page(change),
        )


def _closing(now: datetime) -> Iterator[Need]:
    """Yield tenants that close, and those whose closing should have been carried out by now."""
    for tenant in Tenant.objects.closing()[:MOST]:
        assert tenant.closes_at is not None
        about = f"Its owner closes it {moment(tenant.closes_at)}. It can be taken back until then."
        is_late = tenant.closes_at < now - HOUR
        if is_late:
            about = f"Was to close {moment(tenant.closes_at)}: the worker's log says why it waits."
        yield Need(
            kind="Not closed yet" if is_late else "Closes",
            tone="bad" if is_late else "warn",
            name=str(tenant),
            about=about,
            address=_customer(tenant.pk),
        )


def _mails(now: datetime) -> Iterator[Need]:
    """Yield mails that were tried and did not go out, and those given up in the last week."""
    mails = Outbox.objects.filter(sent_at=None).defer("text", "html")
    failing = mails.waiting().filter(attempts__gt=0).order_by("send_after")[:MOST]
    given_up = mails.filter(given_up_at__gt=now - WEEK).order_by("-given_up_at")[:MOST]
    for mail in [*failing, *given_up]:
        times = "once" if mail.attempts == 1 else f"{mail.attempts} times"
        end = " and given up" if mail.given_up_at else ""
        yield Need(
            kind="Mail",
            tone="bad",
            name=f"{mail.subject} to {mail.to}",
            about=f"Tried {times}{end}: {mail.last_error}",
            address=_page(mail),
        )


def webhooks_off(tenant: Tenant | None) -> Iterator[Need]:
    """Yield the webhooks of a tenant, or the vendor's own, that the portal switched off."""
    whose = "Owners and managers of the tenant" if tenant else "You"
    off = Endpoint.objects.kept().filter(tenant=tenant).exclude(off_at=None).exclude(off_error="")
    for endpoint in off[:MOST]:
        yield Need(
            kind="Webhook",
            tone="bad",
            name=str(endpoint),
            about=f"Switched off: {endpoint.off_error} {whose} can switch it on once it answers.",
            address=_page(endpoint),
        )


def _ending(now: datetime) -> Iterator[Need]:
    ending = Subscription.objects.filter(ends_at__gt=now, ends_at__lte=now + WEEK)
    ending = ending.exclude(state=State.ENDED).select_related("tenant")
    for subscription in ending.order_by("ends_at")[:MOST]:
        ends_at = subscription.ends_at
        assert ends_at is not None
        yield Need(
            kind="Ends",
            tone="warn",
            name=f"{subscription} of {subscription.tenant}",
            about=f"Ends in {remaining(ends_at, now)}, {moment(ends_at)}.",
            address=_customer(subscription.tenant_id, subscription.pk),
        )


def lapsed_keys(now: datetime) -> LicenseKeyQuerySet:
    """Return the expired keys of active subscriptions that have no other."""
    running = Q(license__subscription__ends_at=None) | Q(license__subscription__ends_at__gt=now)
    current = LicenseKey.objects.current().filter(revoked_at=None)
    good = current.filter(license=OuterRef("license"), expires_at__gt=now)
    return current.filter(
        running,
        ~Exists(good),
        expires_at__lte=now,
        expires_at__gt=now - LAPSED,
        license__subscription__state=State.ACTIVE,
    )


def _lapsed(now: datetime) -> Iterator[Need]:
    """Yield active subscriptions with no current key that has not expired."""
    rows = lapsed_keys(now).defer("token").select_related("tenant", "license__subscription")
    seen: dict[UUID, LicenseKey] = {}
    for key in rows.order_by("-expires_at")[:READ]:
        seen.setdefault(key.license_id, key)
    for key in list(seen.values())[:MOST]:
        yield Need(
            kind="All keys expired",
            tone="bad",
            name=f"{key.license.subscription} of {key.tenant}",
            about=f"The last one expired {moment(key.expires_at)}.",
            address=_customer(key.tenant_id, key.license.subscription_id),
        )


def _refused(now: datetime) -> Iterator[Need]:
    """Yield the subscriptions with most refusals in 24 hours that nothing else here explains.

    One refused check needs nobody, nor do a few after which the key passed again.
    """
    refused = CheckCount.objects.filter(hour__gt=now - DAY).exclude(result__in=EXPLAINED)
    most = refused.order_by().values("license_key", "result").annotate(times=Sum("count"))
    found = list(most.filter(times__gt=1).order_by("-times")[:READ])
    keys = LicenseKey.objects.defer("token").select_related("tenant", "license__subscription")
    by_id = keys.in_bulk([row["license_key"] for row in found])
    uses = read_use(by_id.values(), now)
    by_subscription: dict[UUID, list[tuple[LicenseKey, Result, int]]] = {}
    for row in found:
        key, times = by_id[row["license_key"]], row["times"]
        last = uses[key.pk].last_result
        if times >= MANY or not (last and last.passes):
            rows = by_subscription.setdefault(key.license.subscription_id, [])
            rows.append((key, Result(row["result"]), times))
    for rows in list(by_subscription.values())[:MOST]:
        yield _refusals(rows)


def _refusals(rows: list[tuple[LicenseKey, Result, int]]) -> Need:
    """Return what is refused of one subscription; the first row has the most."""
    key, result, _ = rows[0]
    slots = {row[0].get_slot_display() for row in rows}
    subscription, of = key.license.subscription, "" if len(slots) > 1 else f"{slots.pop()} key of "
    told = ", ".join(f"{label.label}: {times:,} times" for _, label, times in rows)
    return Need(
        kind="Refused",
        tone="warn",
        name=f"{of}{subscription}, {key.tenant}",
        about=f"{told} in 24 hours. {advice_on(result)}",
        address=reverse("admin:licenses_licensekey_check", args=[key.pk]),
    )


def advice_on(result: Result) -> str:
    """Return what helps against a result, for operators."""
    return BY_VENDOR.get(result, result.advice)


def _page(row: Model) -> str:
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])


def _customer(tenant_id: object, subscription_id: object = None) -> str:
    page = reverse("admin:portal_tenant_customer", args=[tenant_id])
    return f"{page}#subscription-{subscription_id}" if subscription_id else page
