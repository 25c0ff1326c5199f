"""What may be a name: of a person, a tenant, a subscription, a plan, a holder.

Names appear in pages, mails, file names and logs. The rules follow Unicode UAX #15 (normalisation
form NFC), UAX #44 (general categories) and UAX #9 (bidirectional controls).
"""

import re
import unicodedata
from typing import Any, override

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import QuerySet, Value
from django.db.models.functions import Replace
from django.db.models.lookups import IContains, IRegex

from portal.core.refusal import Refused
from portal.core.token_format import LICENSE_KEY, RESEMBLES

AT_ONCE = 500
"""Rows that a migration reads at a time."""

FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of controls, surrogates, line separators and paragraph separators."""
BIDIRECTIONAL = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates: they make a name look like another one."""

BLANKS = set("\u2800\u3164\uffa0")
"""Characters that look blank although their category is not Zs."""

DROPPED = {
    *(0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
    *range(0x2060, 0x2065),
    *range(0x206A, 0x2070),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
}
"""Invisible code points that no script needs within a word: marks of direction and tags too."""

JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""Joiners of letters and emoji, and the two selectors of how an emoji looks."""

NOT_COMPARED = {*map(ord, JOINERS), 0x34F, *range(0x180B, 0x180E), 0x180F} | {
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
}
"""Joiners and variation selectors: names may hold them, and nobody can be asked to type them."""

INVISIBLE = {*range(0x115F, 0x1161), 0x34F, *range(0x17B4, 0x17B6), *range(0x180B, 0x1810)} | {
    *range(0xFE00, 0xFE10),
    *range(0xE0000, 0xE1000),
}
"""Code points that are invisible alone, and neither blanks nor of the category Cf."""

DOTS = ".\u3002\uff0e\uff61"
"""What browsers take for the dot of a domain (UTS #46)."""

LINK = re.compile(r"://|@|\bwww\.|(?<!\d)(?:\d{1,3}\.){3}\d", re.IGNORECASE)
"""A scheme, an email address, a web server, an IPv4 address."""

DOMAIN = re.compile(
    rf"(?:(?P<initial>(?<![\w-])[^\W\d_])|(?<=[^\s{DOTS}]))[{DOTS}](?P<word>[^\W\d_]{{2,}}+)(?P<path>/?)"
)
"""Two labels of a domain, or an initial before a name."""

MAX_READ = 4_096
"""Characters of the longest text that is normalised, which may take quadratic time."""

TOO_LONG = "Use at most %(limit_value)d characters; this has %(show_value)d."
BLANK = "Enter a name: this one shows nothing."
CONTROLS = "The name holds invisible control characters, maybe from copying. Type it by hand."
CREDENTIAL = (
    "This holds a service token, which is a secret. Leave it out here, and revoke it if others may "
    "have seen it."
)
KEY = "This holds a license key. Leave it out here: the page of its subscription has it."
NO_ADDRESS = (
    "A name holds no web or email address, because it stands in mails. Put a blank after a dot."
)


def normalised(text: str) -> str:
    """Return the text in NFC, with plain, single spaces, and none at its ends.

    Characters that are never visible are left out. Controls and line breaks within the text stay:
    `validate` refuses them. A text of more than MAX_READ characters is returned as it is.
    """
    if len(text) > MAX_READ:
        return text
    text = "".join(
        " " if unicodedata.category(c) == "Zs" or c in BLANKS else c
        for c in text.strip()
        if ord(c) not in DROPPED
    )
    return re.sub(" {2,}", " ", unicodedata.normalize("NFC", text)).strip()


def seen(text: str) -> str:
    """Return the normalised text without what only changes how letters are drawn, to compare."""
    return normalised("".join(c for c in text if ord(c) not in NOT_COMPARED))


def read(text: str, *, max_length: int | None) -> str:
    """Return the normalised text; `max_length` (by default MAX_READ) counts that form.

    Raises ValidationError for a longer one, and, unless nothing is left, as `validate` does.
    """
    name = normalised(text)
    MaxLengthValidator(min(max_length or MAX_READ, MAX_READ), TOO_LONG)(name)
    if name:
        validate(name)
    return name


def is_blank(text: str) -> bool:
    """Return whether nothing of the text is visible."""
    return all(
        unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"} or ord(c) in INVISIBLE
        for c in text
    )


def validate(text: str) -> None:
    """Raise ValidationError, with a sentence, for a normalised text that is no name."""
    if any(unicodedata.category(c) in FORBIDDEN or c in BIDIRECTIONAL for c in text):
        raise ValidationError(CONTROLS)
    if is_blank(text):
        raise ValidationError(BLANK)
    validate_no_credential(text)


def validate_no_credential(text: str) -> None:
    """Raise ValidationError for a text that is stored and holds a service token or license key."""
    if RESEMBLES.search(text):
        raise ValidationError(CREDENTIAL)
    if LICENSE_KEY.search(text):
        raise ValidationError(KEY)


def validate_no_address(text: str) -> None:
    """Raise ValidationError for what a mail program would turn into a link.

    The text has at most MAX_READ characters.
    """
    for form in (text, unicodedata.normalize("NFKC", text)):
        if LINK.search(form) or not all(map(_is_initial, DOMAIN.finditer(form))):
            raise ValidationError(NO_ADDRESS)


def _is_initial(match: re.Match[str]) -> bool:
    """Return whether a match of DOMAIN is an initial and a capitalised word: J.Miller, U.GmbH."""
    word = match["word"]
    is_capitalised = word[0].isupper() and not word.isupper()
    return match["initial"] is not None and is_capitalised and not match["path"]


def admitted(
    text: str, *, max_length: int | None, in_mails: bool = False, field: str = "name"
) -> str:
    """Return the name in the form in which it is stored; `max_length` counts that form.

    A name that appears in mails (`in_mails`) holds no address. Raises Refused, for the field.
    """
    try:
        name = read(text, max_length=max_length)
        validate(name)
        if in_mails:
            validate_no_address(name)
    except ValidationError as error:
        raise Refused(error.messages[0], field=field) from error
    return name


def put_right(text: str, *, max_length: int, in_mails: bool, otherwise: str) -> str:
    """Return a name that was stored before these rules, changed as little as they need.

    Controls become spaces, and spaces in an address prevent it from becoming a link. `otherwise`
    replaces a text of which nothing is left.
    """
    shown = "".join(
        " " if unicodedata.category(c) in FORBIDDEN else c for c in text if c not in BIDIRECTIONAL
    )
    name = normalised(shown)
    for form in ("NFC", "NFKC"):
        if in_mails and _holds_address(name):
            name = _without_address(unicodedata.normalize(form, name))
    name = normalised(name[:max_length])
    return otherwise if is_blank(name) or (in_mails and _holds_address(name)) else name


def put_stored_right(rows: QuerySet[Any], *, in_mails: bool, otherwise: str) -> None:
    """Apply `put_right` to the column `name` of all rows, AT_ONCE rows at a time.

    Each row is written separately, and only if its name changes, so that this can be interrupted
    and repeated.
    """
    max_length = rows.model._meta.get_field("name").max_length
    named = rows.exclude(name="").order_by("pk").values_list("pk", "name")
    step = list(named[:AT_ONCE])
    while step:
        for pk, name in step:
            right = put_right(name, max_length=max_length, in_mails=in_mails, otherwise=otherwise)
            if right != name:
                rows.filter(pk=pk, name=name).update(name=right)
        step = list(named.filter(pk__gt=step[-1][0])[:AT_ONCE])


def _without_address(text: str) -> str:
    text = re.sub(r"://|@|(?<=\bwww)\.", " ", text, flags=re.IGNORECASE)
    return normalised(re.sub(rf"[{DOTS}](?=\S)", r"\g<0> ", text))


def _holds_address(text: str) -> bool:
    try:
        validate_no_address(text)
    except ValidationError:
        return True
    return False


class NameFormField(forms.CharField):
    """A name that somebody types; its length counts in the form in which it is stored."""

    default_error_messages = {"required": "Enter a name."}

    def __init__(self, *, in_mails: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if in_mails:
            self.validators.append(validate_no_address)

    @override
    def to_python(self, value: Any) -> str:
        return read(super().to_python(value) or "", max_length=self.max_length)


class NameField(models.CharField):
    """A column of names. To migrations it is a CharField: its rules are not part of the schema."""

    def __init__(self, *args: Any, in_mails: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_mails = in_mails

    @override
    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    @override
    def clean(self, value: Any, model_instance: Any) -> Any:
        text = read(str(value or ""), max_length=self.max_length)
        if self.in_mails:
            validate_no_address(text)
        return super().clean(text, model_instance)

    @override
    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(
            **{"form_class": NameFormField, "in_mails": self.in_mails, **kwargs}
        )


@models.CharField.register_lookup
@models.TextField.register_lookup
class Shows(IContains):
    """`name__shows`: the name holds the text as people see it, whatever its case in any script.

    JOINERS do not count. SQLite's LIKE ignores the case of ASCII letters alone.
    """

    lookup_name = "shows"

    @override
    def as_sql(self, compiler: Any, connection: Any) -> Any:
        name, text = self.lhs, seen(str(self.rhs))
        for joiner in JOINERS:
            name = Replace(name, Value(joiner), Value(""), output_field=models.CharField())
        if connection.vendor == "sqlite" and not text.isascii():
            return IRegex(name, re.escape(text)).as_sql(compiler, connection)
        return IContains(name, text).as_sql(compiler, connection)
