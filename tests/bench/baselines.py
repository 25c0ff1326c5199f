"""What Django can do on this machine: a bare JSON view, and it with one raw SELECT."""

from functools import cache
from random import choice
from uuid import UUID

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

from licenses.models import LicenseKey
from portal.server.health import ready


def bare(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"result": "valid"})


def select(request: HttpRequest) -> JsonResponse:
    jti = choice(some_jtis())
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM licenses_licensekey WHERE jti = %s", [jti])
        (state,) = cursor.fetchone()
    return JsonResponse({"result": state})


@cache
def some_jtis() -> list[UUID | str]:
    """Return identifiers of keys as the database takes them."""
    jtis = LicenseKey.objects.order_by("-pk").values_list("jti", flat=True)[:1000]
    native = connection.features.has_native_uuid_field
    return [jti if native else jti.hex for jti in jtis]


urlpatterns = [
    path("bare", bare),
    path("select", select),
    path("lean/bare", bare),
    path("lean/select", select),
    path("healthz/ready", ready),
]
