"""How people come in: by a mailed invitation, or by sign-up."""

import re

from django.conf import settings
from django.urls import reverse

from portal.mail.models import Outbox
from tests.support.accounts import PASSWORD
from tests.support.mails import mails

NEW = "new@contoso.example"


def secret_of(invitation):
    mail = Outbox.objects.get(to=invitation.email)
    [secret] = re.findall(r"http://localhost:\d+/invitations/([\w-]{43})/\n", mail.text)
    return secret


SIGN_UP, COMPLETE = reverse("account_signup"), reverse("complete_sign_up")


EMAIL = "ada@lovelace.example"


FILLED = {"name": "Ada", "password": PASSWORD, "tenant_name": "Engines", "country": "GBR"}


def link_for(client, email=EMAIL):
    client.post(SIGN_UP, {"email": email})
    message = mails()[-1]
    assert (message.subject, message.to) == ("Confirm your email address", [email])
    [link] = re.findall(r"^https?://\S+/signup/\S+$", message.body, re.MULTILINE)
    return link.removeprefix(settings.PUBLIC_URL)


def opened(client, email=EMAIL):
    assert client.get(link_for(client, email)).url == COMPLETE
    return client
