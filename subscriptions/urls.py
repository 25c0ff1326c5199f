"""Addresses below /subscriptions/ that act on subscriptions."""

from django.urls import path

from subscriptions import views

urlpatterns = [
    path("start-community/", views.start_community, name="start_community"),
    path("<uuid:subscription_id>/activate/", views.activate, name="activate"),
    path("<uuid:subscription_id>/rename/", views.rename, name="rename"),
    path("<uuid:subscription_id>/labels/", views.annotate, name="annotate"),
]
