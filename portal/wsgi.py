"""The WSGI entry of the portal."""

import os

import django
from django.utils.module_loading import import_string

from portal.checks import refuse_demonstration_accounts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
application = import_string("portal.handler.Handler")()
# Whatever server loads this, not `manage.py serve` alone, refuses the demonstration's accounts.
refuse_demonstration_accounts()
