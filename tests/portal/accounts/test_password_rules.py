"""Stolen passwords and words of the portal are refused, by files on this machine alone."""

import hashlib
import io
import random
from pathlib import Path

import pytest
from django.contrib.auth.password_validation import CommonPasswordValidator, validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from portal.accounts.password_rules import FILTER_FILE, MIN_LENGTH, has_line, in_filter, make_filter

STOLEN = (
    "This password is known from data that was stolen elsewhere, so it is among the first that "
    "attackers try. Choose one that you use nowhere else: four random words, or one that a "
    "password manager makes."
)
GOOD = [
    "correct horse battery staple",
    "a license is a battery of words",
    "пароль из четырёх слов",
    "40289174638850",  # any characters will do
    "no upper case and no digit",
    "x" * 7 + "Ä§ß",
    "k" * 3 + "long" * 1000,
]


def complaints(password: str) -> list[str]:
    try:
        validate_password(password)
    except ValidationError as error:
        return error.messages
    return []


@pytest.mark.parametrize("password", ["qwertyuiop", "1234567890", "ILoveYou123"])
def test_a_stolen_password_is_refused_in_any_case(password):
    assert complaints(password) == [STOLEN]


@pytest.mark.parametrize("password", GOOD)
def test_passwords_of_any_composition_and_length_are_accepted(password):
    assert complaints(password) == []


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("My-License-99", "license"),
        ("LicensePortal2026!", "licenseportal"),
        ("Oneimlx4711", "oneimlx"),
    ],
)
def test_little_more_than_words_of_the_portal_is_refused(password, word):
    sentence = (
        f"Without “{word}”, which anybody would try here, the password is too short. Add at least "
        "8 letters or digits that have nothing to do with this portal."
    )
    assert complaints(password) == [sentence]


def test_the_name_and_the_host_of_this_portal_count(settings):
    from portal.accounts import password_rules

    settings.PORTAL_NAME, settings.PUBLIC_URL = "Fabrikam Keys", "https://my.northwind.example"
    password_rules._words_of_this_portal.cache_clear()
    try:
        refused = [bool(complaints(p)) for p in ("fabrikam2026", "Northwind-1", "fabrikeys-2026x")]
    finally:
        password_rules._words_of_this_portal.cache_clear()
    assert refused == [True, True, False]


def test_the_filter_knows_all_common_passwords_and_few_others():
    bits = FILTER_FILE.read_bytes()
    common = [word for word in CommonPasswordValidator().passwords if len(word) >= MIN_LENGTH]
    assert len(common) > 1500
    assert [word for word in common if not in_filter(bits, word)] == []
    chance = random.Random(1)
    others = [f"{chance.getrandbits(64):016x}" for _ in range(20_000)]
    assert sum(in_filter(bits, other) for other in others) <= 3  # 0.2 are expected


def test_the_command_makes_a_filter_of_what_is_long_enough(tmp_path):
    words, output = tmp_path / "words.txt", tmp_path / "words.bloom"
    words.write_text("Hunter2Hunter2\nhunter2\n", "utf-8")
    call_command("make_breached_passwords", words, output=output)
    bits = output.read_bytes()
    assert [in_filter(bits, word) for word in ("hunter2hunter2", "hunter2")] == [True, False]
    with pytest.raises(CommandError, match="No such file"):
        call_command("make_breached_passwords", tmp_path / "absent.txt", output=output)


def test_the_same_words_in_any_order_make_the_same_filter():
    assert make_filter(["correct horse", "battery"]) == make_filter(["battery", "correct horse"])


# BREACHED_PASSWORDS_FILE


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("count", [1, 2, 257])
def test_every_line_of_a_sorted_file_is_found_and_nothing_else(count, end):
    digests = sorted(sha1(str(number)) for number in range(count))
    file = io.BytesIO("".join(f"{each}:{n}{end}" for n, each in enumerate(digests)).encode())
    assert all(has_line(file, digest.encode()) for digest in digests)
    assert not any(has_line(file, sha1(f"other {n}").encode()) for n in range(50))
    assert not any(has_line(file, edge * 40) for edge in (b"0", b"F"))


def test_an_empty_file_has_nothing():
    assert not has_line(io.BytesIO(), b"0" * 40)


def test_the_operators_own_file_counts_beside_the_list(settings, tmp_path):
    password = "never seen before by anybody"
    settings.BREACHED_PASSWORDS_FILE = tmp_path / "pwned.txt"
    settings.BREACHED_PASSWORDS_FILE.write_text(f"{'0' * 40}:3\n{sha1(password)}:1\n", "ascii")
    assert complaints(password) == [STOLEN]
    assert complaints(password.upper()) == []


def test_a_file_that_has_gone_leaves_the_list_and_is_logged(settings, tmp_path, caplog):
    settings.BREACHED_PASSWORDS_FILE = Path(tmp_path / "gone.txt")
    assert complaints("correct horse battery staple") == []
    assert complaints("qwertyuiop") == [STOLEN]
    assert caplog.messages == ["BREACHED_PASSWORDS_FILE was not read: No such file or directory"]
