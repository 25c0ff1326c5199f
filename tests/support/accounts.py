"""Users who can sign in, and clients that are signed in."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from portal.accounts.allauth_internals import TOTP, record_authentication
from portal.accounts.models import User
from portal.tenants.models import Member, Role, Tenant

PASSWORD = "correct horse battery staple"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class QuickArgon2(Argon2PasswordHasher):
    """Argon2 at its lowest cost. A server process knows its hashes and makes them anew."""

    time_cost, memory_cost, parallelism = 1, 8, 1


@cache
def _hashed_password(hasher: str) -> str:
    """Hash the password once: argon2 is slow on purpose. Another hasher would make it anew."""
    return make_password(PASSWORD)


def make_user(*, email: str, name: str = "", two_factor: bool = False, **fields: Any) -> User:
    """Return a user with a verified address and PASSWORD; with `two_factor` TOTP_SECRET too."""
    name = name or email.partition("@")[0].title()
    user = User.objects.create(
        email=email, name=name, password=_hashed_password(settings.PASSWORD_HASHERS[0]), **fields
    )
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    if two_factor:
        TOTP.activate(user, TOTP_SECRET)
    return user


def make_member(*, tenant: Tenant, role: Role, email: str, **fields: Any) -> User:
    """Return a new user with that role in the tenant."""
    user = make_user(email=email, **fields)
    Member.objects.create(tenant=tenant, user=user, role=role)
    return user


def sign_in(client: Client, user: User, *, at: datetime | None = None) -> Client:
    """Sign the client in as by allauth's form, `at` (now); return the client.

    A second factor that the user has counts as given. `at=None` is a fresh proof; a time more
    than 15 minutes ago makes the portal ask again.
    """
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    _prove(client, user, at)
    return client


def prove(client: Client) -> None:
    """Let who is signed in prove again, now, who they are."""
    _prove(client, User.objects.get(pk=client.session["_auth_user_id"]), None)


def _prove(client: Client, user: User, at: datetime | None) -> None:
    request = HttpRequest()
    request.session = client.session
    request.user = user
    stamp = (at or timezone.now()).timestamp()
    record_authentication(request, user, method="password", at=stamp, email=user.email)
    for factor in Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP):
        record_authentication(request, user, method="mfa", at=stamp, id=factor.pk, type=factor.type)
    request.session.save()


def stale() -> datetime:
    """Return a time of sign-in that is no recent proof any more."""
    return timezone.now() - timedelta(minutes=16)
