"""The project itself, and what both apps stand on."""

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_migrate, pre_migrate


class PortalConfig(AppConfig):
    """Tenants, users, members and the log."""

    name = "portal"

    def ready(self) -> None:
        """Register the system checks and the handlers of signals."""
        from portal import checks, security_log  # noqa: F401, PLC0415 (need the app registry)
        from portal.access import end_support_view_at_sign_out  # noqa: PLC0415 (needs the registry)
        from portal.append_only import install_triggers  # noqa: PLC0415 (needs the app registry)
        from portal.config.schema import refuse_misfit  # noqa: PLC0415 (like those around it)
        from portal.operators import seed_groups  # noqa: PLC0415 (needs the app registry)

        user_logged_out.connect(end_support_view_at_sign_out, dispatch_uid="portal.support_view")
        pre_migrate.connect(refuse_misfit, sender=self, dispatch_uid="portal.config.schema")
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
