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
        from portal.tenants.leaving import end_with, export_with, remove_with  # noqa: PLC0415
        from subscriptions.catalogue import seed_plans  # noqa: PLC0415
        from subscriptions.flows import closing  # noqa: PLC0415
        from subscriptions.service_tokens import closing as closing_of_tokens  # noqa: PLC0415
        from subscriptions.service_tokens.tidying import forget_maker  # noqa: PLC0415

        export_with(closing.SECTION, closing_of_tokens.TOKENS, closing_of_tokens.CHOSEN)
        end_with(closing_of_tokens.remove_tokens)
        end_with(closing.end_subscriptions)
        remove_with(closing.replace_names)
        post_migrate.connect(seed_plans, sender=self, dispatch_uid="subscriptions.catalogue")
        post_delete.connect(forget_maker, sender=User, dispatch_uid="subscriptions.service_tokens")
