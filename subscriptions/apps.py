"""What was bought: plans and subscriptions."""

from typing import override

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate


class SubscriptionsConfig(AppConfig):
    """Plans and subscriptions."""

    name = "subscriptions"

    @override
    def ready(self) -> None:
        # They need the app registry.
        from portal.accounts.models import User  # noqa: PLC0415
        from portal.tenants.leaving import close_with, export_with  # noqa: PLC0415
        from subscriptions.catalogue import seed_plans  # noqa: PLC0415
        from subscriptions.flows import closing  # noqa: PLC0415
        from subscriptions.service_tokens import closing as closing_of_tokens  # noqa: PLC0415
        from subscriptions.service_tokens.tidying import forget_maker  # noqa: PLC0415

        export_with(closing.SECTION, closing_of_tokens.SECTION)
        close_with(closing_of_tokens.remove_tokens)
        close_with(closing.end_subscriptions)
        post_migrate.connect(seed_plans, sender=self, dispatch_uid="subscriptions.catalogue")
        post_delete.connect(forget_maker, sender=User, dispatch_uid="subscriptions.service_tokens")
