"""Every URL pattern, as the resolver holds them."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import URLPattern, URLResolver

type Found = tuple[str, str, Any]


def walk(patterns: Iterable[Any], route: str = "", namespace: str = "") -> Iterator[Found]:
    """Return (name with namespaces, route, view) of every pattern."""
    for pattern in patterns:
        below = route + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = namespace + f"{pattern.namespace}:" if pattern.namespace else namespace
            yield from walk(pattern.url_patterns, below, inner)
        else:
            assert isinstance(pattern, URLPattern)
            yield f"{namespace}{pattern.name}", below, pattern.callback
