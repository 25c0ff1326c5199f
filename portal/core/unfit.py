"""A node that must not write, whatever it is asked: another one may do it."""

from django.core.exceptions import ImproperlyConfigured


class UnfitNode(ImproperlyConfigured):
    """What this process would write is not fit for its database; nothing was written."""
