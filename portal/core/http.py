"""What middleware is typed by."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

type GetResponse = Callable[[HttpRequest], HttpResponse]
"""The layer behind a middleware, as Django hands it over."""
