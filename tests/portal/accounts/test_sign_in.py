"""Sign-in and the mails of a password reset."""

import io
import re

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from portal.mail.console import EmailBackend
from portal.mail.models import Outbox
from tests.support.accounts import PASSWORD

pytestmark = pytest.mark.django_db
RESET = reverse("account_reset_password")


def sign_in_with(client, email, password):
    return client.post(reverse("account_login"), {"login": email, "password": password})


def test_a_member_signs_in_with_address_and_password(client, owner):
    answer = sign_in_with(client, owner.email, PASSWORD)
    assert (answer.status_code, answer.url) == (302, "/")
    assert client.get("/").url == reverse("subscriptions:list")


def test_a_wrong_password_and_an_unknown_address_are_told_alike(client, owner):
    pages = [
        sign_in_with(client, email, "not the password")
        for email in (owner.email, "nobody@nowhere.example")
    ]
    assert [page.context["form"].errors for page in pages] == [
        {"__all__": ["The email address or the password is not correct."]}
    ] * 2


def test_the_link_of_a_reset_leads_to_the_public_address_whatever_host_was_asked(client, owner):
    client.post(RESET, {"email": owner.email}, headers={"Host": "127.0.0.1"})
    message = Outbox.objects.get()
    assert (message.subject, message.to) == ("Set a new password", owner.email)
    [link] = re.findall(r"^https?://\S+/key/\S+$", message.text, re.MULTILINE)
    assert link.startswith(f"{settings.PUBLIC_URL}/accounts/password/reset/key/")
    form = client.get(link.removeprefix(settings.PUBLIC_URL), follow=True)
    new = "a fresh and long password"
    done = client.post(form.redirect_chain[-1][0], {"password1": new, "password2": new})
    assert done.url == reverse("account_reset_password_from_key_done")
    assert sign_in_with(client, owner.email, new).status_code == 302


def test_a_reset_for_an_unknown_address_is_answered_alike_and_says_so_by_mail(client, owner):
    answers = [
        client.post(RESET, {"email": email}).url
        for email in (owner.email, "nobody@nowhere.example")
    ]
    assert answers == [reverse("account_reset_password_done")] * 2
    assert list(Outbox.objects.order_by("pk").values_list("subject", flat=True)) == [
        "Set a new password",
        "No account with this address",
    ]


def test_the_demonstration_prints_links_unbroken():
    stream = io.StringIO()
    link = f"http://localhost:8000/{'k' * 200}/"
    message = EmailMessage("Subject", f"Öffne {link}", to=["a@contoso.example"])
    EmailBackend(stream=stream).send_messages([message])
    assert stream.getvalue().splitlines()[1:4] == [
        "Mail to a@contoso.example: Subject",
        "",
        f"Öffne {link}",
    ]
