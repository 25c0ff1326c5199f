"""One rule for passwords, wherever somebody chooses one."""

import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from tests.support.accounts import PASSWORD, make_user, sign_in
from tests.support.joining import COMPLETE, FILLED, opened
from tests.support.mails import mailed_links

pytestmark = pytest.mark.django_db
RULE = "At least 10 characters, not easy to guess, and not like your name or address."
NAME, EMAIL = "Ada Lovelacetine", "countess@lovelace.example"
LIKE_NAME = "The password is too similar to the name."
LIKE_EMAIL = "The password is too similar to the email address."
WEAK = [
    ("lovelacetine1", LIKE_NAME),
    ("countess@example", LIKE_EMAIL),
]


def at_sign_up(password):
    client = opened(Client(), EMAIL)
    yield client.get(COMPLETE)
    yield client.post(COMPLETE, FILLED | {"name": NAME, "password": password})


def at_change(password):
    client = sign_in(Client(), make_user(email=EMAIL, name=NAME))
    path = reverse("account_change_password")
    yield client.get(path)
    yield client.post(path, {"oldpassword": PASSWORD, "password1": password, "password2": password})


def at_first_choice(password):
    user = make_user(email=EMAIL, name=NAME)
    user.set_unusable_password()
    user.save()
    client = sign_in(Client(), user)
    path = reverse("account_set_password")
    yield client.get(path)
    yield client.post(path, {"password1": password, "password2": password})


def at_reset(password):
    make_user(email=EMAIL, name=NAME)
    client = Client()
    client.post(reverse("account_reset_password"), {"email": EMAIL})
    path = client.get(mailed_links("/password/reset/key/")[-1])["Location"]
    yield client.get(path)
    yield client.post(path, {"password1": password, "password2": password})


@pytest.mark.parametrize("way", [at_sign_up, at_change, at_first_choice, at_reset])
@pytest.mark.parametrize(("password", "sentence"), WEAK)
def test_every_form_judges_alike_and_says_the_rule(way, password, sentence):
    page, answer = way(password)
    hints = re.findall(r"At least 10 characters[^<]*", page.text)
    assert hints == [RULE]
    form = answer.context["form"]
    [errors] = [form.errors[field] for field in ("password", "password1") if field in form.errors]
    assert errors == [sentence]


@pytest.mark.parametrize(("password", "sentence"), WEAK)
def test_the_command_judges_alike(password, sentence, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    with pytest.raises(CommandError, match=re.escape(sentence)):
        call_command("createsuperuser", interactive=False, email=EMAIL, name=NAME)
    assert not User.objects.exists()
