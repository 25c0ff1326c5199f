"""What the list of subscriptions is narrowed to and sorted by, and the counts on top of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Lower
from django.utils import timezone

from licenses.checking.badges import ONE_VALID
from licenses.models import LicensedSubscriptions, LicenseKey
from licenses.models.subscriptions import read_license_state
from licenses.web.rotation import GUIDED, OVERLAP_ENDS_SOON, STILL
from portal.activity.models import LogChain
from portal.tenants.models import Tenant
from subscriptions.flows.start_community import startable_plans
from subscriptions.models import EXPIRY_NOTICE, State, Subscription


@dataclass(frozen=True, kw_only=True)
class Badge:
    """A badge of a row: the state of the subscription, or what it needs somebody for."""

    label: str
    tone: str


EXPIRED, REVOKED, WITHDRAWN, REFUSED = "expired", "revoked", "withdrawn", "refused"
EXPIRING, OVERLAP, PLAN_CHANGED = "expiring", "overlap", "plan_changed"
UNLICENSED = "unlicensed"
NEEDS = {
    EXPIRED: Badge(label="Expired", tone="bad"),
    REVOKED: Badge(label="Key revoked", tone="bad"),
    WITHDRAWN: Badge(label="Key withdrawn", tone="bad"),
    REFUSED: Badge(label="Terminals refused", tone="bad"),
    EXPIRING: Badge(label="Expires soon", tone="warn"),
    OVERLAP: Badge(label="Overlap ends soon", tone="warn"),
    PLAN_CHANGED: Badge(label="Plan changed", tone="warn"),
    State.SUSPENDED: Badge(label=State.SUSPENDED.label, tone=State.SUSPENDED.tone),
    State.PENDING: Badge(label=State.PENDING.label, tone=State.PENDING.tone),
    UNLICENSED: Badge(label="No keys", tone="info"),
}
"""What a subscription may need somebody for, in the order of urgency.

Each is a filter of the list, a count on top of it, and a badge of its rows. All but the states are
of active subscriptions alone.
"""

FEW, MANY = 999, 5_000
"""Up to how many rows are counted: of a need, and of all."""
MOST_URGENT = 10
"""Rows in need that the list begins with, unless another order is asked for."""
KEYS_READ = 1_000
"""Keys among which those that expire soon are counted, so that no page reads all keys."""
NEWEST = 1_000
"""Subscriptions among which the needs that no index finds are counted."""


def narrowed(rows: LicensedSubscriptions, to: str, now: datetime) -> LicensedSubscriptions:
    """Return the rows that a filter leaves: a state or another of NEEDS."""
    if to == EXPIRING:
        return rows.expiring_soon(now)
    if to == EXPIRED:
        return rows.expired(now)
    if to in SEARCHED:
        return SEARCHED[to](rows.in_state(State.ACTIVE, now), now)
    return rows.in_state(State(to), now)


SEARCHED: dict[str, Callable[[LicensedSubscriptions, datetime], LicensedSubscriptions]] = {
    REVOKED: lambda rows, _: rows.revoked(),
    WITHDRAWN: lambda rows, _: rows.withdrawn(),
    REFUSED: lambda rows, now: rows.refused(now, asked=STILL, replaced=GUIDED),
    OVERLAP: lambda rows, now: rows.overlap_ending(now, within=OVERLAP_ENDS_SOON, asked=STILL),
    PLAN_CHANGED: lambda rows, _: rows.plan_changed(),
    UNLICENSED: lambda rows, _: rows.unlicensed(),
}
"""The needs that are asked of each subscription, as no index has them."""


def read_needs(rows: Sequence[Any], now: datetime) -> None:
    """Set what the list shows of subscriptions that have their `effective_state`; two queries.

    `badges` are their state and needs, the gravest first, `files` the slots whose license file can
    be downloaded; the rest is of `read_license_state`.
    """
    read_license_state(rows)
    marked: dict[UUID, set[str]] = {row.pk: set() for row in rows}
    listed = LicensedSubscriptions(Subscription).filter(pk__in=marked).order_by()
    itself = LicensedSubscriptions(Subscription).filter(pk=OuterRef("pk")).order_by()
    marks = {name: Exists(find(itself, now)) for name, find in SEARCHED.items()}
    for id, *are_found in listed.annotate(**marks).values_list("pk", *marks):
        marked[id].update(name for name, is_found in zip(marks, are_found, strict=True) if is_found)
    for row in rows:
        row.badges = _badges(row, marked[row.pk], now)
        is_active = row.effective_state == State.ACTIVE
        row.files = [slot for slot, until in row.expiries.items() if is_active and until > now]


def _badges(row: Any, needs: set[str], now: datetime) -> list[Badge]:
    state = State(row.effective_state)
    if state == State.ACTIVE and row.keys_expire_at:
        if row.keys_expire_at <= now:
            needs.add(EXPIRED)
        elif row.plan.expires_soon(row.keys_expire_at, now):
            needs.add(EXPIRING)
    if state != State.ACTIVE or not needs:
        return [Badge(label=state.label, tone=state.tone)]
    lost = needs & {EXPIRED, REVOKED, WITHDRAWN}
    if lost and row.keys_last_until and row.keys_last_until > now:
        others = [badge for name, badge in NEEDS.items() if name in needs - lost]
        return [Badge(label=ONE_VALID.label, tone=ONE_VALID.tone), *others]
    return [badge for name, badge in NEEDS.items() if name in needs]


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order of the list: the two columns of `keyset_page`, their type, and its direction."""

    name: str
    by: tuple[str, str]
    kind: type[datetime | str] = datetime
    descending: bool = False

    @property
    def aria(self) -> str:
        """The order as `aria-sort` says it."""
        return "descending" if self.descending else "ascending"

    def rows(self, rows: LicensedSubscriptions, *, narrowed_to: str) -> LicensedSubscriptions:
        """Return the rows with what they are ordered by."""
        if self.name == "name":
            return rows.annotate(name_in_order=Lower("name"))
        if self.name == "expiry" and narrowed_to not in {EXPIRING, EXPIRED}:
            return rows.by_expiry()
        return rows


def order(asked: str, *, narrowed_to: str) -> Order:
    """Return the order of that name, backwards behind a minus.

    By default what needs somebody comes first, then the newest; those whose keys expire are in the
    order of their expiry.
    """
    name, is_back = asked.removeprefix("-"), asked.startswith("-")
    if not asked:
        name = "expiry" if narrowed_to in {EXPIRING, EXPIRED} else "need"
    if name == "need":
        return Order(name=name, by=("created_at", "id"), descending=True)
    if name == "name":
        return Order(name=name, by=("name_in_order", "id"), kind=str, descending=is_back)
    if name == "expiry":
        return Order(name=name, by=("keys_expire_at", "id"), descending=is_back)
    return Order(name="added", by=("created_at", "id"), descending=is_back or name != "added")


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head of a column: what sorts by it, and how the list is sorted by it, if at all."""

    label: str
    sort: str = ""
    aria: str = ""

    @property
    def css(self) -> str:
        """The class of the column's cells, as far as it has one."""
        return self.label.rpartition(" ")[2].lower()


def heads(current: Order) -> list[Head]:
    """Return the heads of the columns; the one by which the list is sorted turns it round."""

    def head(label: str, name: str, *, first: str = "") -> Head:
        if current.name != name:
            return Head(label=label, sort=f"{first}{name}")
        sort = name if current.descending else f"-{name}"
        return Head(label=label, sort=sort, aria=current.aria)

    return [
        head("Name", "name"),
        Head(label="Identifier"),
        Head(label="Plan"),
        Head(label="State and needs"),
        head("Keys expire", "expiry"),
        head("Added", "added", first="-"),
    ]


@dataclass(frozen=True, kw_only=True)
class Count:
    """A number of rows, counted up to a limit."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number:,}+" if self.is_more else f"{self.number:,}"

    def pages(self, size: int) -> str:
        """Return how many pages of that size there are: " of 3", or " of more than 200"."""
        if self.is_more:
            return f" of more than {self.number // size:,}"
        return f" of {self.last_page(size):,}"

    def last_page(self, size: int) -> int:
        """Return the number of the last page, as far as rows were counted."""
        return max(self.number // size if self.is_more else -(-self.number // size), 1)

    def page(self, asked: str, size: int) -> int:
        """Return the number of the page that was asked for: 1 for what is no number."""
        number = int(asked) if asked.isdecimal() and len(asked) < 10 else 1
        return min(max(number, 1), self.last_page(size))


class BoundedCount(Subquery):
    """The number of rows of a query that has a limit."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How many subscriptions of a tenant there are, by filter ("" is all of them)."""

    counts: dict[str, Count]
    most_urgent: tuple[UUID, ...]
    may_start_community: bool


def overview(tenant: Tenant) -> Overview:
    """Return the overview of the tenant's subscriptions.

    It is remembered until something is recorded in the tenant's log, at most for a minute: whatever
    changes a subscription or a key records it.
    """
    recorded = LogChain.objects.filter(pk=tenant.pk).values_list("count", flat=True).first()
    return _overview(tenant.pk, recorded, timezone.now().replace(second=0, microsecond=0))


@lru_cache(maxsize=1_000)
def _overview(tenant_id: UUID, _recorded: int | None, _minute: datetime) -> Overview:
    now = timezone.now()
    rows = LicensedSubscriptions(Subscription).filter(tenant=tenant_id).order_by()
    keys = LicenseKey.objects.current().filter(tenant=tenant_id, revoked_at=None)
    until = now + max(EXPIRY_NOTICE.values())
    soon = keys.filter(expires_at__gt=now, expires_at__lte=until).order_by("expires_at")
    past = keys.filter(expires_at__lte=now).order_by("-expires_at")
    in_need = {
        EXPIRED: rows.expired(now, among=past.values("pk")[:KEYS_READ]),
        EXPIRING: rows.expiring_soon(now, among=soon.values("pk")[:KEYS_READ]),
    }
    in_state = {state.value: rows.in_state(state, now) for state in State}
    newest = rows.order_by("-created_at", "-id").values("pk")[:NEWEST]
    searched = {
        name: narrowed(rows.filter(pk__in=newest), name, now).order_by("created_at")
        for name in SEARCHED
    }
    counted: dict[str, QuerySet[Any, Any]] = {
        "": rows[: MANY + 1],
        **{name: query[: MANY + 1] for name, query in in_state.items()},
        **{name: query[: FEW + 1] for name, query in {**in_need, **searched}.items()},
        "soon": soon[:KEYS_READ],
        "past": past[:KEYS_READ],
    }
    expressions = [BoundedCount(query.values("pk")) for query in counted.values()]
    *numbers, may_start = Tenant.objects.values_list(
        *expressions, Exists(startable_plans(tenant_id))
    ).get(pk=tenant_id)
    found = dict(zip(counted, numbers, strict=True))
    is_more = {EXPIRING: found.pop("soon") == KEYS_READ, EXPIRED: found.pop("past") == KEYS_READ}
    is_more |= dict.fromkeys(SEARCHED, found[""] > NEWEST)
    urgent: dict[UUID, None] = {}
    for need in NEEDS:
        if need != UNLICENSED and found[need] and len(urgent) < MOST_URGENT:
            by = "keys_expire_at" if need in in_need else "ends_at"  # as an index has them
            queries: dict[str, Any] = {**in_state, **in_need, **searched}
            query = queries[need] if need in searched else queries[need].order_by(by)
            urgent |= dict.fromkeys(query.values_list("pk", flat=True)[:MOST_URGENT])
    return Overview(
        counts={
            name: Count(
                number=min(number, limit),
                is_more=number > limit or is_more.get(name, False),
            )
            for name, number in found.items()
            for limit in [FEW if name in is_more else MANY]
        },
        most_urgent=tuple(urgent)[:MOST_URGENT],
        may_start_community=may_start,
    )
