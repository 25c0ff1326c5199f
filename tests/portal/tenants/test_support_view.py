"""The support view: what the operator sees, for how long, and what the tenant's log tells."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from licenses.models import CheckCount, LicenseKey
from portal.activity.models import LogEntry
from portal.tenants.models import Member, Role
from tests.support.answers import messages_of
from tests.support.factories import make_license, make_subscription

LIST = "/subscriptions/"
END = "/admin/portal/tenant/end-support-view/"


def start(tenant) -> str:
    return reverse("admin:portal_tenant_start_support_view", args=[tenant.pk])


def rows(tenant) -> list[tuple[str, ...]]:
    """Return the log that the tenant sees, the oldest row first."""
    entries = LogEntry.objects.for_tenant(tenant.pk).order_by("seq")
    return [(row.action, row.actor_email, row.reason) for row in entries]


STARTED = ("support_view.started", "operator@vendor.example", "Ticket 42")
ENDED = ("support_view.ended", "operator@vendor.example", "Ticket 42")


def test_the_operator_sees_what_a_viewer_sees_and_stays_who_they_are(
    support_client, contoso, operator, viewer_client, signing_key
):
    make_license(subscription=make_subscription(tenant=contoso, name="Shop analytics"))
    seen, own = support_client.get(LIST), viewer_client.get(LIST)
    assert seen.context["page"].rows == own.context["page"].rows
    assert seen.wsgi_request.user == operator
    assert (seen.wsgi_request.member.role, seen.wsgi_request.member.pk) == (Role.VIEWER, None)
    assert seen.context["may_start_community"] is False
    assert Member.objects.filter(user=operator).count() == 0
    assert rows(contoso) == [STARTED]


def test_every_page_says_so_and_has_the_way_out(support_client, viewer_client, contoso):
    page = support_client.get(LIST).content.decode()
    assert page.count("Support view of Contoso") == 1
    assert page.count("Reason: Ticket 42") == 1
    assert page.count(f'<form method="post" action="{END}">') == 1
    refused = support_client.post("/subscriptions/start-community/")
    assert refused.status_code == 403
    assert refused.content.decode().count("Support view of Contoso") == 1
    assert viewer_client.get(LIST).content.decode().count("Support view") == 0


def test_no_license_key_and_no_file_is_handed_out(support_client, contoso, signing_key):
    license = make_license(subscription=make_subscription(tenant=contoso))
    address = reverse("subscriptions:detail", args=[license.subscription_id])
    page = support_client.get(address).content.decode()
    key = license.keys.get(slot="primary")
    assert page.count(str(key.jti)) == 1
    signatures = [part for part in key.token.split(".") if len(part) > 50]
    assert [part for part in signatures if part in page] == []
    for name in ("download", "check", "reset"):
        assert page.count(f'id="{name}-primary"') == 0, name
    assert page.count('id="check-presented"') == 0
    claims = reverse("licenses:claims", args=[license.subscription_id, "primary"])
    assert key.token.rpartition(".")[2] not in support_client.get(claims).content.decode()
    before = [*LicenseKey.objects.values()], [*CheckCount.objects.values()]
    download = reverse("licenses:download", args=[license.subscription_id, "primary"])
    answer = support_client.get(download)
    assert answer.status_code == 403
    assert answer.context["exception"] == (
        "This is a support view: you see what the tenant sees, and nothing can be changed or "
        "taken. End the support view first."
    )
    assert ([*LicenseKey.objects.values()], [*CheckCount.objects.values()]) == before
    assert rows(contoso) == [STARTED]


def test_another_tenant_does_not_exist(support_client, fabrikam):
    foreign = make_subscription(tenant=fabrikam)
    answer = support_client.get(reverse("subscriptions:detail", args=[foreign.pk]))
    assert answer.status_code == 404


def test_a_reason_is_required(operator_client, contoso):
    answer = operator_client.post(start(contoso), {"reason": " "})
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"reason": ["Write why you do this."]}
    assert (operator_client.get(LIST).status_code, rows(contoso)) == (403, [])


def test_it_ends_when_the_operator_says_so(support_client, contoso):
    answer = support_client.post(END)
    assert answer["Location"] == reverse("admin:portal_tenant_change", args=[contoso.pk])
    assert messages_of(answer) == ["The support view of Contoso has ended."]
    assert support_client.get(LIST).status_code == 403
    assert rows(contoso) == [STARTED, ENDED]
    assert support_client.post(END)["Location"] == "/admin/"
    assert support_client.get(END).status_code == 404
    assert len(rows(contoso)) == 2


def test_it_ends_by_itself_after_30_minutes(support_client, contoso):
    begun = timezone.now()
    with time_machine.travel(begun + timedelta(minutes=29), tick=False):
        assert support_client.get(LIST).status_code == 200
    with time_machine.travel(begun + timedelta(minutes=30, seconds=1), tick=False):
        answer = support_client.get(LIST)
        assert answer["Location"] == reverse("admin:portal_tenant_change", args=[contoso.pk])
        assert messages_of(answer) == ["The support view of Contoso has ended: its time is up."]
        assert support_client.get(LIST).status_code == 403
    assert rows(contoso) == [STARTED, ENDED]
    assert LogEntry.objects.latest("pk").details == {"ended_by": "time limit"}


def test_it_ends_at_sign_out(support_client, contoso):
    support_client.post("/accounts/logout/")
    assert rows(contoso) == [STARTED, ENDED]
    assert LogEntry.objects.latest("pk").details == {"ended_by": "sign-out"}


def test_looking_at_another_tenant_ends_the_first_view(support_client, contoso, fabrikam):
    support_client.post(start(fabrikam), {"reason": "Ticket 43"})
    assert support_client.get(LIST).wsgi_request.tenant == fabrikam
    assert rows(contoso) == [STARTED, ENDED]
    assert len(rows(fabrikam)) == 1


def test_the_admin_stays_open_to_the_operator(support_client, contoso):
    assert support_client.get("/admin/").status_code == 200
    change = reverse("admin:portal_tenant_change", args=[contoso.pk])
    page = support_client.get(change).content.decode()
    assert page.count(f'href="{start(contoso)}"') == 1


def test_somebody_who_is_no_operator_any_more_sees_nothing(support_client, operator):
    operator.is_staff = operator.is_superuser = False
    operator.save()
    assert support_client.get(LIST).status_code == 403


@pytest.mark.parametrize(
    ("permissions", "status"), [(["view_tenant"], 403), (["view_tenant", "support_tenant"], 302)]
)
def test_it_needs_a_permission_of_its_own(permissions, status, operator, operator_client, contoso):
    operator.is_superuser = False
    operator.save()
    operator.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    answer = operator_client.post(start(contoso), {"reason": "Ticket 42"})
    assert answer.status_code == status
    change = reverse("admin:portal_tenant_change", args=[contoso.pk])
    offered = operator_client.get(change).content.decode().count(start(contoso))
    assert offered == (1 if status == 302 else 0)


def test_it_ends_with_its_permission(operator, operator_client, contoso):
    operator.is_superuser = False
    operator.save()
    permissions = Permission.objects.filter(codename__in=["view_tenant", "support_tenant"])
    operator.user_permissions.set(permissions)
    operator_client.post(start(contoso), {"reason": "Ticket 42"})
    assert operator_client.get(LIST).status_code == 200
    operator.user_permissions.set(permissions.filter(codename="view_tenant"))
    assert operator_client.get(LIST).status_code == 403


def test_a_member_can_not_begin_one(owner_client, contoso):
    answer = owner_client.post(start(contoso), {"reason": "Curious"})
    assert (answer.status_code, rows(contoso)) == (302, [])
    assert answer["Location"].startswith("/admin/login/")
