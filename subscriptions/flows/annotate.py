"""Labels and a note: what members write on a subscription for themselves."""

import re

from django.core.exceptions import ValidationError
from django.db import transaction

from portal.core import names
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from subscriptions.flows.changes import change_and_record
from subscriptions.models import MAX_LABEL, MAX_LABELS, MAX_NOTE, Subscription


def read_labels(text: str) -> str:
    """Return labels as they are stored, from a text that separates them with commas or lines.

    A label that is there twice, in whatever case, is kept once. Raises ValidationError.
    """
    found: dict[str, str] = {}
    for part in re.split(r"[,\r\n]", text):
        try:
            label = names.read(part, max_length=MAX_LABEL)
        except ValidationError as error:
            raise ValidationError(f"“{part.strip()[:MAX_LABEL]}”: {error.messages[0]}") from error
        if label:
            found.setdefault(label.casefold(), label)
    if len(found) > MAX_LABELS:
        raise ValidationError(f"Use at most {MAX_LABELS} labels; these are {len(found)}.")
    return ", ".join(found.values())


def read_note(text: str) -> str:
    """Return a note as it is stored: lines of visible text. Raises ValidationError."""
    lines = [names.read(line, max_length=MAX_NOTE) for line in re.split(r"\r\n|\r|\n", text)]
    note = "\n".join(lines).strip()
    if len(note) > MAX_NOTE:
        raise ValidationError(f"Use at most {MAX_NOTE} characters; this has {len(note)}.")
    return note


@transaction.atomic
def annotate_subscription(
    *, subscription: Subscription, actor: Actor, labels: str, note: str
) -> Subscription:
    """Write these labels and this note on the subscription, and return it.

    Raises Refused, for the field, for a text that `read_labels` or `read_note` does not accept.
    """
    values = {}
    for field, read, text in (("labels", read_labels, labels), ("note", read_note, note)):
        try:
            values[field] = read(text)
        except ValidationError as error:
            raise Refused(error.messages[0], field=field) from error
    locked = lock(Subscription, subscription.pk)
    change_and_record(locked, values, actor=actor, reason="")
    return locked
