"""The addresses that programs call below `/public/`."""

from django.urls import path

import portal.core.numbers  # noqa: F401 (makes <id:...>)
from licenses.programs import check, published

app_name = "public"
urlpatterns = [
    path("checklicense", check.check_license, name="check_license"),
    path("status", published.aggregation, name="status_lists"),
    path("status/<id:number>", published.status, name="status_list"),
]
