"""Addresses below /tenant/webhooks/."""

from django.urls import path

import portal.core.numbers  # noqa: F401 (makes <id:...>)
from portal.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("", views.listing, name="list"),
    path("add/", views.add, name="add"),
    path("<uuid:endpoint_id>/", views.detail, name="detail"),
    path("<uuid:endpoint_id>/change/", views.change, name="change"),
    path("<uuid:endpoint_id>/rotate/", views.rotate, name="rotate"),
    path("<uuid:endpoint_id>/off/", views.off, name="off"),
    path("<uuid:endpoint_id>/on/", views.on, name="on"),
    path("<uuid:endpoint_id>/delete/", views.delete, name="delete"),
    path("<uuid:endpoint_id>/test/", views.test, name="test"),
    path("<uuid:endpoint_id>/<id:delivery_id>/", views.delivery, name="delivery"),
    path("<uuid:endpoint_id>/<id:delivery_id>/resend/", views.send_again, name="resend"),
]
