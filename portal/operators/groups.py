"""The groups of operators, and what each may do."""

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

APPS = ("portal", "subscriptions", "licenses")

SUPPORT, SALES, SECURITY = "support", "sales", "security"

DOES: dict[str, tuple[str, ...]] = {
    SUPPORT: ("portal.support_tenant", "portal.change_outbox"),
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
        "portal.change_endpoint",
        "portal.change_outbox",
        "licenses.change_licensekey",
        "licenses.add_signingkey",
        "licenses.change_signingkey",
    ),
}
"""What each group may do besides reading everything that the admin shows.

Except for the support view these are Django's own permissions: to change a license key means to
revoke it, to change a member to replace a last owner and to send or revoke invitations, to change a
pending change to stop it, to change an endpoint to set the vendor's own webhooks, to change the
outbox to send mail again that failed. Plans, and who is
an operator in which group, are for superusers alone.
"""


def seed_groups(**_: Any) -> None:
    """Give the groups exactly these permissions; runs after every migrate."""
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
