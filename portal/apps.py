"""The project's own app, on which the other apps build."""

from importlib import import_module
from typing import override

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_migrate, pre_migrate

from portal.config.schema import refuse_misfit


class PortalConfig(AppConfig):
    """Tenants, users, members and the log."""

    name = "portal"

    @override
    def ready(self) -> None:
        import_module("portal.config.checks")
        import_module("portal.activity.checks")
        import_module("portal.activity.log_key")
        import_module("portal.accounts.receivers")
        import_module("portal.webhooks.telling")
        from portal.activity.rights import grant_rights  # noqa: PLC0415 (needs the app registry)
        from portal.activity.triggers import install_triggers  # noqa: PLC0415 (needs the registry)
        from portal.operators.flows.recovery import drop_changes  # noqa: PLC0415 (needs the registry)
        from portal.operators.groups import seed_groups  # noqa: PLC0415 (needs the app registry)
        from portal.tenants.access import (  # noqa: PLC0415 (needs the app registry)
            end_support_view_at_sign_out,
        )
        from portal.tenants.leaving import (  # noqa: PLC0415 (needs the registry)
            end_with,
            export_with,
            remove_with,
            wait_for,
        )
        from portal.webhooks import closing  # noqa: PLC0415 (needs the app registry)

        export_with(*closing.SECTIONS)
        end_with(drop_changes)
        wait_for(closing.is_still_told)
        remove_with(closing.remove_endpoints)
        remove_with(closing.remove_events)
        user_logged_out.connect(end_support_view_at_sign_out, dispatch_uid="portal.support_view")
        pre_migrate.connect(refuse_misfit, sender=self, dispatch_uid="portal.config.schema")
        post_migrate.connect(install_triggers, sender=self, dispatch_uid="portal.append_only")
        post_migrate.connect(grant_rights, sender=self, dispatch_uid="portal.activity.rights")
        post_migrate.connect(
            # Once per migrate, after the tables of auth, which come last.
            seed_groups,
            sender=apps.get_app_config("auth"),
            dispatch_uid="portal.operators",
        )


class AdminConfig(DjangoAdminConfig):
    """Django admin with the portal's own site."""

    default_site = "portal.operators.site.OperatorSite"

    @override
    def ready(self) -> None:
        """Register what operators see; the pages of the portal's own models come first."""
        import_module("portal.operators.admin")
        import_module("portal.operators.webhooks")
        super().ready()
