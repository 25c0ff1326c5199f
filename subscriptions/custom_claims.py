"""The claims that plans of the kind `custom` put flat into their keys (contract.md section 6).

The client reads every one of them and crashes when one is missing; a claim with any other name
could override one such as `exp` or `sub`.
"""

import math
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError

MIN_LIMIT, MAX_LIMIT = 0, 32_767
"""The client reads limits as 16-bit numbers; a negative one refuses every start."""

LIMITS = (
    "terminal_limit",
    "redistribution_limit",
    "root_command_limit",
    "grouped_command_limit",
    "sub_command_limit",
    "argument_limit",
    "option_limit",
)
SWITCHES = ("argument_alias", "default_argument", "default_argument_value", "strict_data_type")
SWITCH_COPIES = {
    "option_alias": "argument_alias",
    "default_option": "default_argument",
    "default_option_value": "default_argument_value",
}
COPIES = {"option_limit": "argument_limit", **SWITCH_COPIES}
"""Claims that repeat another one: clients of 2023-05-27 to 2023-09-19 read these names."""

HANDLERS: dict[str, frozenset[str]] = {
    "data_type_handlers": frozenset(),
    "text_handlers": frozenset({"unicode"}),
    "error_handlers": frozenset({"default"}),
    "store_handlers": frozenset({"in-memory"}),
    "service_handlers": frozenset({"default"}),
    "license_handlers": frozenset({"online", "online-license", "offline", "offline-license"}),
}
"""Lists of words, each with the words that it must contain so that default terminals start."""

PRICES = ("monthly_price", "yearly_price")
NAMES = (*LIMITS, *SWITCHES, *SWITCH_COPIES, *HANDLERS, "currency", *PRICES)

MEANINGS = {
    "terminal_limit": "How many terminals may run",
    "redistribution_limit": "How many copies may be passed on",
    "root_command_limit": "How many root commands a terminal may have",
    "grouped_command_limit": "How many command groups a terminal may have",
    "sub_command_limit": "How many subcommands a terminal may have",
    "argument_limit": "How many arguments a terminal may have",
    "option_limit": "How many options a terminal may have",
    "argument_alias": "Whether arguments may have an alias",
    "default_argument": "Whether a command may have a default argument",
    "default_argument_value": "Whether arguments may have a default value",
    "strict_data_type": "Whether the data types of arguments are checked",
    "option_alias": "Whether options may have an alias",
    "default_option": "Whether a command may have a default option",
    "default_option_value": "Whether options may have a default value",
    "data_type_handlers": "Which data type handlers a terminal may use",
    "text_handlers": "Which text handlers a terminal may use",
    "error_handlers": "Which error handlers a terminal may use",
    "store_handlers": "Which command stores a terminal may use",
    "service_handlers": "Which service handlers a terminal may use",
    "license_handlers": "Which license handlers a terminal may use",
    "currency": "The currency of the prices",
    "monthly_price": "The price of a month",
    "yearly_price": "The price of a year",
}
"""What each claim says, for people."""

TEMPLATE: dict[str, Any] = {
    **dict.fromkeys(LIMITS, 0),
    "terminal_limit": 5,
    "root_command_limit": 10,
    "grouped_command_limit": 50,
    "sub_command_limit": 200,
    "argument_limit": 500,
    "option_limit": 500,
    **dict.fromkeys((*SWITCHES, *SWITCH_COPIES), True),
    "data_type_handlers": "default",
    "text_handlers": "unicode ascii",
    "error_handlers": "default",
    "store_handlers": "in-memory json",
    "service_handlers": "default",
    "license_handlers": "online online-license offline offline-license",
    "currency": "USD",
    "monthly_price": 0,
    "yearly_price": 0,
}
"""Claims to start a custom plan from: every one that there must be, with values that are valid."""


def is_custom(plan_urn: str) -> bool:
    """Return whether keys of this plan carry custom claims: its URN ends in `:plan:custom`."""
    return plan_urn.endswith(":plan:custom")


def completed(claims: Any) -> Any:
    """Return the claims with the missing COPIES; anything but an object is returned as it is.

    No existing value is overwritten: `validate` refuses copies that differ.
    """
    if not isinstance(claims, dict):
        return claims
    missing = {
        copy: claims[name] for copy, name in COPIES.items() if name in claims and copy not in claims
    }
    return claims | missing


def validate_for_plan(plan_urn: str, claims: object) -> None:
    """Raise ValidationError unless the claims fit the plan: all for `custom`, else none."""
    if is_custom(plan_urn):
        validate(claims)
    elif claims != {}:
        raise ValidationError("Only custom plans have custom claims.")


def validate(claims: object) -> None:
    """Raise ValidationError with one sentence for each mistake in a custom plan's claims."""
    if not isinstance(claims, dict):
        raise ValidationError("Custom claims are a JSON object of names and values.")
    mistakes = [f"The claim {name} is missing." for name in NAMES if name not in claims]
    foreign = sorted(str(name) for name in claims.keys() - set(NAMES))
    mistakes += [f"The claim {name} is not one of a custom plan." for name in foreign]
    for name, find_mistake in _RULES.items():
        if name in claims and (mistake := find_mistake(claims[name])):
            mistakes.append(f"The claim {name} {mistake}")
    for copy, name in COPIES.items():
        if {copy, name} <= claims.keys() and claims[copy] != claims[name]:
            what = "number" if name in LIMITS else "value"
            mistakes.append(f"The claims {name} and {copy} must be the same {what}.")
    if mistakes:
        raise ValidationError(mistakes)


def requirement(name: str) -> str:
    """Return what the value of a claim must be, in words for people."""
    if name in COPIES:
        return f"The same as {COPIES[name]}, which fills it in"
    if name in LIMITS:
        return f"A whole number from {MIN_LIMIT} to {MAX_LIMIT}"
    if name in SWITCHES:
        return "true or false"
    if name in PRICES:
        return "A number"
    if words := sorted(HANDLERS.get(name, ())):
        return f"Words with a space between them, among them {' '.join(words)}"
    return "Words with a space between them" if name in HANDLERS else "A text of one line"


def _limit(value: object) -> str:
    # The exact type: true and false are ints to Python, but not to the client.
    if type(value) is not int or not MIN_LIMIT <= value <= MAX_LIMIT:
        return f"must be a whole number from {MIN_LIMIT} to {MAX_LIMIT}."
    return ""


def _switch(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false."


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        return "must be a text of one line."
    return ""


def _price(value: object) -> str:
    if type(value) not in {int, float} or not _is_finite(value):
        return "must be a number."
    return ""


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no double can hold
        return False


def _words(required: frozenset[str]) -> Callable[[object], str]:
    def find_mistake(value: object) -> str:
        if _text(value) or not isinstance(value, str):
            return "must be a text of words."
        words = value.split(" ") if value else []
        if not all(words):
            return "must be words separated by single spaces."
        missing = sorted(required - set(words))
        return f"must hold the words {' '.join(missing)}." if missing else ""

    return find_mistake


_RULES: dict[str, Callable[[object], str]] = {
    **dict.fromkeys(LIMITS, _limit),
    **dict.fromkeys((*SWITCHES, *SWITCH_COPIES), _switch),
    **{name: _words(required) for name, required in HANDLERS.items()},
    "currency": _text,
    **dict.fromkeys(PRICES, _price),
}
