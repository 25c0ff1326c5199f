"""Everything that the portal uses of allauth's internal modules.

These may change in any release, so `pyproject.toml` pins the minor version that was tested: read
allauth's release notes and run all tests before raising it.
"""

from allauth.account.internal.constants import LoginStageKey
from allauth.account.internal.flows.login import (
    get_authentication_records,
    perform_login,
    perform_password_login,
    record_authentication,
)
from allauth.account.stages import LoginStageController
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.totp.internal.auth import (
    SECRET_SESSION_KEY,
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.internal.auth import (
    begin_registration,
    clear_state,
    extract_user_from_response,
    get_server,
    get_state,
    parse_authentication_response,
    parse_registration_response,
    set_state,
)
from allauth.usersessions.internal.flows.sessions import end_sessions

__all__ = [
    "SECRET_SESSION_KEY",
    "TOTP",
    "LoginStageController",
    "LoginStageKey",
    "begin_registration",
    "clear_state",
    "compare_user_code",
    "context",
    "decrypt",
    "encrypt",
    "end_sessions",
    "extract_user_from_response",
    "format_hotp_value",
    "generate_totp_secret",
    "get_authentication_records",
    "get_server",
    "get_state",
    "hotp_value",
    "parse_authentication_response",
    "parse_registration_response",
    "perform_login",
    "perform_password_login",
    "post_authentication",
    "ratelimit",
    "record_authentication",
    "set_state",
]
