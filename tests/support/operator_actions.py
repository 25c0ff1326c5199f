"""Operator actions, chosen and confirmed as an operator does it."""

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from tests.support.accounts import make_user, sign_in
from tests.support.admin_pages import address

WHY = "Ticket 42"


def do(client, rows, name, **fields):
    """Send the confirmation page of an operator action."""
    model = type(rows[0])
    values = {"row": [row.pk for row in rows], "reason": WHY, **fields}
    return client.post(address(model, "do", name), values)


def ask(client, rows, name):
    """Choose an operator action on the list, for these rows."""
    values = {"action": name, "_selected_action": [row.pk for row in rows]}
    return client.post(address(type(rows[0]), "changelist"), values)


def results(response):
    assert response.status_code == 200, response.content.decode()
    return [(str(result.row), result.text) for result in response.context["results"]]


def operator_of(group: str | None, **options: Any) -> Client:
    user = make_user(email=f"{group}@vendor.example", is_staff=True, two_factor=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return sign_in(Client(), user, **options)


TENANTS = """name,country,owner_email,requires_two_factor
Northwind,NLD,jane@northwind.example,true
"'=Formula, Inc",USA,joe@formula.example,
Nowhere,XXX,jim@nowhere.example,
Contoso,USA,owner@contoso.example,
"""
