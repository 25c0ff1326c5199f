"""How allauth signs people in to this portal, and the mail it sends for that."""

from typing import Any, override
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import get_adapter as get_identity_adapter
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from portal.accounts.allauth_internals import LoginStageController, LoginStageKey, ratelimit
from portal.accounts.devices import known_device, remember_device
from portal.accounts.flows.accounts import address_in_use, drop_credentials
from portal.accounts.models import User
from portal.core import email_addresses
from portal.core.links import public_link
from portal.mail.outbox import QueuedMail, site_context
from portal.programs.client_address import client_address


class AccountAdapter(DefaultAccountAdapter):
    """Limits on guessing, links of mails, verified addresses, and ways to prove who one is."""

    @override
    def clean_email(self, email: str) -> str:
        """Return the address as it is stored; raises ValidationError where no mail can go to it."""
        known = address_in_use(email)
        email_addresses.normalised(known)
        return known

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that limits hang on."""
        return client_address(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt, before a password is hashed; allauth takes it back on success.

        Raises ValidationError when there were too many: from this address, from this address on
        this account, or, for a browser that has signed in to the account before, by it.
        """
        email = credentials["email"].lower()
        device = known_device(request, email)
        self._login_failed_rl_usage = ratelimit.consume(
            request,
            app="allauth.account",
            action="login_failed_known_device" if device else "login_failed",
            key=f"{device or ratelimit.get_ip(request)} {email}",
        )
        if not self._login_failed_rl_usage:
            raise self.validation_error("too_many_login_attempts")

    def post_login(self, request: HttpRequest, user: Any, **options: Any) -> HttpResponse:
        """Go on after sign-in, and know the browser from now on."""
        response = super().post_login(request, user, **options)
        remember_device(request, response, user)
        return response

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Verify the address; on the first time drop what somebody else may have set before.

        Somebody may have made the account for an address that is not theirs. Whoever verifies it
        keeps the credentials only when this browser has just signed in with them.
        """
        user = email_address.user
        assert isinstance(user, User)
        with transaction.atomic():
            if User.objects.filter(email__iexact=email_address.email).exclude(pk=user.pk).exists():
                return False
            is_first = not EmailAddress.objects.filter(user=user, verified=True).exists()
            if is_first and not _has_just_signed_in(request, user):
                drop_credentials(user=user)
            return super().confirm_email(request, email_address)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Return the ways in which the user can prove who they are; the first is offered first."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        names = {
            app.provider_id: app.name for app in get_identity_adapter().list_apps(self.request)
        }
        return methods + [
            {
                "id": f"identity:{provider}",
                "description": f"Use {names[provider]}",
                "url": reverse("prove_at_provider", args=[provider]),
            }
            for provider in SocialAccount.objects.filter(user_id=user.pk).values_list(
                "provider", flat=True
            )
            if provider in names
        ]

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the link of a mail, built from PUBLIC_URL and never from the request's Host."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "u", "key": "k"})
        return public_link(path.replace("u-k", key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Return the link of a mail, built from PUBLIC_URL and never from the request's Host."""
        path = reverse("account_confirm_email", args=[emailconfirmation.key])
        return public_link(path)

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
        mail = super().render_mail(template_prefix, email, context | site_context(), headers)
        return QueuedMail(mail.subject, mail.body, mail.from_email, mail.to)


class MfaAdapter(DefaultMFAAdapter):
    """Second factors that name the portal as PUBLIC_URL does, never as the request's Host does."""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the site that passkeys are for."""
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "", "name": settings.PORTAL_NAME}


def _has_just_signed_in(request: HttpRequest, user: User) -> bool:
    """Return whether this browser's sign-in of the user waits for the address to be verified."""
    stage = LoginStageController.enter(request, LoginStageKey.VERIFY_EMAIL.value)
    waiting = stage.login.user if stage else None
    return waiting is not None and waiting.pk == user.pk
