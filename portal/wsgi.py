"""The WSGI entry of the portal."""

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

from portal.checks import refuse_demonstration_accounts

TERMINALS_CONTENT_TYPE = "application/json; charset=utf-8"


class Request(WSGIRequest):
    """A request that knows the content type of terminals without Django's parser of e-mail."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        if meta.get("CONTENT_TYPE") == TERMINALS_CONTENT_TYPE:
            self.content_type, self.content_params = "application/json", {"charset": "utf-8"}
        else:
            super()._set_content_type_params(meta)  # type: ignore[misc]


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = get_wsgi_application()
application.request_class = Request
# Whatever server loads this, not `manage.py serve` alone, refuses the demonstration's accounts.
refuse_demonstration_accounts()
