"""Who is invited, who may accept, and what makes a link worthless."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core.refusal import Refused
from portal.mail.models import Outbox
from portal.tenants.flows.invitations import (
    MAX_A_DAY,
    hashed,
    invite_member,
    join_as_new_person,
    join_as_user,
    offer,
    resend_invitation,
    revoke_invitation,
)
from portal.tenants.flows.members import change_role, remove_member
from portal.tenants.models import Invitation, Member, Role, Tenant
from tests.support.accounts import PASSWORD, make_member, make_user
from tests.support.joining import NEW, secret_of
from tests.support.people import log, member, member_actor, refusal
from tests.support.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def invited(tenant, owner, email=NEW, role=Role.MANAGER, **fields):
    return invite_member(tenant=tenant, email=email, role=role, actor=member_actor(owner), **fields)


def test_an_invitation_is_mailed_and_only_a_hash_of_its_secret_kept(owner, contoso):
    invitation = invited(contoso, owner, "New@Contoso.Example")
    mail = Outbox.objects.get()
    assert (invitation.email, mail.to) == (NEW, NEW)
    assert mail.subject == "Owner invites you to Contoso"
    assert mail.text.startswith(
        "Owner (owner@contoso.example) invites you to become manager of Contoso in the License "
        "Portal."
    )
    secret = secret_of(invitation)
    assert mail.html.count(f"/invitations/{secret}/") == 2
    assert invitation.token_sha256 == hashed(secret)
    assert secret not in str(Invitation.objects.values())
    assert invitation.expires_at - invitation.created_at == timedelta(days=7)
    assert log(contoso) == [("member.invited", {"email": NEW, "role": "manager"})]


def test_a_name_is_text_in_the_mail_and_no_markup(owner, contoso):
    Tenant.objects.update(name="A & B <b>Ltd</b>")
    invited(contoso, owner)
    mail = Outbox.objects.get()
    assert (mail.subject, "of A & B <b>Ltd</b> in" in mail.text) == (
        "Owner invites you to A & B <b>Ltd</b>",
        True,
    )
    assert "of A &amp; B &lt;b&gt;Ltd&lt;/b&gt; in" in mail.html
    assert "<b>Ltd" not in mail.html


def test_two_secrets_differ(owner, contoso):
    one, other = invited(contoso, owner, "a@x.example"), invited(contoso, owner, "b@x.example")
    assert secret_of(one) != secret_of(other)


def test_a_member_or_somebody_invited_is_not_invited_again(owner, viewer, contoso):
    assert refusal(lambda: invited(contoso, owner, viewer.email.upper())) == (
        "viewer@contoso.example is a member already."
    )
    invited(contoso, owner)
    assert refusal(lambda: invited(contoso, owner)).startswith(f"{NEW} has an invitation until ")
    assert Outbox.objects.count() == 1


def test_what_can_not_be_accepted_any_more_makes_room(owner, contoso, fabrikam, stranger):
    old = invited(contoso, owner, now=timezone.now() - timedelta(days=8))
    elsewhere = invited(fabrikam, stranger)
    new = invited(contoso, owner)
    open_ones = {*Invitation.objects.open()}
    assert (open_ones, old in open_ones) == ({elsewhere, new}, False)


def test_twenty_a_day_and_tenant(owner, stranger, contoso, fabrikam):
    start = timezone.now()
    for number in range(MAX_A_DAY):
        revoke_invitation(
            invitation=invited(contoso, owner, f"n{number}@x.example", now=start),
            actor=member_actor(owner),
        )
    assert refusal(lambda: invited(contoso, owner, now=start + timedelta(hours=23))) == (
        "Contoso has sent 20 invitations in 24 hours. Wait a day."
    )
    assert invited(fabrikam, stranger, now=start)
    assert invited(contoso, owner, now=start + timedelta(hours=24))


def test_a_tenant_whose_name_holds_an_address_sends_none(owner, contoso):
    Tenant.objects.update(name="Win at evil.example")
    assert refusal(lambda: invited(contoso, owner)).startswith("Rename the tenant first. ")
    assert not Outbox.objects.exists()


@pytest.mark.parametrize("who", ["manager", "viewer", "stranger"])
def test_who_is_no_owner_does_not_invite_or_revoke(who, owner, contoso, request):
    user = request.getfixturevalue(who)
    sentence = "You are no longer an owner of Contoso. Nothing was changed."
    assert refusal(lambda: invited(contoso, user)) == sentence
    invitation = invited(contoso, owner)
    act = lambda: revoke_invitation(invitation=invitation, actor=member_actor(user))  # noqa: E731
    assert refusal(act) == sentence
    assert Invitation.objects.open().exists()


# Accepting


def accepted_by(invitation, user, **fields):
    return join_as_user(invitation=invitation, user=user, actor=member_actor(user), **fields)


def test_somebody_with_the_address_accepts(owner, contoso):
    invitation, user = invited(contoso, owner), make_user(email=NEW.upper())
    assert accepted_by(invitation, user).role == Role.MANAGER
    assert member(user).tenant == contoso
    assert log(contoso)[0] == ("member.joined", {"email": NEW, "role": "manager"})


GONE = "This invitation was used or revoked, or it is too old."


def used(invitation, owner):
    accepted_by(invitation, make_user(email=NEW))


def revoked(invitation, owner):
    revoke_invitation(invitation=invitation, actor=member_actor(owner))


def expired(invitation, owner):
    Invitation.objects.update(expires_at=timezone.now())


def demoted(invitation, owner):
    other = make_member(tenant=invitation.tenant, role=Role.OWNER, email="two@contoso.example")
    change_role(member=member(owner), role=Role.MANAGER, actor=member_actor(other))


def removed(invitation, owner):
    other = make_member(tenant=invitation.tenant, role=Role.OWNER, email="two@contoso.example")
    remove_member(member=member(owner), actor=member_actor(other))


def owner_elsewhere_only(invitation, owner):
    removed(invitation, owner)
    elsewhere = Tenant.objects.create(name="Elsewhere", country="USA")
    Member.objects.create(tenant=elsewhere, user=owner, role=Role.OWNER)


def deactivated(invitation, owner):
    User.objects.filter(pk=owner.pk).update(is_active=False)


def test_a_link_is_good_until_the_moment_when_it_expires(owner, contoso):
    invitation, user = invited(contoso, owner), make_user(email=NEW)
    ends = invitation.expires_at
    assert refusal(lambda: accepted_by(invitation, user, now=ends)) == GONE
    assert accepted_by(invitation, user, now=ends - timedelta(microseconds=1)).user == user


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_the_link_of_an_operator_who_is_none_any_more_is_worthless(change, operator, contoso):
    invitation = offer(
        tenant=contoso, email=NEW, role=Role.OWNER, actor=operator.as_actor(""), now=timezone.now()
    )
    assert Invitation.objects.open().get() == invitation
    User.objects.filter(pk=operator.pk).update(**change)
    assert refusal(lambda: accepted_by(invitation, make_user(email=NEW))) == GONE


@pytest.mark.parametrize(
    "happen", [used, revoked, expired, demoted, removed, owner_elsewhere_only, deactivated]
)
def test_a_link_that_is_worthless(happen, owner, contoso):
    invitation = invited(contoso, owner)
    happen(invitation, owner)
    user = User.objects.filter(email=NEW).first() or make_user(email=NEW)
    before = contoso.memberships.count()
    assert refusal(lambda: accepted_by(invitation, user)) == GONE
    other = invitation.email.replace("new", "newer")
    Invitation.objects.update(email=other)
    invitation.refresh_from_db()
    assert (
        refusal(lambda: join_as_new_person(invitation=invitation, name="N", password=PASSWORD))
        == GONE
    )
    assert contoso.memberships.count() == before
    assert not User.objects.filter(email=other).exists()


def test_an_invitation_by_an_operator_is_good_as_long_as_they_are_one(operator, contoso):
    from portal.core.actors import Actor, ActorKind

    actor = Actor(kind=ActorKind.OPERATOR, name="Oona", user_id=operator.pk, email=operator.email)
    invite_member(tenant=contoso, email=NEW, role=Role.OWNER, actor=actor)
    assert Invitation.objects.open().count() == 1
    User.objects.filter(pk=operator.pk).update(is_staff=False)
    assert Invitation.objects.open().count() == 0


def test_somebody_else_does_not_accept(owner, stranger, contoso):
    invitation = invited(contoso, owner)
    sentence = f"This invitation is for {NEW}. Sign in with that address."
    assert refusal(lambda: accepted_by(invitation, stranger)) == sentence
    EmailAddress.objects.create(user=stranger, email=NEW, verified=False)
    assert refusal(lambda: accepted_by(invitation, stranger)) == sentence
    make_user(email=NEW)
    assert refusal(lambda: accepted_by(invitation, stranger)) == sentence
    assert contoso.memberships.count() == 1


def test_an_owner_of_another_tenant_may_be_a_viewer_here(owner, stranger, contoso, fabrikam):
    accepted_by(invited(contoso, owner, stranger.email, Role.VIEWER), stranger)
    assert list(stranger.memberships.order_by("pk").values_list("tenant", "role")) == [
        (fabrikam.pk, "owner"),
        (contoso.pk, "viewer"),
    ]


def test_somebody_who_became_a_member_meanwhile_keeps_the_role(owner, contoso):
    invitation = invited(contoso, owner, role=Role.OWNER)
    user = make_member(tenant=contoso, role=Role.VIEWER, email=NEW)
    assert refusal(lambda: accepted_by(invitation, user)) == (
        "You are a member of Contoso already. Your role stays as it is."
    )
    assert member(user).role == Role.VIEWER


def test_an_accepted_invitation_is_not_revoked(owner, contoso):
    invitation = invited(contoso, owner)
    accepted_by(invitation, make_user(email=NEW))
    act = lambda: revoke_invitation(invitation=invitation, actor=member_actor(owner))  # noqa: E731
    assert refusal(act).startswith(f"{NEW} accepted on ")


def test_revoking_twice_is_told_once(owner, contoso):
    invitation = invited(contoso, owner)
    for _ in range(2):
        revoke_invitation(invitation=invitation, actor=member_actor(owner))
    assert [action for action, _ in log(contoso)] == ["invitation.revoked", "member.invited"]


def test_a_person_without_account_joins(owner, contoso):
    invitation = invited(contoso, owner)
    made = join_as_new_person(
        invitation=invitation, name="Nora New", password=PASSWORD, address="192.0.2.7"
    ).user
    assert (made.email, made.name, made.check_password(PASSWORD)) == (NEW, "Nora New", True)
    assert list(made.emailaddress_set.values_list("email", "verified", "primary")) == [
        (NEW, True, True)
    ]
    row = LogEntry.objects.for_tenant(contoso.pk)[0]
    assert (row.actor_name, row.actor_id, row.address) == ("Nora New", made.pk, "192.0.2.7")


def test_an_account_that_exists_is_never_taken_over(owner, contoso):
    invitation = invited(contoso, owner)
    there = User.objects.create(email=NEW.upper(), name="There")
    assert refusal(
        lambda: join_as_new_person(invitation=invitation, name="N", password=PASSWORD)
    ) == ("There is an account with this address. Sign in with it.")
    there.refresh_from_db()
    assert (there.name, there.password) == ("There", "")
    assert contoso.memberships.count() == 1


def test_many_who_accept_one_link_at_once_are_one_member(owner, contoso):
    invitation = invited(contoso, owner)
    outcomes = race(
        lambda: join_as_new_person(invitation=invitation, name="N", password=PASSWORD), 6
    )
    assert sum(isinstance(outcome, Member) for outcome in outcomes) == 1, outcomes
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 5, outcomes
    assert contoso.memberships.count() == 2


def test_many_invitations_of_one_address_at_once_are_one(owner, contoso):
    outcomes = race(lambda: invited(contoso, owner), 6)
    assert sum(isinstance(outcome, Invitation) for outcome in outcomes) == 1, outcomes
    assert Outbox.objects.count() == 1


# Once more


def test_an_invitation_that_is_sent_again_has_another_link(owner, contoso):
    first = invited(contoso, owner)
    second = resend_invitation(invitation=first, actor=member_actor(owner))
    first.refresh_from_db()
    assert (first.revoked_at is None, second.role, second.email) == (False, "manager", NEW)
    assert second.token_sha256 != first.token_sha256
    assert [action for action, _ in log(contoso)] == ["invitation.resent", "member.invited"]


def test_what_was_revoked_is_not_sent_again(owner, contoso):
    invitation = invited(contoso, owner)
    revoke_invitation(invitation=invitation, actor=member_actor(owner))
    sentence = refusal(lambda: resend_invitation(invitation=invitation, actor=member_actor(owner)))
    assert sentence == f"The invitation of {NEW} was used or revoked meanwhile."
    assert Outbox.objects.count() == 1


def test_sending_again_counts_as_an_invitation(owner, contoso):
    invitation = invited(contoso, owner)
    for _ in range(MAX_A_DAY - 1):
        invitation = resend_invitation(invitation=invitation, actor=member_actor(owner))
    sentence = refusal(lambda: resend_invitation(invitation=invitation, actor=member_actor(owner)))
    assert sentence == "Contoso has sent 20 invitations in 24 hours. Wait a day."
    assert contoso.invitations.pending().get() == invitation
