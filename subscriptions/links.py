"""Addresses of subscriptions, for mails."""

from urllib.parse import urljoin

from django.conf import settings
from django.urls import reverse

from subscriptions.models import Subscription


def page_of(subscription: Subscription) -> str:
    """Return the address of the subscription's page."""
    return urljoin(settings.PUBLIC_URL, reverse("subscriptions:detail", args=[subscription.pk]))
