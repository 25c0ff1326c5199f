"""Pseudonyms that stand in the log of one tenant for people, addresses and free text.

They are keyed by LOG_KEY, so that nobody without it can tell whom one stands for, and differ from
tenant to tenant. The same text has the same pseudonym, and a person one for identifier, name and
email address alike, so that the story which the log tells stays readable.
"""

import re
import uuid
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from portal.activity.actions import KEPT, Action
from portal.activity.chain import signature
from portal.activity.particulars import FIELD_OF

DIGITS = 12
"""Hexadecimal digits of a pseudonym: 48 bits, more than the people of a tenant need."""

PSEUDONYM = re.compile(rf"(Person|Address|Subscription|Text|Closed tenant) [0-9a-f]{{{DIGITS}}}")
"""What a pseudonym looks like. It stands for itself, so that what was replaced stays as it is."""

EMAIL_ADDRESS = re.compile(r"\S+@\S+")

OWN_WORDS = {"", "System"}
"""Text that the portal wrote where a name stands otherwise."""

type Aliases = dict[str, str]
"""Which pseudonym a text has, by the text's keyed digest: the name of a person, or an address."""


class Pseudonyms:
    """The pseudonyms of one tenant's log."""

    def __init__(self, tenant_id: UUID, aliases: Aliases) -> None:
        self.tenant_id, self.aliases = tenant_id, aliases

    def person(self, user_id: UUID) -> str:
        """Return what stands for a person with an account."""
        return f"Person {self._digits(f'person {user_id}')}"

    def person_id(self, user_id: UUID) -> UUID:
        """Return what stands for the identifier of a person, of which the log is asked."""
        return uuid.UUID(hex=self._digest(f"identifier {user_id}")[:32], version=5)

    def tenant(self) -> str:
        """Return what stands for the tenant's name."""
        return f"Closed tenant {self._digits('tenant')}"

    def address(self, address: str) -> str:
        """Return what stands for a network address."""
        return self.text(address, kind="Address")

    def subscription(self, name: str) -> str:
        """Return what stands for a subscription's name."""
        return self.text(name, kind="Subscription")

    def text(self, text: str, *, kind: str = "Text") -> str:
        """Return what stands for other text: that of a person if it is one who is known."""
        if text in OWN_WORDS or PSEUDONYM.fullmatch(text):
            return text
        known = self.aliases.get(self._digest(_text(text)))
        is_address = EMAIL_ADDRESS.fullmatch(text)
        return known or f"{'Person' if is_address else kind} {self._digits(_text(text))}"

    def details(self, action: str, details: dict[str, Any]) -> dict[str, Any]:
        """Return the details of a row with pseudonyms for all text but that of KEPT."""
        field = FIELD_OF.get(Action(action), "") if action in Action else ""
        return {
            name: self._value(field if name in {"before", "after"} else name, value)
            for name, value in self._with_one_person(details).items()
        }

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            inner = self._with_one_person(value)
            is_change = {"before", "after"} >= value.keys()
            return {k: self._value(name if is_change else k, v) for k, v in inner.items()}
        if isinstance(value, list):
            return [self._value(name, item) for item in value]
        if not isinstance(value, str) or not value:
            return value
        is_person = name == "id" and self._digest(_text(value)) in self.aliases
        return value if name in KEPT and not is_person else self.text(value)

    def _with_one_person(self, details: dict[str, Any]) -> dict[str, Any]:
        """Let the name beside an email address be that of the same person."""
        email = details.get("email")
        return {**details, "name": email} if email and "name" in details else details

    def known(self, people: Iterable[tuple[UUID, str, str]], *, tenant_name: str) -> Aliases:
        """Return the aliases of people: identifier, name and email address of each.

        A name that two people have stands for neither.
        """
        found = {self._digest(_text(tenant_name)): self.tenant()}
        shared = set[str]()
        for user_id, name, email in people:
            pseudonym = self.person(user_id)
            found[self._digest(_text(str(user_id)))] = pseudonym
            if email:
                found[self._digest(_text(email))] = pseudonym
            digest = self._digest(_text(name))
            if name and found.setdefault(digest, pseudonym) != pseudonym:
                shared.add(digest)
        return {digest: name for digest, name in found.items() if digest not in shared}

    def _digits(self, text: str) -> str:
        return self._digest(text)[:DIGITS]

    def _digest(self, text: str) -> str:
        return signature(f"pseudonym {self.tenant_id} {text}")


def _text(text: str) -> str:
    return f"text {text.casefold()}"
