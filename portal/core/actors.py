"""Who acts, as flows take it and every row of the log records it."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import TextChoices


class ActorKind(TextChoices):
    """What kind of actor a log row names."""

    MEMBER = "member", "Member"
    OPERATOR = "operator", "Operator"
    SYSTEM = "system", "System"
    SERVICE_TOKEN = "token", "Service token"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something, as every flow takes it; names are copied into the log."""

    kind: ActorKind
    name: str
    user_id: UUID | None = None
    token_id: UUID | None = None
    """Of a service token: no user acts then."""
    email: str = ""
    address: str = ""


SYSTEM = Actor(kind=ActorKind.SYSTEM, name="System")
"""The portal itself: commands and timers."""
