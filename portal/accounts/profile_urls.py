"""Addresses below /profile/."""

from django.urls import path

from portal.accounts import views

app_name = "profile"
urlpatterns = [
    path("", views.profile, name="detail"),
    path("sessions/<int:session_id>/end/", views.end_session, name="end_session"),
]
