"""One search over everything that customers quote: on the start page, for support on the phone.

Identifiers, key ids and email addresses are looked up by their indexes; only other text is looked
for in names. A pasted license key never gets into an address.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from licenses.admin.finding import check_address, key_of
from licenses.models import License, LicenseKey, SigningKey
from portal.accounts.models import User
from portal.core import names
from portal.core.refusal import Refused
from portal.operators import search
from portal.operators.pasted_keys import LOOKS_LIKE_A_KEY
from portal.tenants.models import Invitation, Tenant
from subscriptions.models import Subscription

MOST = 10
"""Rows of each kind that are shown: whoever looks for one thing types more of its name."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Something that was found; `customers` are the tenants that it leads to."""

    kind: str
    name: str
    address: str
    about: str
    customers: list[Tenant]
    fragment: str
    """Where on the customer's page the row is."""


def customer_address(tenant_id: Any) -> str:
    """Return the address of the page that shows everything of a customer."""
    return reverse("admin:portal_tenant_customer", args=[tenant_id])


def search_view(request: HttpRequest) -> HttpResponse:
    """Show what is found; what is sent by POST comes back as an address, unless it is a key."""
    refusal, term = "", request.POST.get("q") or request.GET.get("q", "")
    if request.method == "POST" and LOOKS_LIKE_A_KEY.search(term):
        try:
            return redirect(check_address(key_of(term)))
        except Refused as refused:
            refusal, term = refused.sentence, ""
    elif request.method == "POST":
        return redirect(reverse("admin:search", query={"q": term}))
    term = names.normalised(term)
    hits = list(found(term, request)) if _is_text(term) else []
    if len(hits) == 1 and search.identifier(term) and len(hits[0].customers) == 1:
        return redirect(customer_address(hits[0].customers[0].pk) + hits[0].fragment)
    context = {
        **admin.site.each_context(request),
        "title": "Search",
        "term": term,
        "hits": hits,
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


def found(term: str, request: HttpRequest) -> Iterator[Hit]:
    """Yield what the term identifies or, if it is no identifier, what has it in its name."""
    for rows in _rows(term):
        opts = rows.model._meta
        if request.user.has_perm(f"{opts.app_label}.view_{opts.model_name}"):
            yield from map(_hit, rows[:MOST])


def _rows(term: str) -> list[QuerySet[Any]]:
    """Return the rows of each kind to look at."""
    tenants, people = Tenant.objects.all(), User.objects.prefetch_related("memberships__tenant")
    subscriptions = Subscription.objects.select_related("tenant", "plan")
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
    if search.DOMAIN.fullmatch(term):
        domain = people.filter(email__iendswith="@" + term.removeprefix("@"))
        return [tenants.filter(name__shows=term), subscriptions.filter(name__shows=term), domain]
    named = [
        tenants.filter(name__shows=term),
        people.filter(name__shows=term),
        subscriptions.filter(name__shows=term),
    ]
    between = search.beginning(term)
    if between is None:
        return named
    return [*named, *_identified({"__gte": between[0], "__lte": between[1]})]


def _identified(is_: dict[str, UUID]) -> list[QuerySet[Any]]:
    """Return the rows of which an identifier meets these look-ups."""

    def by(column: str) -> dict[str, UUID]:
        return {f"{column}{lookup}": value for lookup, value in is_.items()}

    licenses = License.objects.select_related("tenant", "subscription")
    keys = LicenseKey.objects.defer("token").select_related("tenant", "license__subscription")
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
        kind=str(row._meta.verbose_name).capitalize(),
        name=_name(row),
        address=_page(row),
        about=_about(row),
        customers=_customers(row),
        fragment=_fragment(row),
    )


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
