"""The project itself, and what both apps stand on."""

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    """Tenants, users, members and the log."""

    name = "portal"

    def ready(self) -> None:
        """Register the system checks, and what keeps the log append-only and the groups right."""
        from portal import checks  # noqa: F401, PLC0415 (needs the app registry)
        from portal.append_only import install_triggers  # noqa: PLC0415 (needs the app registry)
        from portal.operators import seed_groups  # noqa: PLC0415 (needs the app registry)

        post_migrate.connect(install_triggers, sender=self, dispatch_uid="portal.append_only")
        post_migrate.connect(
            # Once a migrate, when the tables of auth, which come last, are there.
            seed_groups,
            sender=apps.get_app_config("auth"),
            dispatch_uid="portal.operators",
        )


class AdminConfig(DjangoAdminConfig):
    """Django admin with the portal's own site."""

    default_site = "portal.admin_site.OperatorSite"
