"""The one door to what allauth does not promise to keep.

Everything here comes from modules that allauth calls internal, so `pyproject.toml` pins the minor
version that it was tried with: read allauth's release notes and run all tests before raising it.
"""

from allauth.account.internal.constants import LoginStageKey
from allauth.account.internal.flows.login import (
    get_authentication_records,
    perform_login,
    perform_password_login,
    record_authentication,
)
from allauth.account.stages import LoginStageController
from allauth.core.internal import ratelimit
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.usersessions.internal.flows.sessions import end_sessions

__all__ = [
    "TOTP",
    "LoginStageController",
    "LoginStageKey",
    "end_sessions",
    "generate_totp_secret",
    "get_authentication_records",
    "perform_login",
    "perform_password_login",
    "ratelimit",
    "record_authentication",
]
