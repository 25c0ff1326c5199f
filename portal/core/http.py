"""Types for middleware."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

type GetResponse = Callable[[HttpRequest], HttpResponse]
"""The next layer, as Django passes it to a middleware."""
