"""Sign-up: nothing exists before the mailed link is opened; the mail alone tells who is known."""

import time
import uuid

import pytest
import time_machine
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.tenants.links import LINKS
from portal.tenants.models import Member, Tenant
from portal.tenants.views.sign_up import MAX_LINK_SECONDS, SALT
from tests.support.answers import refusals, shape
from tests.support.joining import COMPLETE, EMAIL, FILLED, SIGN_UP, link_for, opened
from tests.support.mails import mails

pytestmark = pytest.mark.django_db


def test_the_link_leads_to_the_form_and_the_form_makes_account_and_tenant(client):
    opened(client)
    assert (User.objects.count(), Tenant.objects.count()) == (0, 0)
    assert client.post(COMPLETE, FILLED).url == "/"
    member = Member.objects.get()
    assert (member.role, member.tenant.name, member.tenant.country) == ("owner", "Engines", "GBR")
    assert (member.user.email, member.user.name) == (EMAIL, "Ada")
    assert member.user.emailaddress_set.filter(verified=True, primary=True).count() == 1
    assert client.get("/").url == reverse("subscriptions:list")
    log = LogEntry.objects.filter(tenant_id=member.tenant_id).order_by("seq")
    assert [*log.values_list("action", flat=True)] == ["tenant.created", "person.signed_in"]


def test_the_session_is_a_new_one_after_sign_up(client):
    opened(client)
    before = client.session.session_key
    client.post(COMPLETE, FILLED)
    assert client.session.session_key != before


def test_a_known_address_is_answered_like_a_new_one(client, owner):
    answers = [client.post(SIGN_UP, {"email": email}) for email in (EMAIL, owner.email)]
    assert {(a.status_code, a.url) for a in answers} == {(302, "/accounts/confirm-email/")}
    assert [message.subject for message in mails()] == [
        "Confirm your email address",
        "You have an account already",
    ]
    assert "/signup/" not in mails()[1].body


def test_links_of_mails_lead_to_the_public_address_whatever_host_was_asked(client):
    client.post(SIGN_UP, {"email": EMAIL}, headers={"Host": "127.0.0.1"})
    assert f"{settings.PUBLIC_URL}/accounts/signup/" in mails()[0].body


def test_a_link_works_once(client):
    link = link_for(client)
    client.get(link)
    client.post(COMPLETE, FILLED)
    second = Client()
    second.get(link)
    for answer in (second.get(COMPLETE), second.post(COMPLETE, FILLED)):
        assert answer.status_code == 404
        assert answer.content.decode().count("<h1>This link no longer works</h1>") == 1
    assert User.objects.count() == 1


class Past(signing.TimestampSigner):
    """Signs as of MAX_LINK_SECONDS and some seconds ago."""

    def __init__(self, *, salt, seconds=5):
        super().__init__(salt=salt)
        self.seconds = seconds

    def timestamp(self):
        return signing.b62_encode(int(time.time()) - MAX_LINK_SECONDS - self.seconds)


def test_a_link_of_yesterday_and_a_forged_one_do_nothing(client):
    old = Past(salt=SALT).sign_object(EMAIL)
    assert signing.loads(old, salt=SALT) == EMAIL
    forged = signing.dumps(EMAIL, salt="another")
    for token in (old, forged):
        client.get(reverse("open_sign_up", args=[token]))
        assert client.post(COMPLETE, FILLED).status_code == 404
    assert not User.objects.exists()


def test_following_the_link_does_nothing_to_the_database(client, django_assert_num_queries):
    link = link_for(client)
    Client().head(link)
    Client().get(link)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Enter your name."),
        (
            "password",
            "short",
            "This password is too short. It must contain at least 10 characters.",
        ),
        ("tenant_name", "Win at evil.example/now", "A name holds no web or email address"),
        ("country", "ZZZ", "Select a valid choice. ZZZ is not one of the available choices."),
        ("country", "", "Choose a country."),
    ],
)
def test_a_mistake_gets_a_sentence_and_nothing_is_made(client, field, value, sentence):
    answer = opened(client).post(COMPLETE, FILLED | {field: value})
    assert answer.status_code == 422
    [error] = refusals(answer)
    assert error.startswith(sentence)
    assert (User.objects.count(), Tenant.objects.count()) == (0, 0)


def test_somebody_who_was_faster_is_named(client, owner):
    opened(client)
    User.objects.filter(pk=owner.pk).update(email=EMAIL)
    assert client.post(COMPLETE, FILLED).status_code == 404


def test_closed_sign_up_makes_no_account_not_even_with_an_old_link(client, settings):
    opened(client)
    settings.OPEN_SIGN_UP = False
    assert client.get(SIGN_UP).status_code == 403
    assert "Accounts are by invitation" in client.post(SIGN_UP, {"email": EMAIL}).content.decode()
    assert client.post(COMPLETE, FILLED).status_code == 404
    assert (len(mails()), User.objects.count()) == (1, 0)


def test_closed_sign_up_is_not_offered(client, settings):
    offer = "Create an account"
    assert offer in client.get(reverse("account_login")).content.decode()
    settings.OPEN_SIGN_UP = False
    assert offer not in client.get(reverse("account_login")).content.decode()


def test_one_address_gets_few_mails(client):
    statuses = [client.post(SIGN_UP, {"email": EMAIL}).status_code for _ in range(6)]
    assert (statuses, len(mails())) == ([302] * 5 + [429], 5)


# What a link leaves behind


def test_a_link_that_is_not_known_makes_no_session(client):
    for token in ("x", "x:y:z", signing.dumps(EMAIL, salt="another"), "x" * 60_000):
        for method in (client.get, client.head):
            assert method(reverse("open_sign_up", args=[token])).url == COMPLETE
    assert client.get(COMPLETE).status_code == 404
    assert (Session.objects.count(), "sessionid" in client.cookies) == (0, False)


def test_a_session_keeps_the_address_and_never_the_link(client):
    link = link_for(client)
    client.get(link)
    kept = dict(client.session)
    until = kept["sign_up_of"].pop("until")
    assert kept == {"sign_up_of": {"email": EMAIL}}
    assert MAX_LINK_SECONDS - 60 < until - time.time() <= MAX_LINK_SECONDS


def test_a_page_that_was_open_works_no_longer_than_its_link(client):
    client.get(reverse("open_sign_up", args=[Past(salt=SALT, seconds=-10).sign_object(EMAIL)]))
    assert client.get(COMPLETE).status_code == 200
    with time_machine.travel(time.time() + 11, tick=False):
        assert client.post(COMPLETE, FILLED).status_code == 404
    assert dict(client.session) == {}


def test_a_bad_link_closes_what_a_good_one_opened(client):
    opened(client)
    client.get(reverse("open_sign_up", args=["x"]))
    assert client.get(COMPLETE).status_code == 404


def test_one_client_address_opens_few_links(client):
    address = reverse("open_sign_up", args=["x"])
    statuses = [client.get(address).status_code for _ in range(LINKS.per_minute)]
    assert statuses == [302] * LINKS.per_minute
    for name in ("open_sign_up", "open_invitation", "open_cancellation"):
        answer = client.get(reverse(name, args=["x"]))
        assert (answer.status_code, shape(answer)[2]) == (429, "Too many attempts")
        assert 1 <= int(answer["Retry-After"]) <= 61
    assert client.get(address, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_somebody_who_is_signed_in_is_asked_before_the_link_goes_on(owner, owner_client):
    client = owner_client
    link = link_for(Client())
    client.get(link)
    page = client.get(COMPLETE)
    assert shape(page) == (200, "page", "You are signed in")
    body = " ".join(page.content.decode().split())
    assert f"an account for {EMAIL}, and you are signed in as {owner.email}." in body
    assert client.post(COMPLETE, FILLED).status_code == 200
    assert User.objects.count() == 1
    assert client.post(COMPLETE, {"log_out": "yes"}).url == COMPLETE
    assert "_auth_user_id" not in client.session
    assert client.post(COMPLETE, FILLED).url == "/"
    assert User.objects.get(email=EMAIL).pk == uuid.UUID(client.session["_auth_user_id"])


def test_a_link_that_does_nothing_signs_nobody_out(owner, owner_client):
    owner_client.get(reverse("open_sign_up", args=["x"]))
    assert owner_client.post(COMPLETE, {"log_out": "yes"}).url == "/"
    assert owner_client.session["_auth_user_id"] == str(owner.pk)
