"""Sign-in, attacked on a live server: fixed sessions, and foreign forms, addresses and hosts."""

import http.client

import pytest
from django.core import signing
from django.urls import reverse

from portal.tenants.views.sign_up import SALT
from tests.support.accounts import PASSWORD
from tests.support.mails import mailed_links
from tests.support.visitor import Visitor

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN, PROFILE = "/accounts/login/", "/profile/"
EVIL = "https://evil.example"


@pytest.fixture
def visitor(live_portal):
    return Visitor(live_portal.url)


def session_of(visitor):
    return next((c.value for c in visitor.jar if c.name == "sessionid"), None)


def test_a_session_that_was_planted_is_not_the_one_that_signs_in(visitor, live_portal, owner):
    token = signing.dumps("new@contoso.example", salt=SALT)
    visitor.get(reverse("open_sign_up", args=[token]))  # a good link begins a session
    planted = session_of(visitor)
    assert planted is not None
    visitor.signs_in(owner.email)
    assert visitor.get(PROFILE)[1] == PROFILE
    attacker = Visitor(live_portal.url)
    _, at, _ = attacker.get(PROFILE, Cookie=f"sessionid={planted}")
    assert (session_of(visitor) != planted, at) == (True, f"{LOGIN}?next={PROFILE}")


def test_a_made_up_session_is_not_adopted(live_portal):
    visitor = Visitor(live_portal.url)
    made_up = "a" * 32
    assert visitor.get(PROFILE, Cookie=f"sessionid={made_up}")[1].startswith(LOGIN)
    assert session_of(visitor) != made_up


FORMS = {
    LOGIN: {"login": "owner@contoso.example", "password": PASSWORD},
    "/accounts/signup/": {"email": "new@nowhere.example"},
    "/accounts/password/reset/": {"email": "owner@contoso.example"},
    "/accounts/logout/": {},
    PROFILE: {"name": "Owned"},
    "/accounts/email/": {"action_add": "", "email": "evil@evil.example"},
    "/accounts/2fa/webauthn/login/": {"credential": "{}"},
}


def test_a_form_of_another_site_is_refused(visitor, owner):
    visitor.signs_in(owner.email)
    for path, values in FORMS.items():
        status, _, body = visitor.post(path, values, token=False, Origin=EVIL)
        assert (status, "<h1" in body) == (403, True), path
    owner.refresh_from_db()
    assert owner.name == "Owner"
    assert visitor.get(PROFILE)[1] == PROFILE


@pytest.mark.parametrize(
    "to", [EVIL, "//evil.example/", "/\\evil.example", "https:evil.example", "javascript:alert(1)"]
)
def test_sign_in_never_leads_to_another_site(visitor, owner, to):
    _, at, _ = visitor.signs_in(owner.email, next=to)
    assert at == "/subscriptions/"


def test_sign_in_leads_on_within_the_portal(visitor, owner):
    assert visitor.signs_in(owner.email, next="/tenant/")[1] == "/tenant/"


def test_sign_out_never_leads_to_another_site(visitor, owner):
    visitor.signs_in(owner.email)
    assert visitor.post("/accounts/logout/", {"next": EVIL})[1] == LOGIN


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost:80@evil.example"]
)
def test_a_foreign_host_is_not_answered_and_no_mail_names_it(live_portal, visitor, owner, host):
    visitor.get(LOGIN)
    token = next(c.value for c in visitor.jar if c.name == "csrftoken")
    connection = http.client.HTTPConnection("localhost", live_portal.port, timeout=20)
    connection.request(
        "POST",
        "/accounts/password/reset/",
        f"email={owner.email}&csrfmiddlewaretoken={token}",
        {
            "Host": host,
            "Cookie": f"csrftoken={token}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert connection.getresponse().status == 400
    connection.close()


def test_a_forwarded_host_counts_for_nothing(visitor, live_portal, owner):
    visitor.post(
        "/accounts/password/reset/", {"email": owner.email}, **{"X-Forwarded-Host": "evil.example"}
    )
    assert [link.startswith(live_portal.url) for link in mailed_links("/reset/key/")] == [True]


def test_the_link_of_a_reset_does_nothing_before_a_password_is_chosen(visitor, live_portal, owner):
    visitor.post("/accounts/password/reset/", {"email": owner.email})
    [link] = mailed_links("/reset/key/")
    path = link.removeprefix(live_portal.url)
    scanner = Visitor(live_portal.url)
    scanner.get(path)
    assert visitor.signs_in(owner.email)[1] == "/subscriptions/"


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(visitor, owner):
    visitor.signs_in(owner.email)
    cookies = {c.name: c for c in visitor.jar}
    for name in ("sessionid", "known_device"):
        assert cookies[name].has_nonstandard_attr("HttpOnly")
        assert cookies[name].get_nonstandard_attr("SameSite") == "Lax"


def test_a_server_keeps_passwords_at_the_full_cost_of_argon2(visitor, owner):
    visitor.signs_in(owner.email)
    owner.refresh_from_db()
    assert owner.password.startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")
