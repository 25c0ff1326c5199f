"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from portal import views

handler500 = views.server_error

urlpatterns = [
    path("public/", include("licenses.public_urls")),
    path("", views.home, name="home"),
    path("subscriptions/", include("subscriptions.urls")),
    path("subscriptions/<uuid:subscription_id>/", include("licenses.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz/live", views.live, name="live"),
    path("healthz/ready", views.ready, name="ready"),
]
