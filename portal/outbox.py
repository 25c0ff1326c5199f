"""Mail that must go out: written in the transaction of what it tells, sent after it."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string

from portal.models import Outbox


def queue(
    *,
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    tenant_id: UUID | None = None,
) -> None:
    """Put one mail into the outbox, as text and HTML, in the caller's transaction.

    `template` names `templates/mail/<template>.txt` and `.html`; both know the portal's name and
    address.
    """
    house = {"portal_name": settings.PORTAL_NAME, "portal_url": settings.PUBLIC_URL}
    Outbox.objects.create(
        tenant_id=tenant_id,
        to=to,
        subject=subject,
        text=render_to_string(f"mail/{template}.txt", context | house),
        html=render_to_string(f"mail/{template}.html", context | house),
    )
