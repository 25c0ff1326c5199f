"""Ways to an identity provider and back, as a browser goes them."""

import base64
from urllib.parse import parse_qsl, urlsplit

from django.urls import reverse

from portal.accounts.models import User

LOGIN = reverse("openid_connect_login", args=["company"])
PROVE = reverse("prove_at_provider", args=["company"])
CALLBACK = reverse("openid_connect_callback", args=["company"])
CONNECTIONS = reverse("socialaccount_connections")
PUT_ASIDE = "/accounts/identity/put-aside/"
BUTTON = "Use a password instead"


def at_provider(client, provider, address=LOGIN, **query):
    """Press the button, be at the provider, and return the portal's answer to what it says."""
    return client.get(sent_back(client, provider, address, **query))


def sent_back(client, provider, address=LOGIN, **query):
    """Press the button, be at the provider, and return where it sends the browser."""
    pressed = client.post(address, query_params=query)
    assert pressed.url.startswith(f"{provider.issuer}/authorize?"), pressed.url
    back = urlsplit(provider.authorize(dict(parse_qsl(urlsplit(pressed.url).query))))
    return f"{back.path}?{back.query}"


def text(answer):
    """Return the text of a page, with single blanks."""
    return " ".join(answer.content.decode().split())


def forged_header(header):
    """Return a token with this header."""
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode() + ".e30.AA"


def signed_in_as(client):
    return User.objects.filter(pk=client.session.get("_auth_user_id")).first()


def configured(settings, *servers):
    settings.OIDC_PROVIDERS = [server.as_setting for server in servers]
    apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"] | {"APPS": settings.OIDC_PROVIDERS}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": apps}
