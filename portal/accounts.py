"""How allauth signs people in to this portal, and the mail it sends for that."""

from typing import Any
from urllib.parse import urljoin

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.urls import reverse

from portal.network import client_address
from portal.outbox import QueuedMail


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators and by the demonstration; sign-up is closed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return whether strangers may make an account themselves."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that limits hang on."""
        return client_address(request)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the link of a mail, built from PUBLIC_URL and never from the request's Host."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "u", "key": "k"})
        return urljoin(settings.PUBLIC_URL, path.replace("u-k", key))

    def format_email_subject(self, subject: str) -> str:
        """Return the subject as it stands: the sender tells where the mail comes from."""
        return subject

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """Return the mail, which goes by the outbox, so that its sending takes no time.

        Its templates know the portal's name and address.
        """
        house = {"portal_name": settings.PORTAL_NAME, "portal_url": settings.PUBLIC_URL}
        mail = super().render_mail(template_prefix, email, context | house, headers)
        return QueuedMail(mail.subject, mail.body, mail.from_email, mail.to)
