"""How allauth signs people in to this portal."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from portal.network import client_address


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by operators and by the demonstration; sign-up is closed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return whether strangers may make an account themselves."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that limits hang on."""
        return client_address(request)
