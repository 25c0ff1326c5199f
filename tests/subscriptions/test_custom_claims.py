"""The claims of custom plans: all of them, only them, each of its exact type."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from subscriptions import custom_claims
from tests.support.factories import CUSTOM_CLAIMS

LIMITS = [
    "terminal_limit",
    "redistribution_limit",
    "root_command_limit",
    "grouped_command_limit",
    "sub_command_limit",
    "argument_limit",
    "option_limit",
]
SWITCHES = ["argument_alias", "default_argument", "default_argument_value", "strict_data_type"]
COPIES = {
    "option_limit": "argument_limit",
    "option_alias": "argument_alias",
    "default_option": "default_argument",
    "default_option_value": "default_argument_value",
}
HANDLERS = [
    "data_type_handlers",
    "text_handlers",
    "error_handlers",
    "store_handlers",
    "service_handlers",
    "license_handlers",
]
PRICES = ["monthly_price", "yearly_price"]
NAMES = [*LIMITS, *SWITCHES, *HANDLERS, "currency", *PRICES, *list(COPIES)[1:]]


def mistakes(claims: object) -> list[str]:
    try:
        custom_claims.validate(claims)
    except ValidationError as error:
        return error.messages
    return []


def changed(name: str, value: object) -> list[str]:
    copies = {copy for copy, copied in COPIES.items() if copied == name}
    names = {name, COPIES.get(name, name), *copies}
    return mistakes(CUSTOM_CLAIMS | dict.fromkeys(names, value))


def test_good_ones_pass() -> None:
    assert mistakes(CUSTOM_CLAIMS) == []
    assert sorted(CUSTOM_CLAIMS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_required(name: str) -> None:
    claims = {n: value for n, value in CUSTOM_CLAIMS.items() if n != name}
    assert mistakes(claims) == [f"The claim {name} is missing."]


@pytest.mark.parametrize("name", ["exp", "sub", "iss", "aud", "jti", "oid", "x", "", 5, "\ud800"])
def test_no_other_is_possible(name: Any) -> None:
    (sentence,) = mistakes(CUSTOM_CLAIMS | {name: 1})
    assert sentence == f"The claim {name} is not one of a custom plan."


@pytest.mark.parametrize("claims", [None, [], "x", 1, True])
def test_they_are_an_object(claims: object) -> None:
    assert mistakes(claims) == ["Custom claims are a JSON object of names and values."]


@pytest.mark.parametrize("name", LIMITS)
class TestLimits:
    @pytest.mark.parametrize("value", [0, 1, 32_767])
    def test_are_16_bit_numbers_that_are_not_negative(self, name: str, value: int) -> None:
        assert changed(name, value) == []

    @pytest.mark.parametrize(
        "value", [-32_768, -1, 32_768, 10**400, True, False, 1.0, "1", None, [], {}]
    )
    def test_are_nothing_else(self, name: str, value: object) -> None:
        sentence = "must be a whole number from 0 to 32767."
        assert f"The claim {name} {sentence}" in changed(name, value)


@pytest.mark.parametrize(
    ("copy", "value", "sentence"),
    [
        ("option_limit", 1, "The claims argument_limit and option_limit must be the same number."),
        (
            "option_alias",
            False,
            "The claims argument_alias and option_alias must be the same value.",
        ),
        (
            "default_option",
            False,
            "The claims default_argument and default_option must be the same value.",
        ),
        (
            "default_option_value",
            True,
            "The claims default_argument_value and default_option_value must be the same value.",
        ),
    ],
)
def test_a_copy_is_the_same_as_its_original(copy: str, value: object, sentence: str) -> None:
    assert mistakes(CUSTOM_CLAIMS | {copy: value}) == [sentence]


class TestCompleting:
    def test_adds_the_copies_that_are_missing(self) -> None:
        typed = {name: value for name, value in CUSTOM_CLAIMS.items() if name not in COPIES}
        completed = custom_claims.completed(typed)
        assert completed == CUSTOM_CLAIMS
        assert {copy: completed[copy] for copy in COPIES} == {
            "option_limit": 500,
            "option_alias": True,
            "default_option": True,
            "default_option_value": False,
        }
        assert COPIES.keys() & typed.keys() == set()

    @pytest.mark.parametrize("claims", [CUSTOM_CLAIMS, {}, {"option_alias": 1}, None, [], "x", 1])
    def test_leaves_everything_else(self, claims: object) -> None:
        assert custom_claims.completed(claims) == claims


@pytest.mark.parametrize("name", [*SWITCHES, *list(COPIES)[1:]])
@pytest.mark.parametrize("value", [0, 1, "true", "", None, [], {}])
def test_switches_are_booleans(name: str, value: object) -> None:
    assert f"The claim {name} must be true or false." in changed(name, value)


@pytest.mark.parametrize("name", PRICES)
class TestPrices:
    @pytest.mark.parametrize("value", [0, 499, 49.5, 0.0])
    def test_are_numbers(self, name: str, value: object) -> None:
        assert changed(name, value) == []

    @pytest.mark.parametrize(
        "value", [True, "1", None, [], float("nan"), float("inf"), float("-inf"), 10**400]
    )
    def test_are_finite(self, name: str, value: object) -> None:
        assert changed(name, value) == [f"The claim {name} must be a number."]


class TestTexts:
    @pytest.mark.parametrize("value", ["USD", "", "US Dollar"])
    def test_the_currency_is_a_text(self, value: str) -> None:
        assert changed("currency", value) == []

    @pytest.mark.parametrize("value", [1, None, True, [], "a\nb", "\x00", "\ud800", "\u202e"])
    def test_of_one_line(self, value: object) -> None:
        assert changed("currency", value) == ["The claim currency must be a text of one line."]


class TestHandlers:
    @pytest.mark.parametrize("name", HANDLERS)
    @pytest.mark.parametrize(
        "value", [1, None, True, ["default"], {}, "a\tb", "a\u2028b", "\ud800"]
    )
    def test_are_texts(self, name: str, value: object) -> None:
        assert changed(name, value) == [f"The claim {name} must be a text of words."]

    @pytest.mark.parametrize("name", HANDLERS)
    @pytest.mark.parametrize("spacing", [" {}", "{} ", "a  {}"])
    def test_are_words_with_single_spaces(self, name: str, spacing: str) -> None:
        words = spacing.format(CUSTOM_CLAIMS[name])
        assert changed(name, words) == [
            f"The claim {name} must be words separated by single spaces."
        ]

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("text_handlers", "unicode"),
            ("error_handlers", "default"),
            ("store_handlers", "in-memory"),
            ("service_handlers", "default"),
            ("license_handlers", "offline offline-license online online-license"),
        ],
    )
    def test_hold_what_default_terminals_start_with(self, name: str, words: str) -> None:
        required = words.split()
        assert changed(name, " ".join(reversed(["more", *required]))) == []
        assert changed(name, "") == [f"The claim {name} must hold the words {words}."]
        for missing in required:
            rest = " ".join(["x" + missing, *(word for word in required if word != missing)])
            assert changed(name, rest) == [f"The claim {name} must hold the words {missing}."]

    @pytest.mark.parametrize("value", ["", "default", "a b"])
    def test_of_data_types_may_be_any(self, value: str) -> None:
        assert changed("data_type_handlers", value) == []


def test_every_mistake_is_told() -> None:
    claims = CUSTOM_CLAIMS | {"terminal_limit": True, "currency": 1, "exp": 1}
    del claims["text_handlers"]
    assert mistakes(claims) == [
        "The claim text_handlers is missing.",
        "The claim exp is not one of a custom plan.",
        "The claim terminal_limit must be a whole number from 0 to 32767.",
        "The claim currency must be a text of one line.",
    ]


class TestPlans:
    @pytest.mark.parametrize("space", ["lic", "terminal"])
    def test_custom_ones_have_all_claims(self, space: str) -> None:
        urn = f"urn:oneimlx:{space}:plan:custom"
        custom_claims.validate_for_plan(urn, CUSTOM_CLAIMS)
        with pytest.raises(ValidationError, match="is missing"):
            custom_claims.validate_for_plan(urn, {})

    @pytest.mark.parametrize("part", ["smb", "customs", "notcustom"])
    def test_others_have_none(self, part: str) -> None:
        urn = f"urn:oneimlx:lic:plan:{part}"
        custom_claims.validate_for_plan(urn, {})
        with pytest.raises(ValidationError, match="Only custom plans have custom claims"):
            custom_claims.validate_for_plan(urn, CUSTOM_CLAIMS)
