"""The addresses that programs call below `/public/`."""

from django.urls import path

from licenses import public, published

app_name = "public"
urlpatterns = [
    path("checklicense", public.check_license, name="check_license"),
    path("status", published.aggregation, name="status_lists"),
    path("status/<int:number>", published.status, name="status_list"),
]
