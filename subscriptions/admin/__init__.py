"""What operators see of plans and subscriptions."""

from subscriptions.admin.plans import PlanAdmin
from subscriptions.admin.service_tokens import ServiceTokenAdmin
from subscriptions.admin.subscriptions import SubscriptionAdmin

__all__ = ["PlanAdmin", "ServiceTokenAdmin", "SubscriptionAdmin"]
