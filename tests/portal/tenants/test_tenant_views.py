"""The pages of a tenant: what each role is offered, proofs, and switching to another tenant."""

from datetime import timedelta
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP
from portal.mail.models import Outbox
from portal.tenants.models import Invitation, Member, Role, Tenant
from tests.support.accounts import TOTP_SECRET, make_member, sign_in, stale
from tests.support.answers import HTMX, events, ids, messages_of, refusals, shape
from tests.support.factories import make_license, make_subscription

TENANT = "/tenant/"


def pk(user):
    return Member.objects.get(user=user).pk


def role(user):
    return Member.objects.get(user=user).role


def test_members_see_each_other_and_owners_may_act(owner_client, viewer_client, viewer, stranger):
    answer = viewer_client.get(TENANT)
    assert shape(answer) == (200, "page", "Contoso")
    assert [str(member.user) for member in answer.context["members"]] == ["Owner", "Viewer"]
    offered = {"invite", "edit", "hand-over", f"role-{pk(viewer)}", f"remove-{pk(viewer)}"}
    assert offered & {*ids(answer)} == set()
    assert offered & {*ids(owner_client.get(TENANT))} == offered


def test_only_owners_see_the_open_invitations(owner_client, viewer_client, owner, stranger):
    owner_client.post("/tenant/invite/", {"email": "new@contoso.example", "role": "viewer"})
    theirs = {"tenant": stranger.tenants.get(), "email": "b@x.example", "role": "viewer"}
    Invitation.objects.create(invited_by=stranger, token_sha256="1", **theirs)
    [shown] = owner_client.get(TENANT).context["invitations"]
    assert shown.email == "new@contoso.example"
    assert list(viewer_client.get(TENANT).context["invitations"]) == []


def test_owners_see_whose_invitation_did_not_arrive(owner_client, contoso):
    for name in ("gone", "slow", "there"):
        owner_client.post("/tenant/invite/", {"email": f"{name}@x.example", "role": "viewer"})
    mails, now = Outbox.objects.filter(tenant_id=contoso.pk), timezone.now()
    mails.filter(to="gone@x.example").update(last_error="550", given_up_at=now)
    mails.filter(to="slow@x.example").update(last_error="421", attempts=1)
    mails.filter(to="there@x.example").update(sent_at=now)
    answer = owner_client.get(TENANT)
    shown = {each.email: bool(each.undelivered) for each in answer.context["invitations"]}
    assert shown == {"gone@x.example": True, "slow@x.example": True, "there@x.example": False}
    html = " ".join(answer.content.decode().split())
    assert html.count("The mail to gone@x.example could not be delivered on <time") == 1
    assert html.count("could not be delivered yet; the portal goes on trying for 7 days.") == 1
    # A new one has another mail.
    [gone] = contoso.invitations.filter(email="gone@x.example")
    owner_client.post(f"/tenant/invitations/{gone.pk}/resend/")
    [again] = [
        each for each in owner_client.get(TENANT).context["invitations"] if "gone" in each.email
    ]
    assert (again.email, again.undelivered) == (gone.email, None)


def test_the_page_costs_the_same_with_any_number_of_members(
    owner_client, contoso, django_assert_num_queries
):
    owner_client.get(TENANT)
    with django_assert_num_queries(6):
        owner_client.get(TENANT)
    for number in range(20):
        make_member(tenant=contoso, role=Role.VIEWER, email=f"m{number}@contoso.example")
    with django_assert_num_queries(6):
        owner_client.get(TENANT)


# Acting


def test_an_owner_invites(owner_client, contoso):
    answer = owner_client.post(
        "/tenant/invite/", {"email": "New@contoso.example", "role": "manager"}
    )
    assert answer["Location"] == TENANT
    assert messages_of(answer) == ["The invitation is on its way."]
    invitation = contoso.invitations.get()
    assert (invitation.email, invitation.role) == ("new@contoso.example", "manager")
    again = owner_client.post(
        "/tenant/invite/", {"email": "new@contoso.example", "role": "owner"}, headers=HTMX
    )
    assert shape(again)[:2] == (422, "fragment")
    assert refusals(again)[0].startswith("new@contoso.example has an invitation until ")


@pytest.mark.parametrize("role", ["", "operator", "superuser"])
def test_there_are_no_other_roles(role, owner_client):
    answer = owner_client.post("/tenant/invite/", {"email": "a@x.example", "role": role})
    assert answer.status_code == 422
    assert not Invitation.objects.exists()


def test_an_owner_revokes(owner_client, contoso):
    owner_client.post("/tenant/invite/", {"email": "new@contoso.example", "role": "viewer"})
    address = f"/tenant/invitations/{contoso.invitations.get().pk}/revoke/"
    assert owner_client.get(address).status_code == 200
    assert contoso.invitations.open().exists()
    assert owner_client.post(address)["Location"] == TENANT
    assert not contoso.invitations.open().exists()
    assert owner_client.get(address).status_code == 404


def test_an_owner_sends_an_invitation_again_also_one_that_is_too_old(owner_client, contoso):
    owner_client.post("/tenant/invite/", {"email": "new@contoso.example", "role": "manager"})
    contoso.invitations.update(expires_at=timezone.now() - timedelta(days=1))
    [shown] = owner_client.get(TENANT).context["invitations"]
    assert not shown.is_open
    answer = owner_client.post(f"/tenant/invitations/{shown.pk}/resend/")
    assert messages_of(answer) == ["A new invitation is on its way to new@contoso.example."]
    [again] = owner_client.get(TENANT).context["invitations"]
    assert (again.is_open, again.role, again.pk != shown.pk) == (True, "manager", True)
    assert Outbox.objects.count() == 2
    assert owner_client.get(f"/tenant/invitations/{shown.pk}/resend/").status_code == 404


def test_owners_see_who_has_a_second_factor_and_who_was_there(owner_client, viewer_client, viewer):
    Authenticator.objects.create(user=viewer, type=Authenticator.Type.RECOVERY_CODES, data={})
    viewer_client.get(TENANT)
    own, theirs = owner_client.get(TENANT).context["members"]
    assert (own.has_second_factor, theirs.has_second_factor) == (False, False)
    assert theirs.last_seen_at == UserSession.objects.get(user=viewer).last_seen_at
    TOTP.activate(viewer, TOTP_SECRET)
    assert [m.has_second_factor for m in owner_client.get(TENANT).context["members"]] == [
        False,
        True,
    ]
    assert not hasattr(viewer_client.get(TENANT).context["members"][0], "last_seen_at")


def test_who_is_alone_is_led_to_invite_the_next_owner(owner_client, owner):
    assert 'href="/tenant/hand-over/"' in owner_client.get("/tenant/leave/").content.decode()
    page = owner_client.get("/tenant/hand-over/").content.decode()
    assert (page.count('href="/tenant/invite/?role=owner"'), page.count("<select")) == (1, 0)
    form = owner_client.get("/tenant/invite/?role=owner").context["form"]
    assert form["role"].value() == "owner"


def test_an_owner_changes_a_role_in_a_dialog(owner_client, viewer):
    address = f"/tenant/members/{pk(viewer)}/role/"
    assert shape(owner_client.get(address, headers=HTMX)) == (200, "fragment", "Role of Viewer")
    answer = owner_client.post(address, {"role": "manager"}, headers=HTMX)
    assert (role(viewer), events(answer)) == ("manager", ["close-dialog", "tenant-changed"])


def test_a_member_who_is_removed_is_out_in_open_sessions_too(owner_client, viewer, viewer_client):
    another = sign_in(Client(), viewer)
    assert [c.get("/subscriptions/").status_code for c in (viewer_client, another)] == [200, 200]
    owner_client.post(f"/tenant/members/{pk(viewer)}/remove/")
    assert [c.get("/subscriptions/").status_code for c in (viewer_client, another)] == [403, 403]


def test_the_last_owner_is_told_why_not(owner_client, owner):
    for address, values in (
        (f"/tenant/members/{pk(owner)}/role/", {"role": "viewer"}),
        (f"/tenant/members/{pk(owner)}/remove/", {}),
        ("/tenant/leave/", {}),
    ):
        answer = owner_client.post(address, values)
        assert (answer.status_code, refusals(answer)) == (
            422,
            ["Owner is the last owner of Contoso. Make somebody else an owner first."],
        )


def test_ownership_is_handed_over_to_members_alone(owner_client, owner, manager, stranger):
    offered = owner_client.get("/tenant/hand-over/").context["form"].fields["to"].queryset
    assert [member.user for member in offered] == [manager]
    answer = owner_client.post("/tenant/hand-over/", {"to": pk(stranger)})
    assert answer.status_code == 422
    answer = owner_client.post("/tenant/hand-over/", {"to": pk(manager)})
    assert (role(manager), role(owner), role(stranger)) == ("owner", "manager", "owner")
    assert answer["Location"] == TENANT


def test_who_leaves_goes_to_the_start(viewer_client, viewer):
    answer = viewer_client.post("/tenant/leave/")
    assert (answer["Location"], messages_of(answer)) == ("/", ["You have left Contoso."])
    assert not viewer.memberships.exists()


def test_an_owner_changes_the_tenant(owner_client, contoso):
    values = {"name": "Contoso Ltd", "country": "DEU"}
    assert owner_client.post("/tenant/edit/", values)["Location"] == TENANT
    contoso.refresh_from_db()
    assert (contoso.name, contoso.country) == ("Contoso Ltd", "DEU")
    answer = owner_client.post("/tenant/edit/", values | {"name": "win at evil.example"})
    assert refusals(answer) == [
        "A name holds no web or email address, because it stands in mails. Put a blank after a dot."
    ]
    answer = owner_client.post("/tenant/edit/", values | {"requires_two_factor": "on"})
    assert refusals(answer) == [
        "Set up a second factor for yourself first: this would lock you out."
    ]


def test_a_fixed_country_can_not_be_posted(owner_client, contoso, signing_key):
    make_license(subscription=make_subscription(tenant=contoso))
    owner_client.post("/tenant/edit/", {"name": "Contoso Ltd", "country": "DEU"})
    contoso.refresh_from_db()
    assert (contoso.name, contoso.country) == ("Contoso Ltd", "USA")


# Recent proof


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("edit", {"name": "Contoso Ltd", "country": "DEU"}),
        ("invite", {"email": "new@contoso.example", "role": "manager"}),
        ("hand_over", {"to": "{manager}"}),
        ("change_role", {"role": "owner"}),
        ("remove_member", {}),
        ("revoke_invitation", {}),
        ("leave", {}),
    ],
)
def test_member_changes_need_a_recent_proof_and_keep_what_was_typed(
    name, values, owner, manager, contoso, client_for
):
    invitation = Invitation.objects.create(
        tenant=contoso, email="x@x.example", role="viewer", invited_by=owner
    )
    arguments = {
        "change_role": [pk(manager)],
        "remove_member": [pk(manager)],
        "revoke_invitation": [invitation.pk],
    }
    address = reverse(f"tenant:{name}", args=arguments.get(name, []))
    values = {key: text.replace("{manager}", str(pk(manager))) for key, text in values.items()}
    client = client_for(owner, at=stale())
    answer = client.post(address, values)
    assert unquote(answer["Location"]) == f"/accounts/reauthenticate/?next={address}"
    assert (role(owner), role(manager)) == ("owner", "manager")
    assert (contoso.invitations.pending().count(), Outbox.objects.count()) == (1, 0)
    sign_in(client, owner)
    shown = client.get(address).context["form"]
    assert {key: str(shown[key].value()) for key in values} == values


def test_a_rule_that_was_switched_off_stays_so_after_the_proof(owner, contoso, client_for):
    Tenant.objects.update(requires_two_factor=True)
    TOTP.activate(owner, TOTP_SECRET)
    client = client_for(owner, at=stale())
    client.post("/tenant/edit/", {"name": "Contoso", "country": "USA"})
    assert client.get("/tenant/edit/").context["form"]["requires_two_factor"].value() is False
    assert client.get("/tenant/edit/").context["form"]["requires_two_factor"].value() is True


# Several tenants


@pytest.fixture
def both(owner, fabrikam):
    """Contoso's owner, who is a viewer in Fabrikam too."""
    Member.objects.create(tenant=fabrikam, user=owner, role=Role.VIEWER)
    return owner


def switched(client, tenant, **values):
    return client.post("/tenant/switch/", {"tenant": tenant.pk, **values})


def heading(client):
    return shape(client.get(TENANT))[2]


def test_a_user_of_two_tenants_switches(both, owner_client, contoso, fabrikam):
    assert heading(owner_client) == "Contoso"
    answer = switched(owner_client, fabrikam)
    assert (answer["Location"], messages_of(answer)) == ("/", ["You are in Fabrikam now."])
    assert heading(owner_client) == "Fabrikam"
    switched(owner_client, contoso)
    assert heading(owner_client) == "Contoso"


def test_the_tenant_stays_with_the_session(both, owner_client, fabrikam):
    other = sign_in(Client(), both)
    switched(owner_client, fabrikam)
    assert (heading(owner_client), heading(other)) == ("Fabrikam", "Contoso")


def test_nobody_switches_to_a_tenant_of_others(owner_client, owner, fabrikam):
    for tenant in (fabrikam.pk, "x", ""):
        assert owner_client.post("/tenant/switch/", {"tenant": tenant}).status_code == 404
    assert heading(owner_client) == "Contoso"


def test_who_is_removed_from_the_chosen_tenant_is_in_the_other(both, owner_client, fabrikam):
    switched(owner_client, fabrikam)
    both.memberships.filter(tenant=fabrikam).delete()
    assert heading(owner_client) == "Contoso"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_switch_leads_nowhere_else(to, both, owner_client, fabrikam):
    assert switched(owner_client, fabrikam, next=to)["Location"] == "/"


def test_the_switcher_is_there_for_who_has_several(both, owner_client, viewer_client):
    switch = b"Switch to Fabrikam"
    assert switch in owner_client.get("/subscriptions/").content
    assert switch not in viewer_client.get("/subscriptions/").content


def links(tenant, member):
    """Return addresses that name something of the tenant."""
    subscription = make_subscription(tenant=tenant)
    make_license(subscription=subscription)
    invitation = Invitation.objects.create(
        tenant=tenant, email="n@x.example", role="viewer", invited_by=member, token_sha256="2"
    )
    at = [subscription.pk]
    return [
        reverse("subscriptions:detail", args=at),
        reverse("subscriptions:rename", args=at),
        reverse("licenses:generate", args=at),
        reverse("licenses:download", args=[*at, "primary"]),
        reverse("licenses:check", args=at),
        reverse("licenses:claims", args=[*at, "secondary"]),
        reverse("licenses:reset", args=[*at, "primary"]),
        reverse("licenses:delete", args=at),
        reverse("tenant:change_role", args=[tenant.memberships.get(user=member).pk]),
        reverse("tenant:remove_member", args=[tenant.memberships.get(user=member).pk]),
        reverse("tenant:revoke_invitation", args=[invitation.pk]),
        f"/logs/?subscription={subscription.pk}",
        f"/logs/export/?subscription={subscription.pk}",
    ]


@pytest.mark.parametrize("start", ["contoso", "fabrikam"])
def test_a_link_into_another_own_tenant_offers_the_switch(
    start, both, stranger, owner_client, contoso, fabrikam, signing_key, request
):
    """Whatever the role is in the tenant one is in, and in the one the link leads to."""
    here = request.getfixturevalue(start)
    there = fabrikam if here == contoso else contoso
    switched(owner_client, here)
    for address in links(there, stranger if there == fabrikam else both):
        answer = owner_client.get(address)
        assert shape(answer) == (404, "page", f"This belongs to {there}"), address
        assert answer.context["back"] == address


def test_what_the_role_forbids_in_this_tenant_is_no_matter_of_another(
    both, owner_client, fabrikam, stranger
):
    switched(owner_client, fabrikam)
    address = reverse("tenant:remove_member", args=[pk(stranger)])
    assert shape(owner_client.get(address)) == (403, "page", "You are not allowed to do this")


def test_the_offered_switch_leads_to_what_was_asked_for(
    both, owner_client, fabrikam, signing_key, stranger
):
    address = links(fabrikam, stranger)[0]
    back = owner_client.get(address).context["back"]
    assert switched(owner_client, fabrikam, next=back)["Location"] == address
    assert owner_client.get(address).status_code == 200


def test_a_stranger_is_offered_nothing(both, stranger, owner_client, contoso, signing_key):
    """Neither for what is there, nor for what is not: both do not exist."""
    outside = Tenant.objects.create(name="Outside", country="USA")
    outsider = make_member(tenant=outside, role=Role.OWNER, email="outsider@outside.example")
    addresses = links(outside, outsider)
    client = sign_in(Client(), both)
    assert {client.get(address).status_code for address in addresses} <= {403, 404}
    titles = {shape(client.get(address))[2] for address in addresses}
    assert titles == {"This page does not exist"}


def test_a_post_from_a_page_of_before_the_switch_changes_nothing(
    both, owner_client, contoso, fabrikam, stranger
):
    member = reverse("tenant:remove_member", args=[pk(stranger)])
    Member.objects.filter(user=both).update(role=Role.OWNER)
    answer = owner_client.post(member, headers={"Referer": "http://testserver/tenant/"})
    assert shape(answer) == (404, "page", "This belongs to Fabrikam")
    assert answer.context["back"] == "http://testserver/tenant/"
    assert fabrikam.memberships.count() == 2


@pytest.mark.parametrize("name", ["edit", "invite", "leave", "hand_over"])
def test_a_form_of_another_tenant_is_not_taken_for_this_one(
    name, both, owner_client, contoso, fabrikam
):
    answer = owner_client.post(
        reverse(f"tenant:{name}"),
        {
            "tenant": fabrikam.pk,
            "name": "Fabrikam Ltd",
            "country": "DEU",
            "email": "new@x.example",
            "role": "viewer",
        },
    )
    assert shape(answer) == (404, "page", "This belongs to Fabrikam")
    contoso.refresh_from_db()
    assert (contoso.name, contoso.memberships.count()) == ("Contoso", 1)
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("tenant", ["x", "00000000-0000-0000-0000-000000000007"])
def test_a_form_of_no_tenant_is_refused(tenant, both, owner_client):
    answer = owner_client.post("/tenant/leave/", {"tenant": tenant})
    assert shape(answer) == (404, "page", "This page does not exist")


def test_a_dialog_of_another_tenant_leaves_the_page(both, owner_client, fabrikam, stranger):
    address = reverse("tenant:change_role", args=[pk(stranger)])
    answer = owner_client.get(address, headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (200, address)
    page = {"Referer": "http://testserver/tenant/"}
    answer = owner_client.post(address, {"role": "viewer"}, headers=HTMX | page)
    assert answer["HX-Redirect"] == "http://testserver/tenant/"


def test_what_was_kept_for_a_proof_does_not_move_to_another_tenant(both, fabrikam, client_for):
    Member.objects.filter(user=both).update(role=Role.OWNER)
    client = client_for(both, at=stale())
    client.post("/tenant/edit/", {"name": "Contoso Ltd", "country": "USA"})
    switched(client, fabrikam)
    assert client.get("/tenant/edit/").context["form"]["name"].value() == "Fabrikam"
