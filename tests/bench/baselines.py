"""What Django can do on this machine: JSON views, a list page, and a form that is stored."""

from functools import cache
from random import choice
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_POST

from licenses.models import LicenseKey
from portal.server.health import live, ready
from subscriptions.models import Subscription
from tests.support.accounts import PASSWORD


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


@login_required
def listing(request: HttpRequest) -> HttpResponse:
    """Render 25 rows of one query, about as much HTML as the portal's list."""
    rows = Subscription.objects.select_related("plan").order_by("-created_at", "-id")[:25]
    return render(request, "list.html", {"subscriptions": rows})


class Written(models.Model):  # noqa: DJ008
    """A row that the baseline stores; `people` makes the table."""

    text = models.TextField()

    class Meta:
        app_label = "portal"
        db_table = "bench_written"
        managed = False


@require_POST
@login_required
def change(request: HttpRequest, signatures: int, rows: int) -> HttpResponse:
    """Sign tokens, and store so many rows in one transaction, as a Django view does: by the ORM."""
    claims = {"sub": request.POST["holder_name"], "text": "x" * 1_000}
    tokens = [jwt.encode(claims, private_key(), algorithm="RS256") for _ in range(signatures)]
    with transaction.atomic():
        for number in range(rows):
            Written._default_manager.create(text=tokens[number % signatures])
    return redirect("list")


@cache
def private_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65_537, key_size=3072)


def argon2(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"correct": check_password(PASSWORD, stored_password())})


@cache
def stored_password() -> str:
    return make_password(PASSWORD)


urlpatterns = [
    path("bare", bare),
    path("select", select),
    path("lean/bare", bare),
    path("list", listing, name="list"),
    path("change/<int:signatures>/<int:rows>", change),
    path("lean/argon2", argon2),
    path("healthz/live", live),
    path("healthz/ready", ready),
]
