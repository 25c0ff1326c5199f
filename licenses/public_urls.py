"""The addresses that programs call below `/public/`."""

from django.urls import path

from licenses import public

app_name = "public"
urlpatterns = [path("checklicense", public.check_license, name="check_license")]
