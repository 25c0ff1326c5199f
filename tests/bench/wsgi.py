"""The WSGI entry of the baselines: the portal's own settings, but nothing before the view."""

import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
django.setup()
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = "tests.bench.baselines"
application = WSGIHandler()
