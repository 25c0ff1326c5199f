"""What was bought: plans and subscriptions."""

from typing import override

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SubscriptionsConfig(AppConfig):
    """Plans and subscriptions."""

    name = "subscriptions"

    @override
    def ready(self) -> None:
        from portal.tenants.leaving import close_with, export_with  # noqa: PLC0415 (needs the registry)
        from subscriptions.catalogue import seed_plans  # noqa: PLC0415 (needs the app registry)
        from subscriptions.flows import closing  # noqa: PLC0415 (needs the app registry)

        export_with(closing.SECTION)
        close_with(closing.end_subscriptions)
        post_migrate.connect(seed_plans, sender=self, dispatch_uid="subscriptions.catalogue")
