"""Addresses below `/public/`, which programs call."""

from django.urls import path

import portal.core.numbers  # noqa: F401 (registers <id:...>)
from licenses.programs import check, published

app_name = "public"
urlpatterns = [
    path("checklicense", check.check_license, name="check_license"),
    path("status", published.aggregation, name="status_lists"),
    path("status/<id:number>", published.status, name="status_list"),
]
