"""Operators: the second factor without which none comes in, and what their groups may see."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.operators.flows.groups import set_operator
from portal.tenants.models import Tenant
from tests.support.accounts import make_user, sign_in
from tests.support.admin_pages import LOOKED_AT, address
from tests.support.operator_actions import do, operator_of, results


def test_staff_without_a_second_factor_are_led_to_where_they_get_one(db):
    client = sign_in(Client(), make_user(email="new@vendor.example", is_staff=True))
    page = client.get("/admin/", follow=True)
    assert page.redirect_chain[-1][0] == reverse("mfa_index")
    assert "Operators need a second factor." in page.content.decode()
    assert client.get(address(LOOKED_AT[0], "changelist")).status_code == 302


def test_staff_who_did_not_use_it_in_this_session_prove_themselves(operator):
    client = Client()
    client.force_login(operator)
    page = client.get("/admin/portal/tenant/", follow=True)
    assert page.redirect_chain[-1][0].startswith(reverse("mfa_reauthenticate"))
    assert "next=%2Fadmin%2Fportal%2Ftenant%2F" in page.redirect_chain[-1][0].replace("/", "%2F")


def test_a_factor_that_was_removed_opens_nothing_any_more(operator_client, operator):
    assert operator_client.get("/admin/").status_code == 200
    operator.authenticator_set.all().delete()
    assert operator_client.get("/admin/").status_code == 302


GROUPS = {
    "support": {"portal.support_tenant", "portal.change_outbox"},
    "sales": {
        "portal.add_tenant",
        "portal.change_tenant",
        "subscriptions.add_subscription",
        "subscriptions.change_subscription",
    },
    "security": {
        "portal.change_user",
        "portal.change_member",
        "portal.change_pendingchange",
        "portal.change_endpoint",
        "portal.change_outbox",
        "licenses.change_licensekey",
        "licenses.add_signingkey",
        "licenses.change_signingkey",
    },
}


def permissions(group):
    return {
        f"{permission.content_type.app_label}.{permission.codename}"
        for permission in group.permissions.select_related("content_type")
    }


def test_groups_read_everything_and_do_what_they_are_for(db):
    for name, does in GROUPS.items():
        has = permissions(Group.objects.get(name=name))
        reads = {name for name in has if ".view_" in name}
        assert has - reads == does
        assert {f"{m._meta.app_label}.view_{m._meta.model_name}" for m in LOOKED_AT} <= reads


def test_groups_are_made_right_by_every_migrate(db):
    group = Group.objects.get(name="sales")
    group.permissions.clear()
    Group.objects.get(name="support").delete()
    call_command("migrate", verbosity=0)
    assert permissions(group) >= GROUPS["sales"]
    assert Group.objects.filter(name__in=GROUPS).count() == 3


@pytest.mark.parametrize(
    ("group", "signing_keys", "support_view"), [("support", 403, 200), ("security", 200, 403)]
)
def test_what_has_a_page_of_its_own(group, signing_keys, support_view, contoso, signing_key):
    client = operator_of(group)
    create = client.get(reverse("admin:licenses_signingkey_create"))
    assert create.status_code == signing_keys
    start = reverse("admin:portal_tenant_start_support_view", args=[contoso.pk])
    assert client.get(start).status_code == support_view


def test_a_superuser_says_who_is_an_operator(operator_client, operator):
    user = make_user(email="new@vendor.example")
    groups = list(Group.objects.filter(name__in=["sales", "support"]).values_list("pk", flat=True))
    response = do(operator_client, [user], "set_operator", is_staff="on", groups=groups)
    assert results(response) == [
        ("New", "new@vendor.example may enter the admin; groups: support, sales.")
    ]
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (True, False)
    entry = LogEntry.objects.get()
    assert (entry.action, entry.actor_id, entry.reason) == (
        "operator.changed",
        operator.pk,
        "Ticket 42",
    )
    assert entry.details["before"] == {"operator": False, "groups": []}
    assert entry.details["after"] == {"operator": True, "groups": ["sales", "support"]}
    do(operator_client, [user], "set_operator")
    user.refresh_from_db()
    assert (user.is_staff, user.groups.count()) == (False, 0)


def test_what_an_account_may_do_is_read_again_under_its_lock(operator):
    user = make_user(email="new@vendor.example")
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    with pytest.raises(Refused, match="This account may do everything"):
        set_operator(user=user, is_staff=True, groups=[], actor=SYSTEM, reason="Ticket 42")
    assert User.objects.get(pk=user.pk).is_staff is False


def test_nobody_changes_their_own_groups(operator_client, operator):
    assert results(do(operator_client, [operator], "set_operator")) == [
        (str(operator), "Another operator must change your own groups.")
    ]


@pytest.mark.parametrize("group", ["support", None])
def test_who_may_not_look_gets_no_export_either(group, contoso):
    client = operator_of(group)
    allowed = 200 if group else 403
    for model in (Tenant, *LOOKED_AT):
        assert client.get(address(model, "export")).status_code == allowed


def test_a_support_view_ends_with_the_permission_for_it(contoso):
    client = operator_of("support")
    start = reverse("admin:portal_tenant_start_support_view", args=[contoso.pk])
    assert client.post(start, {"reason": "Ticket 42"}).status_code == 302
    assert client.get("/logs/").status_code == 200
    User.objects.get(email="support@vendor.example").groups.clear()
    answer = client.get("/logs/")
    assert answer.status_code != 200
    assert "Contoso" not in answer.content.decode()
