"""Whatever a stranger writes into an address ends as a page, a sentence or 4xx, never as an error.

The same list goes through every GET parameter that a form or a list of the admin knows, and
through every argument of a path.
"""

import re
from collections.abc import Iterator
from itertools import cycle, islice
from time import thread_time
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import get_resolver

from licenses.models import LicenseKey
from portal.accounts.models import User
from portal.tenants.models import Role, Tenant
from subscriptions.models import Subscription
from tests.support.admin_pages import address, fill
from tests.support.factories import make_tenant
from tests.support.strange import LONG, NASTY
from tests.support.urls import walk

CPU_SECONDS = 5
"""Far more than any page takes; what is quadratic in the length of LONG takes longer."""

FEW = ["9" * 23, str(2**63), "abc", "\x00", "0001-01-01T00:00:00+14:00"]
"""Those that lists of the admin and paths get: there are many."""

MEMBER_PARAMETERS = {
    "/subscriptions/": ["q", "state", "sort", "rows", "after", "before"],
    "/logs/": ["person", "action", "subscription", "since", "until", "after", "before", "page"],
    "/logs/export/": ["person", "action", "subscription", "since", "until"],
    "/identifiers/": ["q", "keys", "after", "before", "page"],
    "/subscriptions/{id}/check/": ["slot"],
    "/public/status": ["time"],
    "/accounts/login/": ["next"],
    "/accounts/reauthenticate/": ["next"],
    "/": ["page", "next"],
}


def failing(client: Client, urls: Iterator[tuple[str, dict[str, str]]]) -> tuple[int, list[Any]]:
    """Return how many addresses were asked for, and those that ended in an error of ours.

    One that took more than CPU_SECONDS counts as an error.
    """
    client.raise_request_exception = False
    count, found = 0, []
    for url, query in urls:
        begin = thread_time()
        response = client.get(url, query)
        count += 1
        if response.status_code >= 500 or thread_time() - begin > CPU_SECONDS:
            found.append((url[:200], query, response.status_code))
    return count, found


@pytest.fixture
def subscription(contoso: Tenant, manager: User, signing_key: Any) -> Subscription:
    fill()
    for user in User.objects.filter(memberships__tenant=contoso):
        make_tenant().memberships.create(user=user, role=Role.OWNER)
    return LicenseKey.objects.earliest("pk").license.subscription


@pytest.mark.parametrize("value", LONG, ids=["run", "dots", "accents"])
def test_a_long_value_from_a_stranger_costs_little(value, client, db):
    addresses = ["/admin/", "/admin/portal/user/", "/public/status"]
    _, found = failing(client, ((url, {"q": value}) for url in addresses))
    assert found == []


@pytest.mark.sweep
def test_no_parameter_of_a_members_page_ends_in_an_error(manager_client, subscription):
    urls = (
        (page.format(id=subscription.pk), {name: value})
        for page, names in MEMBER_PARAMETERS.items()
        for name in names
        for value in NASTY
    )
    count, found = failing(manager_client, urls)
    assert found == []
    assert count > 300


def parameters(request: Any, page: Any) -> Iterator[str]:
    """Yield the parameters that a list of the admin knows: its filters, and its columns."""
    yield from ("q", "p", "o", "all", "_to_field", "_popup")
    for spec in page.get_changelist_instance(request).filter_specs:
        yield from spec.expected_parameters()
    for column in page.opts.concrete_fields:
        kind = column.get_internal_type()
        if kind.endswith(("IntegerField", "AutoField", "DateTimeField", "UUIDField")):
            lookup = "__gte" if kind == "DateTimeField" else "__exact"
            yield f"{column.name}{lookup}"
    yield "pk__in"


@pytest.mark.sweep
def test_no_parameter_of_a_list_ends_in_an_error(operator_client, operator, subscription):
    request = RequestFactory().get("/")
    request.user = operator
    urls = (
        (address(model, "changelist" if len(name) < 4 else "export"), {name: value})
        for model, page in admin.site._registry.items()
        for name in dict.fromkeys(parameters(request, page))
        for value in [LONG[0], *FEW]
    )
    count, found = failing(operator_client, urls)
    assert found == []
    assert count > 300


def paths(many: bool) -> Iterator[str]:
    """Yield every address that takes arguments, with a value of the list in place of all of them.

    With `many`, each address comes with every value, otherwise with two of them in turn.
    """
    values = [LONG[0], *FEW]
    turn = cycle(values)
    for _, route, _ in walk(get_resolver().url_patterns):
        whole = re.sub(r"\\Z|\^|\$", "", route)
        if "<" not in whole or "(" in whole:
            continue
        for value in values if many else islice(turn, 2):
            quoted = value.replace("\x00", "%00")
            yield "/" + re.sub(r"<[^>]+>", lambda _, quoted=quoted: quoted, whole)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("person", "many"),
    [
        pytest.param("manager_client", False, id="manager"),
        pytest.param("manager_client", True, id="manager, all", marks=pytest.mark.sweep),
        pytest.param("operator_client", True, id="operator, all", marks=pytest.mark.sweep),
    ],
)
def test_no_argument_of_a_path_ends_in_an_error(person, many, subscription, request):
    client = request.getfixturevalue(person)
    count, found = failing(client, ((url, {}) for url in paths(many)))
    assert found == []
    assert count > 80


@pytest.mark.parametrize("value", FEW)
def test_no_row_that_an_operator_chooses_ends_in_an_error(value, operator_client, subscription):
    operator_client.raise_request_exception = False
    found = []
    for model, page in admin.site._registry.items():
        posts = [
            (address(model, "changelist"), {"action": action.name, "_selected_action": value})
            for action in getattr(page, "operator_actions", ())
        ] + [
            (address(model, "do", action.name), {"row": value, "reason": "x"})
            for action in getattr(page, "operator_actions", ())
            if not (action.on_page or action.makes_new)
        ]
        for url, sent in posts:
            status = operator_client.post(url, sent).status_code
            if status >= 500:
                found.append((url, status))
    assert found == []
