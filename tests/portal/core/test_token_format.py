"""What a service token looks like."""

import re
from pathlib import Path

from portal.core import token_format


def test_is_a_prefix_43_digits_and_a_checksum() -> None:
    made = {token_format.generate() for _ in range(50)}
    assert (len(made), {len(text) for text in made}) == (50, {53})
    assert all(map(token_format.is_whole, made))


def test_its_checksum_is_the_crc_32_of_all_before_it_in_base_62() -> None:
    whole = "plt_" + "0" * 43 + "1uwr6k"
    assert [text for text in (whole, whole[:-1] + "0") if token_format.is_whole(text)] == [whole]


def test_one_that_was_cut_mistyped_or_lengthened_is_not_whole() -> None:
    made = token_format.generate()
    swapped = made[:10] + made[10:12][::-1] + made[12:]
    wrong = {made[:-1], f"{made}0", made.upper(), f" {made}", f"{made}\n", "plt_", "", f"é{made}"}
    wrong |= {made[:9] + ("a" if made[9] != "a" else "b") + made[10:]}
    wrong |= {swapped} - {made}
    assert [text for text in wrong if token_format.is_whole(text)] == []


def test_is_found_in_a_text() -> None:
    made = token_format.generate()
    texts = (f"TOKEN={made}\n", f'"{made}"', f"curl -H 'Authorization: Bearer {made}'", f"/{made}/")
    assert [token_format.SERVICE_TOKEN.search(text)[0] for text in texts] == [made] * len(texts)
    assert token_format.SERVICE_TOKEN.search("plt_plot_of_the_story_" + "x" * 60) is None


def test_secret_scanners_are_told_the_same_expression() -> None:
    documented = Path("docs/security.md").read_text(encoding="utf-8")
    assert f"`{token_format.SERVICE_TOKEN.pattern}`" in documented
    assert re.search(token_format.SERVICE_TOKEN.pattern, token_format.generate())
