"""Mailed links that are opened while somebody else is signed in."""

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from tests.support.accounts import PASSWORD, make_user, sign_in
from tests.support.answers import shape
from tests.support.mails import mailed_links

pytestmark = pytest.mark.django_db
ELSEWHERE = (403, "page", "This link belongs to another account")
NEW_PASSWORD = "another horse battery staple"


def test_a_link_to_a_new_password_asks_before_somebody_else_is_signed_out(owner):
    other = make_user(email="other@contoso.example")
    client = sign_in(Client(), other)
    Client().post(reverse("account_reset_password"), {"email": owner.email})
    page = client.get(mailed_links("/password/reset/key/")[-1])["Location"]
    chosen = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    for answer in (client.get(page), client.post(page, chosen)):
        assert shape(answer) == ELSEWHERE
        assert f"It is for {owner.email}, and you are signed in as {other.email}." in answer.text
        assert client.session["_auth_user_id"] == str(other.pk)
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)
    assert client.post(page, {"log_out": "yes"})["Location"] == page
    assert "_auth_user_id" not in client.session
    assert client.post(page, chosen).status_code == 302
    owner.refresh_from_db()
    assert owner.check_password(NEW_PASSWORD)


def test_a_link_that_confirms_an_address_asks_before_somebody_else_is_signed_out(owner):
    EmailAddress.objects.update(verified=False)
    other = make_user(email="other@contoso.example")
    Client().post(reverse("account_login"), {"login": owner.email, "password": PASSWORD})
    client = sign_in(Client(), other)
    link = mailed_links("/confirm-email/")[-1]
    for answer in (client.get(link), client.post(link)):
        assert shape(answer) == ELSEWHERE
        assert client.session["_auth_user_id"] == str(other.pk)
    assert not EmailAddress.objects.get(user=owner).verified
    assert client.post(link, {"log_out": "yes"})["Location"].startswith("/accounts/confirm-email/")
    assert client.get(link).status_code == 200
    client.post(link)
    assert EmailAddress.objects.get(user=owner).verified
