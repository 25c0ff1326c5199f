"""A customer on one page, as support needs it on the phone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Max, Model, Q, Sum, When
from django.db.models.functions import TruncDay
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from licenses.admin.finding import check_address
from licenses.admin.troubles import refused_lately, troubles, why_stopped
from licenses.checking.badges import KeyBadge, badge_of, with_days
from licenses.checking.results import PASSING, Result
from licenses.checking.use import Refusals as RefusedAs
from licenses.checking.use import Use, ago, read_use
from licenses.figures.charts import Columns, columns
from licenses.figures.needs import Need, webhooks_off
from licenses.models import ANSWERED, CheckCount, LicenseKey
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.core.numbers import is_key
from portal.mail.models import Outbox
from portal.operators.account_actions import SET_OPERATOR
from portal.operators.actions import ActionsAdmin, OperatorAction
from portal.operators.model_admin import PlainAdmin, listing
from portal.operators.models import PendingChange
from portal.tenants.models import Invitation, Member, Role, Tenant
from subscriptions.models import SOON, State, Subscription

MOST = 25
"""Subscriptions and members on the page; the lists have all."""
EVENTS = 6
DAYS = 30
BOUNCED = timedelta(days=14)
"""How long a mail that was given up is worth a word."""
NEED = {"bad": 0, "warn": 1}
"""How much a license key needs somebody, by the tone of its badge: 0 comes first."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the operator may do to one row: links and, through its list, buttons."""

    row: Model
    at: str
    """Address of the list, which starts the actions that have none of their own."""
    actions: list[tuple[OperatorAction, str]]


@dataclass(frozen=True, kw_only=True)
class KeyLine:
    """One license key of a subscription; `address` is the page that says what a terminal hears."""

    key: LicenseKey
    badge: KeyBadge
    address: str
    offer: Offer


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """Checks of the chart that were refused with one result, and when the last one was."""

    result: Result
    count: int
    percent: int
    last_at: datetime
    address: str


@dataclass(frozen=True, kw_only=True)
class SubscriptionLine:
    """One subscription with its license keys."""

    subscription: Subscription
    state: State
    tone: str
    why: LogEntry | None
    keys: list[KeyLine]
    checks: str
    """When a terminal checked last, and what was refused today."""
    address: str
    offer: Offer

    @property
    def can_act(self) -> bool:
        """Whether the operator may do anything to it or its keys."""
        return any(each.offer.actions for each in self.keys) or bool(self.offer.actions)

    @property
    def need(self) -> int:
        """How much it needs somebody: the smallest number comes first."""
        if self.state in AFTER:
            return AFTER[self.state]
        well = len(NEED) + 1
        return min([NEED.get(line.badge.tone, well) for line in self.keys], default=well)


AFTER = {State.SUSPENDED: 0, State.PENDING: len(NEED), State.ENDED: len(NEED) + 2}
"""Where the other states stand among the needs of active subscriptions."""


def customer_view(page: PlainAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the tenant; 404 if there is none, 403 for operators who may not see tenants."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    tenant = Tenant.objects.filter(pk=object_id).first() if is_key(Tenant, object_id) else None
    if tenant is None:
        raise Http404
    now, its = timezone.now(), {"tenant__id__exact": tenant.pk}
    lines = _subscriptions(request, tenant, now)
    members = tenant.memberships.select_related("user").order_by("role", "joined_at")
    people = _owners_first(members.prefetch_related("user__authenticator_set"))
    context = {
        "title": str(tenant),
        "tenant": tenant,
        "offer": _offer(request, tenant),
        "add": _add_address(request, tenant),
        "edit": reverse("admin:portal_tenant_change", args=[tenant.pk]),
        "troubles": [*_troubles(lines, now), *refused_lately(tenant, now), *webhooks_off(tenant)],
        "subscriptions": lines,
        "all_subscriptions": listing("subscriptions_subscription", **its),
        "subscription_count": tenant.subscriptions.count(),
        "members": [(member, _offer(request, member.user)) for member in people],
        "has_owner": any(member.role == Role.OWNER for member in people),
        "all_members": listing("portal_member", **its),
        "invitations": _invitations(request, tenant),
        "waiting": [(change, _offer(request, change)) for change in _waiting(tenant)],
        "mails": [(mail, _offer(request, mail)) for mail in _failing(tenant, now)],
        "events": _events(tenant),
        "log": listing("portal_logentry", tenant_id__exact=tenant.pk),
        "checks": _checks(tenant, now),
        "refusals": _refusals(tenant, now),
        "now": now,
    }
    return page.page(request, "admin/customer.html", context)


def _add_address(request: HttpRequest, tenant: Tenant) -> str:
    """Return the address of the form for a new subscription, or "" for who may not add one."""
    if not admin.site.get_model_admin(Subscription).has_add_permission(request):
        return ""
    return reverse("admin:subscriptions_subscription_add", query={"tenant": tenant.pk})


def _offer(request: HttpRequest, row: Any) -> Offer:
    """Return the operator's actions on the row that are possible now and allowed to them."""
    page, opts = admin.site.get_model_admin(type(row)), row._meta
    assert isinstance(page, ActionsAdmin)
    name = f"admin:{opts.app_label}_{opts.model_name}"
    offered = [
        (action, reverse(f"{name}_{action.name}", args=[row.pk]) if action.on_page else "")
        for action in page.operator_actions
        if not action.makes_new and action != SET_OPERATOR and action.is_possible(row)
        if getattr(page, f"has_{action.permission}_permission")(request, row)
    ]
    return Offer(row=row, at=reverse(f"{name}_changelist"), actions=offered)


def _subscriptions(request: HttpRequest, tenant: Tenant, now: datetime) -> list[SubscriptionLine]:
    """Return subscriptions: what needs somebody first, what has ended last, else the newest."""
    keys_end = LicenseKey.objects.current().filter(
        tenant=tenant, revoked_at=None, expires_at__lte=now + SOON
    )
    calls = Q(state=State.SUSPENDED) | Q(pk__in=keys_end.values("license__subscription"))
    first = Case(When(calls & ~Q(state=State.ENDED), then=0), default=1)
    newest = list(
        tenant.subscriptions.select_related("plan", "tenant").order_by(first, "-created_at")[:MOST]
    )
    keys: dict[Any, list[LicenseKey]] = {}
    answered = LicenseKey.objects.filter(
        tenant=tenant, license__subscription__in=newest, state__in=ANSWERED
    )
    found = answered.defer("token").select_related("license").with_signing_key()
    for key in found.order_by("slot", "-issued_at"):
        if key.is_in_use(now):
            keys.setdefault(key.license.subscription_id, []).append(key)
    uses = read_use([key for each in keys.values() for key in each], now)
    lines = [
        _line(request, subscription, keys.get(subscription.pk, []), uses, now)
        for subscription in newest
    ]
    return sorted(lines, key=lambda line: line.need)


def _troubles(lines: Iterable[SubscriptionLine], now: datetime) -> Iterator[Need]:
    for line in lines:
        yield from troubles(line.subscription, line.why, (each.key for each in line.keys), now)


def _checks_of(uses: Iterable[Use], now: datetime) -> str:
    """Return such as "Last check 3 minutes ago, 5 refused today: Subscription suspended"."""
    checked = [(use.last_at, use) for use in uses if use.last_at]
    if not checked:
        return ""
    last_at, today = max(at for at, _ in checked), now.astimezone(UTC).date()
    refused = [
        (use.refused[today], [r.label for r, each in use.refused_as.items() if _on(each, today)])
        for _, use in checked
    ]
    told, count = f"Last check {ago(last_at, now)}", sum(times for times, _ in refused)
    if not count:
        return told
    results = sorted({label for _, labels in refused for label in labels})
    return f"{told}, {count:,} refused today: {', '.join(results)}"


def _on(refusals: RefusedAs, today: date) -> bool:
    return refusals.last_at is not None and refusals.last_at.astimezone(UTC).date() == today


def _line(
    request: HttpRequest,
    subscription: Subscription,
    keys: Sequence[LicenseKey],
    uses: dict[int, Use],
    now: datetime,
) -> SubscriptionLine:
    state = subscription.state_at(now)
    return SubscriptionLine(
        subscription=subscription,
        state=state,
        tone=state.tone,
        why=why_stopped(subscription, now),
        keys=[
            KeyLine(
                key=key,
                badge=with_days(badge_of(key, subscription, now), key.expires_at, now),
                address=check_address(key),
                offer=_offer(request, key),
            )
            for key in keys
        ],
        checks=_checks_of([uses[key.pk] for key in keys if key.pk in uses], now),
        address=reverse("admin:subscriptions_subscription_change", args=[subscription.pk]),
        offer=_offer(request, subscription),
    )


def _owners_first(members: Any) -> list[Member]:
    found = list(members[: MOST + 1])
    ranks = list(Role)
    return sorted(found[:MOST], key=lambda member: ranks.index(Role(member.role)))


def _waiting(tenant: Tenant) -> list[PendingChange]:
    """Return the changes that wait for the tenant or one of its members."""
    people = tenant.memberships.values("user")
    waiting = PendingChange.objects.waiting().select_related("user", "tenant", "requested_by")
    return list(waiting.filter(Q(tenant=tenant) | Q(user__in=people)).order_by("due_at"))


def _failing(tenant: Tenant, now: datetime) -> list[Outbox]:
    """Return mail to the tenant's people that was tried and is not sent, or was given up lately."""
    unsent = Outbox.objects.filter(tenant_id=tenant.pk, sent_at=None).defer("text", "html")
    lately = Q(given_up_at=None, attempts__gt=0) | Q(given_up_at__gt=now - BOUNCED)
    return list(unsent.filter(lately).order_by("-pk")[:MOST])


def _invitations(
    request: HttpRequest, tenant: Tenant
) -> list[tuple[Invitation, Offer, Outbox | None]]:
    """Return the open invitations, each with its mail if that could not be delivered."""
    pending = list(tenant.invitations.pending().select_related("tenant", "invited_by"))
    mails = Outbox.objects.filter(
        tenant_id=tenant.pk, to__in=[each.email for each in pending], sent_at=None, attempts__gt=0
    )
    bounced = {mail.to: mail for mail in mails.defer("text", "html").order_by("pk")}
    return [
        (each, _offer(request, each), mail if mail and mail.created_at >= each.created_at else None)
        for each in pending
        for mail in [bounced.get(each.email)]
    ]


def _events(tenant: Tenant) -> list[LogEntry]:
    """Return what happened last, but for keys that just went into use: there are many of those."""
    rows = LogEntry.objects.for_tenant(tenant.pk)
    return list(rows.exclude(action=Action.ROTATION_COMPLETED)[:EVENTS])


def _days(now: datetime) -> list[datetime]:
    """Return when the days of the chart begin (UTC), today last."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=ago) for ago in reversed(range(DAYS))]


def _refusals(tenant: Tenant, now: datetime) -> list[Refusals]:
    """Return what checks of the chart were refused with, the most frequent first."""
    since = _days(now)[0]
    counts = CheckCount.objects.filter(tenant=tenant, hour__gte=since).exclude(result__in=PASSING)
    by_result = counts.order_by().values("result").annotate(times=Sum("count"), last=Max("last_at"))
    rows = list(by_result.order_by("-times", "result"))
    its = {"tenant__id__exact": tenant.pk, "hour__gte": since.isoformat()}
    return [
        Refusals(
            result=Result(row["result"]),
            count=row["times"],
            percent=max(1, round(100 * row["times"] / rows[0]["times"])),
            last_at=row["last"],
            address=listing("licenses_checkcount", result=row["result"], **its),
        )
        for row in rows
    ]


def _checks(tenant: Tenant, now: datetime) -> Columns:
    """Return the chart of the tenant's checks by day (UTC), today last."""
    days = _days(now)
    counts = CheckCount.objects.filter(tenant=tenant, hour__gte=days[0])
    refused = ~Q(result__in=PASSING)
    by_day = {
        row["day"]: (row["all"], row["refused"] or 0)
        for row in counts.order_by()
        .values(day=TruncDay("hour", tzinfo=UTC))
        .annotate(all=Sum("count"), refused=Sum("count", filter=refused))
    }
    rows = [
        (day, *by_day.get(day, (0, 0)), _checks_address(tenant, day, day + timedelta(days=1)))
        for day in days
    ]
    total, bad = sum(row[1] for row in rows), sum(row[2] for row in rows)
    return columns(rows, f"{total:,} checks in the last {DAYS} days, {bad:,} of them refused.")


def _checks_address(tenant: Tenant, start: datetime, end: datetime) -> str:
    hours = {"hour__gte": start.isoformat(), "hour__lt": end.isoformat()}
    return listing("licenses_checkcount", tenant__id__exact=tenant.pk, **hours)
