"""What was bought: plans and subscriptions."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SubscriptionsConfig(AppConfig):
    """Plans and subscriptions."""

    name = "subscriptions"

    def ready(self) -> None:
        """Register the handler that seeds the plans."""
        from subscriptions.catalogue import seed_plans  # noqa: PLC0415 (needs the app registry)

        post_migrate.connect(seed_plans, sender=self, dispatch_uid="subscriptions.catalogue")
