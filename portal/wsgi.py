"""The WSGI entry of the portal."""

import os

from django.core.wsgi import get_wsgi_application

from portal.checks import refuse_demonstration_accounts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = get_wsgi_application()
# Whatever server loads this, not `manage.py serve` alone, refuses the demonstration's accounts.
refuse_demonstration_accounts()
