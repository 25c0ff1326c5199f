"""How allauth signs people in to this portal, and the mail it sends for that."""

from typing import Any, override
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import get_adapter as get_identity_adapter
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.core.mail import EmailMessage
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from portal.accounts import secrets_at_rest
from portal.accounts.allauth_internals import LoginStageController, LoginStageKey, ratelimit
from portal.accounts.credentials import credentials_of
from portal.accounts.devices import known_device, remember_device
from portal.accounts.flows.accounts import address_in_use, drop_credentials
from portal.accounts.flows.email_change import finish_email_change
from portal.accounts.flows.failed_sign_ins import (
    CHANGED_MEANWHILE,
    DEACTIVATED,
    REFUSED_BY_LIMIT,
    record_failed_sign_in,
)
from portal.accounts.models import User
from portal.accounts.requests import ways_used
from portal.accounts.second_factor import has_second_factor
from portal.core import email_addresses
from portal.core.links import public_link
from portal.mail.outbox import QueuedMail, site_context
from portal.programs.client_address import client_address

PROVEN_WITH = "proven_with"
"""Session key of the credentials' fingerprint at the first step of a sign-in."""


class AccountAdapter(DefaultAccountAdapter):
    """Limits on guessing, links in mails, verified addresses, and proofs of identity."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The email address or the password is not correct.",
    }

    @override
    def clean_email(self, email: str) -> str:
        """Return the address as it is stored; raises ValidationError where no mail can go to it."""
        known = address_in_use(email)
        email_addresses.normalised(known)
        return known

    @override
    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that rate limits count."""
        return client_address(request)

    @override
    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt before the password is hashed; allauth takes it back on success.

        Raises ValidationError after too many: from this address, from this address on this
        account, or, if the browser has signed in to the account before, from that browser.
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
            self._record_failure(request, email, f"password ({REFUSED_BY_LIMIT})")
            raise self.validation_error("too_many_login_attempts")

    @override
    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        self._record_failure(request, str(credentials.get("email", "")).lower(), "password")

    def _record_failure(self, request: HttpRequest, email: str, way: str) -> None:
        user = User.objects.filter(email__iexact=email).first()
        address = client_address(request)
        record_failed_sign_in(user=user, email=email.lower(), way=way, address=address)

    @override
    def pre_login(self, request: HttpRequest, user: Any, **options: Any) -> HttpResponse | None:
        """Note the credentials of the first step: the sign-in ends when they change."""
        way = ways_used(request, user)
        response: HttpResponse | None = super().pre_login(request, user, **options)
        if response is None:
            request.session[PROVEN_WITH] = credentials_of(user)
        else:
            self._record_failure(request, user.email, f"{way} ({DEACTIVATED})")
        return response

    @override
    def login(self, request: HttpRequest, user: Any) -> None:
        """Raises ImmediateHttpResponse when the credentials changed after the first step."""
        proven_with = request.session.pop(PROVEN_WITH, "")
        if proven_with != credentials_of(user) or not user.is_active:
            way = ways_used(request, user)
            self._record_failure(request, user.email, f"{way} ({CHANGED_MEANWHILE})")
            request.session.flush()
            messages.error(request, "What you sign in with has changed. Sign in again.")
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, user)

    @override
    def post_login(self, request: HttpRequest, user: Any, **options: Any) -> HttpResponse:
        """Remember the browser as one that has signed in."""
        response = super().post_login(request, user, **options)
        remember_device(request, response, user)
        return response

    @override
    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Verify the address; the first time, drop credentials that somebody else may have set.

        Somebody may have created the account for an address that is not theirs. Whoever verifies
        it keeps the credentials only if this browser has just signed in with them. A change of
        address is verified only by the signed-in user of the account, and only while it waits.
        """
        user = email_address.user
        assert isinstance(user, User)
        with transaction.atomic():
            if User.objects.filter(email__iexact=email_address.email).exclude(pk=user.pk).exists():
                return False
            if not is_change(email_address):
                if not _has_just_signed_in(request, user):
                    drop_credentials(user=user)
            elif request.user != user or finish_email_change(address=email_address) is None:
                return False
            return super().confirm_email(request, email_address)

    @override
    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Return the methods to prove one's identity; the first is offered first.

        Users with a second factor must use it: somebody else may know the password.
        """
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if user.is_authenticated and has_second_factor(user.pk):
            return [method for method in methods if method["id"].startswith("mfa_")]
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

    @override
    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the link of a mail, built from PUBLIC_URL and never from the request's Host."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "u", "key": "k"})
        return public_link(path.replace("u-k", key))

    @override
    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Return the link of a mail, built from PUBLIC_URL and never from the request's Host."""
        path = reverse("account_confirm_email", args=[emailconfirmation.key])
        return public_link(path)

    @override
    def format_email_subject(self, subject: str) -> str:
        """Add no prefix: the sender says where the mail comes from."""
        return subject

    @override
    def send_notification_mail(
        self,
        template_prefix: str,
        user: Any,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        if template_prefix != "account/email/email_changed":  # finish_email_change says it
            super().send_notification_mail(template_prefix, user, context, email)

    @override
    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """Return a mail that is sent through the outbox, so that no request waits for it.

        Its templates get `site_context` too.
        """
        mail = super().render_mail(template_prefix, email, context | site_context(), headers)
        return QueuedMail(mail.subject, mail.body, mail.from_email, mail.to)


class MfaAdapter(DefaultMFAAdapter):
    """Second factors for the host of PUBLIC_URL, never for the request's Host."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "Incorrect code: enter the one that your app shows now. Each works once.",
    }

    @override
    def encrypt(self, text: str) -> str:
        return secrets_at_rest.encrypt(text)

    @override
    def decrypt(self, encrypted_text: str) -> str:
        return secrets_at_rest.decrypt(encrypted_text)

    @override
    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "", "name": settings.PORTAL_NAME}


def is_change(address: EmailAddress) -> bool:
    """Return whether the address would replace one that is verified already."""
    return EmailAddress.objects.filter(user_id=address.user_id, verified=True).exists()


def _has_just_signed_in(request: HttpRequest, user: User) -> bool:
    """Return whether a sign-in of the user in this browser waits for the address's verification."""
    stage = LoginStageController.enter(request, LoginStageKey.VERIFY_EMAIL.value)
    waiting = stage.login.user if stage else None
    return waiting is not None and waiting.pk == user.pk
