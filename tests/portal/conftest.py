"""Fixtures of the tests about people."""

from collections.abc import Iterator

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client

from portal.accounts.models import User
from portal.programs import limits
from tests.support.accounts import sign_in
from tests.support.identities import at_provider
from tests.support.oidc import IdentityServer


@pytest.fixture(autouse=True)
def _fresh_limits() -> Iterator[None]:
    """Forget what the limits of earlier tests have counted."""
    cache.clear()
    limits.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _quick_hashing(settings) -> None:
    """Hash at Argon2's lowest cost in this process; server processes hash as people's do."""
    settings.PASSWORD_HASHERS = ["tests.support.accounts.QuickArgon2"]


@pytest.fixture
def provider(settings) -> Iterator[IdentityServer]:
    """An identity provider that this process knows as `company`."""
    with IdentityServer() as server:
        settings.IDENTITY_PROVIDER_SECONDS = 60  # however busy this machine is
        settings.OIDC_PROVIDERS = [server.as_setting]
        providers = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]
        settings.SOCIALACCOUNT_PROVIDERS = {
            "openid_connect": providers | {"APPS": settings.OIDC_PROVIDERS}
        }
        yield server


@pytest.fixture
def connected(owner, provider) -> User:
    """The owner, who has connected the provider and has no password."""
    at_provider(sign_in(Client(), owner), provider, process="connect")
    assert SocialAccount.objects.get().user == owner
    owner.set_unusable_password()
    owner.save()
    return owner
