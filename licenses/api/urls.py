"""Addresses below `/api/v1/`: the operations, and what describes them."""

from django.urls import path

from licenses.api import pages
from licenses.api.routes import operations

app_name = "api"
urlpatterns = [
    *operations,
    path("openapi.json", pages.openapi, name="openapi"),
    path("docs/", pages.docs, name="docs"),
]
