"""Addresses below /subscriptions/."""

from django.urls import path

from subscriptions import views

app_name = "subscriptions"
urlpatterns = [
    path("", views.listing, name="list"),
    path("start-community/", views.start_community, name="start_community"),
    path("<uuid:subscription_id>/", views.detail, name="detail"),
    path("<uuid:subscription_id>/activate/", views.activate, name="activate"),
    path("<uuid:subscription_id>/rename/", views.rename, name="rename"),
]
