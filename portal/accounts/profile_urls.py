"""Addresses below /profile/."""

from django.urls import path

import portal.core.numbers  # noqa: F401 (makes <id:...>)
from portal.accounts import views

app_name = "profile"
urlpatterns = [
    path("", views.profile, name="detail"),
    path("sessions/<id:session_id>/end/", views.end_session, name="end_session"),
]
