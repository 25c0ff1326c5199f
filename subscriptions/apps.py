"""What was bought: plans and subscriptions."""

from typing import override

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SubscriptionsConfig(AppConfig):
    """Plans and subscriptions."""

    name = "subscriptions"

    @override
    def ready(self) -> None:
        from subscriptions.catalogue import seed_plans  # noqa: PLC0415 (needs the app registry)

        post_migrate.connect(seed_plans, sender=self, dispatch_uid="subscriptions.catalogue")
