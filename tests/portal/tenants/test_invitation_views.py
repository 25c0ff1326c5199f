"""The mailed link, attacked on a live server: it shows a button, and only its person gets in."""

import re
from urllib.parse import quote

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from portal.accounts.models import User
from portal.tenants.flows.invitations import hashed, invite_member, revoke_invitation
from portal.tenants.models import Invitation, Member, Role, Tenant
from tests.support.accounts import make_user
from tests.support.joining import NEW, secret_of
from tests.support.people import member_actor
from tests.support.visitor import Visitor

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPT = "/invitations/accept/"
PERSON = {"name": "Nora New", "password": "a long enough sentence"}


@pytest.fixture
def invitation(owner, contoso, live_portal):
    return invite_member(tenant=contoso, email=NEW, role=Role.MANAGER, actor=member_actor(owner))


@pytest.fixture
def link(invitation):
    return f"/invitations/{secret_of(invitation)}/"


@pytest.fixture
def visitor(live_portal):
    return lambda: Visitor(live_portal.url)


def title(body):
    [found] = re.findall(r"<h1[^>]*>\s*(.*?)\s*</h1>", body)
    return found


def members():
    return sorted(Member.objects.values_list("user__email", flat=True))


def test_scanners_who_follow_the_link_change_nothing(link, visitor):
    for _ in range(3):
        status, address, body = visitor().get(link)
        assert (status, address, title(body)) == (200, ACCEPT, "Join Contoso")
    assert members() == ["owner@contoso.example"]
    assert Invitation.objects.open().count() == 1


def test_a_person_without_account_joins_and_is_signed_in(link, visitor):
    person = visitor()
    person.get(link)
    status, address, body = person.post(ACCEPT, PERSON)
    assert (status, address, title(body)) == (200, "/subscriptions/", "Subscriptions")
    assert "Welcome to Contoso." in body
    user = User.objects.get(email=NEW)
    assert (user.name, user.check_password(PERSON["password"])) == ("Nora New", True)


def test_a_link_works_once(link, visitor):
    first, second = visitor(), visitor()
    first.get(link)
    second.get(link)
    stale = second.get(ACCEPT)[2]
    first.post(ACCEPT, PERSON)
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', stale)[-1:]
    again = second.post(ACCEPT, PERSON | {"csrfmiddlewaretoken": token}, token=False)
    assert (again[0], title(again[2])) == (404, "This invitation no longer works")
    assert visitor().get(link)[0] == 404
    assert User.objects.filter(email=NEW).count() == 1


@pytest.mark.parametrize("bad", ["password", "12345", PERSON["name"], NEW, ""])
def test_a_weak_password_is_refused_and_the_name_kept(bad, link, visitor):
    person = visitor()
    person.get(link)
    status, _, body = person.post(ACCEPT, {"name": "Nora New", "password": bad})
    assert (status, 'value="Nora New"' in body) == (422, True)
    assert not User.objects.filter(email=NEW).exists()


def test_the_address_of_the_new_account_is_not_for_choosing(link, visitor):
    person = visitor()
    person.get(link)
    person.post(ACCEPT, PERSON | {"email": "evil@evil.example", "role": "owner", "tenant": "x"})
    assert members() == [NEW, "owner@contoso.example"]
    assert Member.objects.get(user__email=NEW).role == Role.MANAGER


def test_somebody_else_who_is_signed_in_is_told_so(link, visitor, stranger):
    person = visitor()
    person.signs_in(stranger.email)
    person.get(link)
    body = person.get(ACCEPT)[2]
    assert f"invites {NEW} to become" in body
    assert f"You are signed in as {stranger.email}." in body
    assert person.post(ACCEPT, PERSON)[0] == 200
    assert members() == ["owner@contoso.example", stranger.email]


def test_an_account_that_exists_must_sign_in(link, visitor):
    make_user(email=NEW)
    person = visitor()
    body = person.get(link)[2]
    assert "Sign in with that address to accept it." in body
    assert (
        f'href="/accounts/login/?next={ACCEPT}"'.replace("/inv", "%2Finv")
        .replace("accept/", "accept%2F")
        .replace("ns/a", "ns%2Fa")
        in body
    )
    assert 'name="password"' not in body
    person.signs_in(NEW, next=ACCEPT)
    status, address, body = person.post(ACCEPT, {})
    assert (status, address) == (200, "/subscriptions/")
    assert members() == [NEW, "owner@contoso.example"]


def test_whoever_accepts_is_in_the_tenant_that_invited(link, visitor):
    user = make_user(email=NEW)
    older = Tenant.objects.create(name="Older", country="USA")
    Member.objects.create(tenant=older, user=user, role=Role.OWNER)
    person = visitor()
    person.signs_in(NEW)
    person.get(link)
    assert "<p>Contoso</p>" in person.post(ACCEPT, {})[2]


def test_without_the_csrf_token_nothing_happens(link, visitor):
    person = visitor()
    person.get(link)
    assert person.post(ACCEPT, PERSON, token=False)[0] == 403
    assert members() == ["owner@contoso.example"]


def test_a_post_to_the_link_itself_is_no_way_in(link, visitor):
    person = visitor()
    person.get(ACCEPT)
    assert person.post(link, PERSON, token=False)[0] in {403, 405}
    assert members() == ["owner@contoso.example"]


@pytest.mark.parametrize(
    "secret", ["x", "0" * 43, "..%2F..", "%00", "1' OR '1'='1", "accept", "x" * 3000]
)
def test_a_guessed_link_says_nothing(secret, invitation, visitor):
    status, _, body = visitor().get(f"/invitations/{quote(secret)}/")
    assert (status, "Contoso" in body, NEW in body) == (404, False, False)


def test_the_hash_that_is_stored_is_no_way_in(invitation, visitor):
    assert visitor().get(f"/invitations/{invitation.token_sha256}/")[0] == 404
    assert hashed(invitation.token_sha256) != invitation.token_sha256


def test_a_link_that_was_revoked_while_the_page_was_open(link, invitation, visitor, owner):
    person = visitor()
    body = person.get(link)[2]
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', body)[-1:]
    revoke_invitation(invitation=invitation, actor=member_actor(owner))
    answer = person.post(ACCEPT, PERSON | {"csrfmiddlewaretoken": token}, token=False)
    assert (answer[0], title(answer[2])) == (404, "This invitation no longer works")
    assert not User.objects.filter(email=NEW).exists()


def test_an_old_session_of_somebody_else_is_not_taken_along(link, visitor):
    """Session fixation: the session identifier changes when the new person is signed in."""
    person = visitor()
    person.get(link)
    before = {c.value for c in person.jar if c.name == "sessionid"}
    person.post(ACCEPT, PERSON)
    after = {c.value for c in person.jar if c.name == "sessionid"}
    assert before & after == set()


def test_the_secret_is_in_no_log_and_on_no_page(link, visitor, live_portal):
    person = visitor()
    body = person.get(link)[2]
    secret = link.split("/")[2]
    assert secret not in body
    person.post(ACCEPT, {"name": "", "password": ""})
    person.post(ACCEPT, PERSON, token=False)
    assert secret not in live_portal.log()


def test_the_link_names_the_portal_and_not_the_host_of_a_request(contoso, owner, client_for):
    client = client_for(owner)
    client.post("/tenant/invite/", {"email": NEW, "role": "viewer"}, headers={"Host": "localhost"})
    assert re.fullmatch(r"[\w-]{43}", secret_of(Invitation.objects.get()))


def test_somebody_else_who_is_signed_in_is_asked_and_goes_on(link, visitor, stranger):
    person = visitor()
    person.signs_in(stranger.email)
    assert "Log out and go on" in person.get(link)[2]
    status, address, body = person.post(ACCEPT, {"log_out": "yes"})
    assert (status, address, title(body)) == (200, ACCEPT, "Join Contoso")
    person.post(ACCEPT, PERSON)
    assert members() == [NEW, "owner@contoso.example", stranger.email]


@pytest.mark.parametrize("end", ["used", "revoked", "expired"])
def test_a_link_that_is_no_good_makes_no_session_and_shows_nothing(
    end, link, invitation, visitor, owner
):
    now = timezone.now()
    change = {"used": "accepted_at", "revoked": "revoked_at", "expired": "expires_at"}[end]
    Invitation.objects.update(**{change: now})
    for address in (link, "/invitations/unknown/"):
        person = visitor()
        status, _, body = person.get(address)
        assert (status, "Contoso" in body, NEW in body) == (404, False, False)
        assert "sessionid" not in {cookie.name for cookie in person.jar}
    assert not Session.objects.exists()
