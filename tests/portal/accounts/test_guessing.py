"""Limits on guessing: by address and account, before any hashing, and never against the owner."""

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client
from django.urls import reverse

from portal.accounts.devices import COOKIE, MAX_ACCOUNTS
from tests.support.accounts import PASSWORD, make_user

pytestmark = pytest.mark.django_db
HERE, THERE = "192.0.2.1", "198.51.100.1"
TOO_MANY = "Too many failed login attempts. Try again later."
WRONG = "The email address or the password is not correct."


def attempt(client, email, password="a wrong password", address=HERE):
    return client.post(
        reverse("account_login"), {"login": email, "password": password}, REMOTE_ADDR=address
    )


def errors(answer):
    return answer.context["form"].non_field_errors() if answer.status_code == 200 else []


def test_the_sixth_guess_is_not_looked_at(owner):
    told = [errors(attempt(Client(), owner.email)) for _ in range(6)]
    assert told == [[WRONG]] * 5 + [[TOO_MANY]]
    assert errors(attempt(Client(), owner.email, PASSWORD)) == [TOO_MANY]


def test_an_unknown_address_is_limited_alike():
    told = [errors(attempt(Client(), "nobody@nowhere.example")) for _ in range(6)]
    assert told == [[WRONG]] * 5 + [[TOO_MANY]]


def test_guesses_from_elsewhere_do_not_lock_the_owner_out(owner):
    for _ in range(6):
        attempt(Client(), owner.email, address=THERE)
    assert attempt(Client(), owner.email, PASSWORD).status_code == 302


def test_guesses_from_the_same_address_do_not_lock_a_known_browser_out(owner):
    known = Client()
    assert attempt(known, owner.email, PASSWORD).status_code == 302
    known.post(reverse("account_logout"))
    for number in range(40):
        attempt(Client(), owner.email if number < 6 else f"{number}@nowhere.example")
    assert errors(attempt(Client(), owner.email, PASSWORD)) == [TOO_MANY]
    assert attempt(known, owner.email, PASSWORD).status_code == 302


def test_a_known_browser_is_limited_too(owner):
    known = Client()
    attempt(known, owner.email, PASSWORD)
    known.post(reverse("account_logout"))
    told = [errors(attempt(known, owner.email)) for _ in range(11)]
    assert told == [[WRONG]] * 10 + [[TOO_MANY]]


def test_a_browser_is_known_to_the_accounts_it_signed_in_to_only(owner, viewer):
    known = Client()
    attempt(known, owner.email, PASSWORD)
    known.post(reverse("account_logout"))
    for _ in range(6):
        attempt(Client(), viewer.email)
    assert errors(attempt(known, viewer.email, PASSWORD)) == [TOO_MANY]


def test_a_forged_cookie_makes_no_known_browser(owner):
    forged = Client()
    forged.cookies[COOKIE] = "forged"
    for _ in range(6):
        attempt(forged, owner.email)
    assert errors(attempt(forged, owner.email, PASSWORD)) == [TOO_MANY]


def test_the_cookie_tells_no_address_and_is_out_of_reach_of_scripts(owner):
    client = Client()
    attempt(client, owner.email, PASSWORD)
    cookie = client.cookies[COOKIE]
    assert owner.email not in cookie.value
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/accounts/")


def test_a_browser_forgets_the_oldest_of_many_accounts(owner):
    client = Client()
    attempt(client, owner.email, PASSWORD)
    for number in range(MAX_ACCOUNTS):
        client.post(reverse("account_logout"))
        user = make_user(email=f"{number}@contoso.example")
        assert attempt(client, user.email, PASSWORD).status_code == 302
    client.post(reverse("account_logout"))
    for _ in range(6):
        attempt(Client(), owner.email)
    assert errors(attempt(client, owner.email, PASSWORD)) == [TOO_MANY]


def test_whole_addresses_are_limited_over_many_accounts():
    told = [errors(attempt(Client(), f"{number}@nowhere.example")) for number in range(31)]
    assert told == [[WRONG]] * 30 + [[TOO_MANY]]


def test_an_ipv6_network_counts_as_one(owner):
    for number in range(6):
        attempt(Client(), owner.email, address=f"2001:db8:0:1::{number + 1}")
    answer = attempt(Client(), owner.email, PASSWORD, address="2001:db8:0:1:ffff::1")
    assert errors(answer) == [TOO_MANY]


@pytest.fixture
def hashings(monkeypatch):
    """The passwords that Argon2 was run on, really."""
    found: list[str] = []

    def watch(name):
        real = getattr(Argon2PasswordHasher, name)

        def hashing(self, password, *more):
            found.append(password)
            return real(self, password, *more)

        monkeypatch.setattr(Argon2PasswordHasher, name, hashing)

    watch("encode")
    watch("verify")
    return found


def test_a_refused_guess_costs_no_hashing_and_an_unknown_account_as_much_as_a_known_one(
    owner, hashings
):
    """Argon2 takes most of the time of an attempt: by how often it runs an account would show."""

    def hashed(email):
        hashings.clear()
        attempt(Client(), email)
        return [*hashings]

    for email in (owner.email, "nobody@nowhere.example"):
        assert [hashed(email) for _ in range(6)] == [["a wrong password"]] * 5 + [[]]
