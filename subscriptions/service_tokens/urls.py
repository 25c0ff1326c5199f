"""Addresses below /tenant/tokens/."""

from django.urls import path

from subscriptions.service_tokens import views

app_name = "service_tokens"
urlpatterns = [
    path("", views.listing, name="list"),
    path("new/", views.make, name="make"),
    path("<uuid:token_id>/rotate/", views.rotate, name="rotate"),
    path("<uuid:token_id>/revoke/", views.revoke, name="revoke"),
]
