"""Email addresses: the one form in which they are stored, compared and written to.

The part before the @ is ASCII: others need SMTPUTF8 (RFC 6531), which the portal's mailer does not
speak. A domain is written in A-labels (IDNA, RFC 5890 2.3.2.1), as the mail itself needs it.
"""

from typing import Any, override

import idna
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import Q

from portal.core.names import validate_no_credential
from portal.core.refusal import Refused

NOT_ASCII = (
    "Before the @ only letters without accents, digits and signs such as . - _ + are possible: "
    "no mail could be sent to this address."
)
MAX_CHARACTERS, MAX_LOCAL_CHARACTERS = 254, 64
"""Characters of an address and of its part before the @ (RFC 5321 4.5.3.1, with erratum 1690)."""
TOO_LONG = (
    f"An email address has at most {MAX_CHARACTERS} characters, "
    f"{MAX_LOCAL_CHARACTERS} of them before the @."
)
NO_DOMAIN = "Behind the @ stands no domain that can exist. Check how it is written."


def normalised(text: str) -> str:
    """Return the address with its domain in A-labels and small letters.

    Raises ValidationError, with a sentence, for an address that no mail can be sent to, or that
    holds a service token or license key.
    """
    local, at, domain = text.strip().rpartition("@")
    if len(domain) > MAX_CHARACTERS or len(local) > MAX_LOCAL_CHARACTERS:
        raise ValidationError(TOO_LONG)
    if at and not local.isascii():
        raise ValidationError(NOT_ASCII)
    address = f"{local}{at}{_a_labels(domain)}"
    if len(address) > MAX_CHARACTERS:
        raise ValidationError(TOO_LONG)
    validate_email(address)
    validate_no_credential(address)
    return address


def admitted(text: str, *, field: str = "email") -> str:
    """Return `normalised(text)`; raises Refused, for the field, where that finds a mistake."""
    try:
        return normalised(text)
    except ValidationError as error:
        raise Refused(str(error.messages[0]), field=field) from error


def same(column: str, text: str) -> Q:
    """Return the condition that a column holds the address, in any case and domain spelling.

    Older rows may hold a domain as people write it (U-labels).
    """
    found = Q(**{f"{column}__iexact": text})
    local, _, domain = text.strip().rpartition("@")
    if len(domain) > MAX_CHARACTERS:
        return found
    try:
        plain = _a_labels(domain)
        spellings = {plain, idna.decode(plain)} if local else set()
    except (ValidationError, idna.IDNAError):
        spellings = set()
    for spelling in spellings - {domain}:
        found |= Q(**{f"{column}__iexact": f"{local}@{spelling}"})
    return found


def _a_labels(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValidationError(NO_DOMAIN) from error


class EmailAddressFormField(forms.EmailField):
    """An address that somebody types."""

    @override
    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return normalised(text) if "@" in text else text


class EmailAddressField(models.EmailField):
    """A column of addresses. To migrations it is an EmailField."""

    @override
    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.EmailField", args, kwargs

    @override
    def clean(self, value: Any, model_instance: Any) -> Any:
        return super().clean(normalised(value) if value else value, model_instance)

    @override
    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": EmailAddressFormField, **kwargs})
