"""What the list of subscriptions is narrowed to and sorted by, and the counts on top of it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Exists, IntegerField, QuerySet, Subquery
from django.db.models.functions import Lower
from django.utils import timezone

from licenses.models import LicensedSubscriptions, LicenseKey
from portal.activity.models import LogChain
from portal.tenants.models import Tenant
from subscriptions.flows.start_community import startable_plans
from subscriptions.models import EXPIRY_NOTICE, State, Subscription

EXPIRING, EXPIRED, UNLICENSED = "expiring", "expired", "unlicensed"
NEEDS = {
    EXPIRING: ("Expires soon", "warn"),
    EXPIRED: ("Expired", "bad"),
    State.PENDING: ("Pending", "info"),
    State.SUSPENDED: ("Suspended", "warn"),
}
"""Filters whose subscriptions need somebody, with label and tone, in the order of urgency."""

FEW, MANY = 99, 5_000
"""Up to how many rows are counted: of a need, and of all."""
MOST_URGENT = 10
"""Rows in need that the list begins with, unless another order is asked for."""
KEYS_READ = 1_000
"""Keys among which those that expire soon are counted, so that no page reads all keys."""


def narrowed(rows: LicensedSubscriptions, to: str, now: datetime) -> LicensedSubscriptions:
    """Return the rows that a filter leaves: a state, EXPIRING, EXPIRED or UNLICENSED."""
    if to == EXPIRING:
        return rows.expiring_soon(now)
    if to == EXPIRED:
        return rows.expired(now)
    if to == UNLICENSED:
        return rows.in_state(State.ACTIVE, now).unlicensed()
    return rows.in_state(State(to), now)


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
        Head(label="State"),
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
    counted: dict[str, QuerySet[Any, Any]] = {
        "": rows[: MANY + 1],
        **{name: query[: MANY + 1] for name, query in in_state.items()},
        **{name: query[: FEW + 1] for name, query in in_need.items()},
        "soon": soon[:KEYS_READ],
        "past": past[:KEYS_READ],
    }
    expressions = [BoundedCount(query.values("pk")) for query in counted.values()]
    *numbers, may_start = Tenant.objects.values_list(
        *expressions, Exists(startable_plans(tenant_id))
    ).get(pk=tenant_id)
    found = dict(zip(counted, numbers, strict=True))
    read = {EXPIRING: found.pop("soon"), EXPIRED: found.pop("past")}
    urgent: list[UUID] = []
    for need in (EXPIRED, EXPIRING, State.SUSPENDED, State.PENDING):
        if found[need] and len(urgent) < MOST_URGENT:
            by = "keys_expire_at" if need in in_need else "ends_at"  # as an index has them
            ids = (in_need | in_state)[need].order_by(by).values_list("pk", flat=True)
            urgent += ids[: MOST_URGENT - len(urgent)]
    return Overview(
        counts={
            name: Count(
                number=min(number, limit),
                is_more=number > limit or read.get(name) == KEYS_READ,
            )
            for name, number in found.items()
            for limit in [FEW if name in read else MANY]
        },
        most_urgent=tuple(urgent),
        may_start_community=may_start,
    )
