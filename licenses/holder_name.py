"""The holder's name: what the claim `aud` may contain (contract.md section 1)."""

import re

from django.core.exceptions import ValidationError

from portal.core import names
from portal.core.refusal import Refused

MAX_CHARACTERS = 200
FIELD = "holder_name"

BRACES = frozenset("{}")
"""The 2022 clients format the name into a message and crash on these (contract.md section 1)."""

SECRETS = re.compile(
    r"""
    eyJ[\w-]{8,}\.[\w-]+                        # JSON Web Token
    | -----BEGIN[ ]                             # PEM block
    | plt_[0-9A-Za-z]{16}                       # a service token of ours
    | \b(gh[pousr]_|github_pat_)\w{16,}         # GitHub
    | \bglpat-[\w-]{16,}                        # GitLab
    | \b(sk|rk|pk)[-_](live|test|proj|ant)[-_]  # Stripe, OpenAI, Anthropic
    | \bsk-[A-Za-z0-9]{16,}
    | \bxox[abeoprs]-[\w-]{8,}                  # Slack
    | \b(AKIA|ASIA)[0-9A-Z]{16}\b               # AWS
    | \bAIza[\w-]{30,}                          # Google
    | \bSG\.[\w-]{16,}                          # SendGrid
    | \b(npm_|pypi-|hf_|dop_v1_|shpat_)\w{16,}  # npm, PyPI, Hugging Face, DigitalOcean, Shopify
    | \bAGE-SECRET-KEY-1
    """,
    re.VERBOSE,
)


def has_braces(name: str) -> bool:
    """Return whether terminals of 2022 crash on the name."""
    return not BRACES.isdisjoint(name)


def suggested(name: str) -> str:
    """Return the name of a tenant or person as a holder's name: without braces."""
    if not has_braces(name):
        return name
    return " ".join("".join(c for c in name if c not in BRACES).split())


def admit(name: str) -> str:
    """Return the name as `portal.core.names` normalises it.

    Raises Refused, for the field `holder_name`, for a name that could pass for another tenant's
    audience, looks like something else, is blank or too long, stops terminals, or is plainly a
    secret.
    """
    name = names.normalised(name)
    if names.is_blank(name):
        raise Refused("Enter the holder's name; blanks alone are no name.", field=FIELD)
    if len(name) > MAX_CHARACTERS:
        raise Refused(
            f"Use at most {MAX_CHARACTERS} characters for the holder's name; this has {len(name)}.",
            field=FIELD,
        )
    if SECRETS.search(name):
        raise Refused(
            "This looks like a secret. License keys are public: enter a name that everybody may "
            "read, and replace the secret if it was a real one.",
            field=FIELD,
        )
    if "://" in name:
        raise Refused("Enter a name, not an address: leave out “://”.", field=FIELD)
    if has_braces(name):
        raise Refused(
            "Leave out the braces { and }: terminals of 2022 crash on a name that holds one.",
            field=FIELD,
        )
    try:
        names.validate(name)
    except ValidationError as error:
        raise Refused(str(error.message), field=FIELD) from error
    return name
