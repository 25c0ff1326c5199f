"""The mails that the portal wants to send, in the order in which they were queued."""

import re
from dataclasses import dataclass

from portal.mail.models import Outbox


@dataclass(frozen=True)
class Mail:
    """What a person gets."""

    to: list[str]
    subject: str
    body: str


def mails() -> list[Mail]:
    """Return the mails of the outbox."""
    return [Mail([row.to], row.subject, row.text) for row in Outbox.objects.order_by("pk")]


def mailed_links(part: str) -> list[str]:
    """Return the addresses in the mails of the outbox that have `part` in their path."""
    return [link for mail in mails() for link in re.findall(rf"http\S+{part}\S+", mail.body)]
