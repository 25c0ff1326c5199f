"""Countries: their codes in what is stored and signed, their names for people."""

from functools import cache
from typing import Any

import pycountry

NAMES = {
    "COD": "Congo (Democratic Republic)",
    "FSM": "Micronesia",
    "PSE": "Palestine",
    "RUS": "Russia",
    "VGB": "British Virgin Islands",
    "VIR": "U.S. Virgin Islands",
}
"""Names for people where ISO 3166-1 has a formal one and pycountry no common one."""


@cache
def country_choices() -> tuple[tuple[str, str], ...]:
    """Return (alpha-3 code, name) of every country, by name."""
    countries = ((country.alpha_3, _name(country)) for country in pycountry.countries)
    return tuple(sorted(countries, key=lambda pair: pair[1]))


@cache
def country_name(code: str) -> str:
    """Return the name of the country with that alpha-3 code; the code where there is none."""
    return dict(country_choices()).get(code, code)


def _name(country: Any) -> str:
    common = getattr(country, "common_name", country.name)
    return NAMES.get(country.alpha_3, common)
