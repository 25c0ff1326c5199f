"""Operators: what their groups may do, and the second factor without which none comes in."""

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.http import HttpRequest

from portal.models import User

APPS = ("portal", "subscriptions", "licenses")

SUPPORT, SALES, SECURITY = "support", "sales", "security"

DOES: dict[str, tuple[str, ...]] = {
    SUPPORT: ("portal.support_tenant",),
    SALES: (
        "portal.add_tenant",
        "portal.change_tenant",
        "subscriptions.add_subscription",
        "subscriptions.change_subscription",
    ),
    SECURITY: (
        "portal.change_user",
        "portal.change_member",
        "portal.change_pendingchange",
        "licenses.change_licensekey",
        "licenses.add_signingkey",
        "licenses.change_signingkey",
    ),
}
"""What each group does besides reading everything that the admin shows.

Django's own permissions say it, but for the support view: to change a license key is to revoke
it, to change a member is to replace a last owner, to change a pending change is to stop it. Plans,
and who is an operator in which group, are for superusers alone.
"""


def seed_groups(**_: Any) -> None:
    """Make the groups have these permissions exactly; runs after every migrate."""
    for app in APPS:
        create_permissions(apps.get_app_config(app), verbosity=0)
    ours = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type").filter(
            content_type__app_label__in=APPS
        )
    }
    views = [permission for name, permission in ours.items() if ".view_" in name]
    for name, does in DOES.items():
        group, _made = Group.objects.get_or_create(name=name)
        group.permissions.set([*views, *(ours[permission] for permission in does)])


def has_second_factor(user: User) -> bool:
    """Return whether the user has set up an authenticator app or a passkey."""
    factors = Authenticator.objects.filter(user_id=user.pk)
    return factors.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()


def proof_page(user: User) -> str:
    """Return the name of the page where the user proves themself with the factor they have."""
    totp = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP)
    return "mfa_reauthenticate" if totp.exists() else "mfa_reauthenticate_webauthn"


def is_two_factor_session(request: HttpRequest) -> bool:
    """Return whether this session was proven with a second factor that still is the user's."""
    if not hasattr(request, "is_two_factor"):  # asked several times for one page
        request.is_two_factor = _is_two_factor(request)  # type: ignore[attr-defined]
    return bool(request.is_two_factor)  # type: ignore[attr-defined]


def _is_two_factor(request: HttpRequest) -> bool:
    user = request.user
    if not isinstance(user, User):
        return False
    records = get_authentication_records(request, user)
    used = [record["id"] for record in records if record["method"] == "mfa"]
    return bool(used) and Authenticator.objects.filter(user_id=user.pk, pk__in=used).exists()
