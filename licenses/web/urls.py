"""Addresses of subscriptions with their license keys, and of the results of a check."""

from django.urls import path, register_converter

import licenses.forms  # noqa: F401 (registers <slot:...>)
from licenses.web import lists, results, views

register_converter(results.ResultConverter, "result")

result_pages = [path("<result:result>/", results.result_page, name="result")]

subscription_pages = [
    path("", lists.listing, name="list"),
    path("download/", lists.download, name="download"),
    path("<uuid:subscription_id>/", views.detail, name="detail"),
]

app_name = "licenses"
urlpatterns = [
    path("next/", views.next_step, name="next_step"),
    path("generate/", views.generate, name="generate"),
    path("download/<slot:slot>/", views.download, name="download"),
    path("download/bundle/", views.download_offline_bundle, name="bundle"),
    path("check/", views.check, name="check"),
    path("check/presented/", views.check_presented, name="check_presented"),
    path("claims/<slot:slot>/", views.claims, name="claims"),
    path("reset/<slot:slot>/", views.reset, name="reset"),
    path("end-overlap/<slot:slot>/", views.end_overlap, name="end_overlap"),
    path("delete/", views.delete, name="delete"),
]
