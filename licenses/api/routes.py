"""Addresses of the operations, below `/api/v1/`."""

from django.urls import path, register_converter
from django.urls.converters import UUIDConverter

import licenses.forms  # noqa: F401 (registers <slot:...>)
from licenses.api import keys, log, subscriptions


class IdentifierConverter(UUIDConverter):
    """A UUID in upper case too: who writes one in lower case reads both (RFC 9562 4)."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(IdentifierConverter, "identifier")

subscription = "subscriptions/<identifier:subscription_id>"
operations = [
    path("token", subscriptions.token, name="token"),
    path("subscriptions", subscriptions.listing, name="subscriptions"),
    path(subscription, subscriptions.detail, name="subscription"),
    path(f"{subscription}/keys", keys.both, name="keys"),
    path(f"{subscription}/generate", keys.generate, name="generate"),
    path(f"{subscription}/files", keys.files, name="files"),
    path(f"{subscription}/bundle", keys.bundle, name="bundle"),
    path(f"{subscription}/keys/<slot:slot>", keys.one, name="key"),
    path(f"{subscription}/keys/<slot:slot>/file", keys.file, name="file"),
    path(f"{subscription}/keys/<slot:slot>/check", keys.check, name="check"),
    path(f"{subscription}/keys/<slot:slot>/reset", keys.reset, name="reset"),
    path(f"{subscription}/keys/<slot:slot>/renew", keys.renew, name="renew"),
    path(f"{subscription}/keys/<slot:slot>/end-overlap", keys.end_overlap, name="end_overlap"),
    path("check", keys.check_presented, name="check_presented"),
    path("log", log.listing, name="log"),
    path("log.ndjson", log.lines, name="log_lines"),
    path("log/anchor", log.anchor, name="log_anchor"),
]
