"""One search over everything that customers quote: on the start page, for support on the phone.

Identifiers, key ids and whole email addresses are looked up by their indexes. Of other text every
word is looked for in the names and addresses of each kind, which reads the table once at most. A
pasted license key never gets into an address.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Case, CharField, Model, QuerySet, Value, When
from django.db.models.functions import Concat, Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst

from licenses.admin.finding import answer_to, begins_like_a_key, check_address
from licenses.admin.health import badge_of_any
from licenses.models import License, LicenseKey, SigningKey
from portal.accounts.models import User
from portal.core import names
from portal.core.refusal import Refused
from portal.operators import search
from portal.operators.model_admin import listing
from portal.operators.pasted_keys import LOOKS_LIKE_A_KEY
from portal.operators.values import Shown, badge
from portal.tenants.models import Invitation, Tenant
from subscriptions.models import Subscription

MOST = 10
"""Rows of each kind that are shown; the list of the kind has the others."""

MAX_WORDS = 8
"""Most words that are looked for: each is a condition of its own."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Something that was found; `customers` are the tenants that it leads to."""

    name: str
    address: str
    about: str
    state: Shown | None
    customers: list[Tenant]
    fragment: str
    """Where on the customer's page the row is."""

    @property
    def leads_to(self) -> str:
        """Where somebody goes who asked for nothing else: a key's verdict, else the customer."""
        if self.address.endswith("/check/"):
            return self.address
        return customer_address(self.customers[0].pk) + self.fragment


@dataclass(frozen=True, kw_only=True)
class Group:
    """What was found of one kind; `more` is the address of the list that has the others."""

    kind: str
    hits: list[Hit]
    more: str

    @property
    def customer(self) -> Tenant | None:
        """The tenant that all rows lead to, if they lead to a single one."""
        tenants = {tenant.pk: tenant for hit in self.hits for tenant in hit.customers}
        return next(iter(tenants.values())) if len(tenants) == 1 and len(self.hits) > 1 else None


def customer_address(tenant_id: Any) -> str:
    """Return the address of the page that shows everything of a customer."""
    return reverse("admin:portal_tenant_customer", args=[tenant_id])


def search_view(request: HttpRequest) -> HttpResponse:
    """Show what is found; what is sent by POST comes back as an address, unless it is a key."""
    refusal, term = "", request.POST.get("q") or request.GET.get("q", "")
    is_key = begins_like_a_key(term) or bool(LOOKS_LIKE_A_KEY.search(term))
    if request.method == "POST" and is_key:
        page = admin.site.get_model_admin(LicenseKey)
        if not page.has_view_permission(request):
            raise PermissionDenied
        try:
            return answer_to(page, request, term)  # type: ignore[arg-type]
        except Refused as refused:
            refusal, term = f"{refused.sentence} What was pasted is not kept.", ""
    elif request.method == "POST":
        return redirect(reverse("admin:search", query={"q": term}))
    term = names.normalised(search.address_in(term))
    groups = list(found(term, request)) if _is_text(term) else []
    hits = [hit for group in groups for hit in group.hits]
    if len(hits) == 1 and search.identifier(term) and len(hits[0].customers) == 1:
        return redirect(hits[0].leads_to)
    context = {
        **admin.site.each_context(request),
        "title": "Search",
        "term": term,
        "is_key": is_key,
        "left_out": " ".join(term.split()[MAX_WORDS:]),
        "hits": hits,
        "groups": groups,
        "refusal": refusal,
    }
    return TemplateResponse(request, "admin/search.html", context)


def _is_text(term: str) -> bool:
    """Return whether there can be a name like this."""
    try:
        names.validate(term)
    except ValidationError:
        return False
    return len(term) <= search.MAX_CHARACTERS


def found(term: str, request: HttpRequest) -> Iterator[Group]:
    """Yield what the term identifies or, if it is no identifier, what has all its words."""
    for rows in _rows(term):
        opts = rows.model._meta
        if not request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}"):
            continue
        if read := list(rows[: MOST + 1]):
            name = f"{opts.app_label}_{opts.model_name}"
            yield Group(
                kind=capfirst(opts.verbose_name_plural),
                hits=[_hit(row) for row in read[:MOST]],
                more=listing(name, q=term) if len(read) > MOST else "",
            )


def _rows(term: str) -> list[QuerySet[Any]]:
    """Return the rows of each kind to look at."""
    people = User.objects.prefetch_related("memberships__tenant")
    identifier = search.identifier(term)
    if identifier is not None:
        return _identified({"": identifier})
    if search.KEY_ID.fullmatch(term):
        return [SigningKey.objects.defer("private_key").filter(kid=term)]
    local, _, host = term.partition("@")
    if local and host and "." not in host:
        return [people.filter(email__istartswith=term)]
    if "@" in term.removeprefix("@"):
        # Not iexact, which finds no index on either database.
        same = people.alias(lower=Lower("email")).filter(lower=term.lower())
        invited = Invitation.objects.pending().select_related("tenant")
        return [same, invited.alias(lower=Lower("email")).filter(lower=term.lower())]
    between = search.beginning(term)
    identified = _identified({"__gte": between[0], "__lte": between[1]}) if between else []
    return [*_named(term), *identified] if any(map(str.isalnum, term)) else []


def _named(term: str) -> list[QuerySet[Any]]:
    """Return the rows that have every word of the term, those whose name begins so first.

    Of a subscription the words may stand in the tenant's name too, of people in their address.
    """
    subscriptions = Subscription.objects.select_related("tenant", "plan")
    people = User.objects.prefetch_related("memberships__tenant")
    rows = [
        (Tenant.objects.all(), ["name"]),
        (people, ["name", "email"]),
        (subscriptions, ["name", "tenant__name"]),
        (Invitation.objects.pending().select_related("tenant"), ["email"]),
    ]
    return [_with_words(each, columns, term) for each, columns in rows]


def _with_words(rows: QuerySet[Any], columns: list[str], term: str) -> QuerySet[Any]:
    first = columns[0]
    rows = rows.order_by(Case(When(**{f"{first}__istartswith": term}, then=0), default=1), first)
    spaced = [part for column in columns for part in (column, Value(" "))]
    rows = rows.alias(words=Concat(*spaced, output_field=CharField()))
    for word in term.split()[:MAX_WORDS]:
        rows = rows.filter(words__shows=word)
    return rows


def _identified(is_: dict[str, UUID]) -> list[QuerySet[Any]]:
    """Return the rows of which an identifier meets these look-ups."""

    def by(column: str) -> dict[str, UUID]:
        return {f"{column}{lookup}": value for lookup, value in is_.items()}

    licenses = License.objects.select_related("tenant", "subscription")
    keys = LicenseKey.objects.defer("token").select_related("tenant", "license__subscription__plan")
    return [
        Tenant.objects.filter(**by("pk")),
        Subscription.objects.select_related("tenant", "plan").filter(**by("pk")),
        licenses.filter(**by("authorized_application_id")),
        licenses.filter(**by("pk")),
        keys.filter(**by("jti")),
        User.objects.prefetch_related("memberships__tenant").filter(**by("pk")),
    ]


def _hit(row: Model) -> Hit:
    return Hit(
        name=_name(row),
        address=_page(row),
        about=_about(row),
        state=_state(row),
        customers=_customers(row),
        fragment=_fragment(row),
    )


def _state(row: Any) -> Shown | None:
    """Return what decides whether this is what the customer means, as a badge."""
    now = timezone.now()
    if isinstance(row, Subscription):
        state = row.state_at(now)
        return badge(state.label, state.tone)
    if isinstance(row, LicenseKey):
        return badge_of_any(row, now)
    if isinstance(row, License) and row.deleted_at:
        return badge("Deleted", "muted")
    if isinstance(row, Tenant) and row.closes_at:
        return badge("Closed", "muted") if row.closed_at else badge("Closes", "warn")
    return badge("Deactivated", "bad") if isinstance(row, User) and not row.is_active else None


def _name(row: Any) -> str:
    if isinstance(row, LicenseKey):
        return f"{row.get_slot_display()} key of {row.license.subscription}"
    if isinstance(row, License):
        return f"{row.holder_name}: {row.subscription}"
    return str(row.email) if isinstance(row, Invitation) else str(row)


def _about(row: Any) -> str:
    """Return what tells the row from others of the same name."""
    if isinstance(row, Tenant):
        return row.get_country_name()
    if isinstance(row, User):
        return row.email
    if isinstance(row, Subscription):
        return str(row.plan)
    if isinstance(row, LicenseKey):
        return f"jti {row.jti}"
    if isinstance(row, License):
        return f"authorized application {row.authorized_application_id}"
    return f"invited as {row.get_role_display().lower()}" if isinstance(row, Invitation) else ""


def _customers(row: Any) -> list[Tenant]:
    if isinstance(row, Tenant):
        return [row]
    if isinstance(row, User):
        return [member.tenant for member in row.memberships.all()]
    return [row.tenant] if hasattr(row, "tenant") else []


def _fragment(row: Any) -> str:
    if isinstance(row, LicenseKey):
        row = row.license
    subscription = row.subscription_id if isinstance(row, License) else row.pk
    return f"#subscription-{subscription}" if isinstance(row, (License, Subscription)) else ""


def _page(row: Any) -> str:
    if isinstance(row, Tenant):
        return customer_address(row.pk)
    if isinstance(row, Invitation):
        return customer_address(row.tenant_id)
    if isinstance(row, LicenseKey):
        return check_address(row)
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
