"""The WSGI entry of the baselines: the portal's settings, with the middleware of a new project."""

import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

OF_STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
"""What `django-admin startproject` of Django 6.1 writes."""

LEAN = "/lean/"
"""Addresses below it are answered without any middleware."""

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).with_name("templates")],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
django.setup()
settings.ROOT_URLCONF = "tests.bench.baselines"
settings.TEMPLATES = TEMPLATES


def handler(middleware: list[str]) -> WSGIHandler:
    """Return Django's handler with this middleware."""
    settings.MIDDLEWARE = middleware
    return WSGIHandler()


lean, usual = handler([]), handler(OF_STARTPROJECT)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer a request as WSGI says (PEP 3333)."""
    chosen = lean if environ["PATH_INFO"].startswith(LEAN) else usual
    return chosen(environ, start_response)
